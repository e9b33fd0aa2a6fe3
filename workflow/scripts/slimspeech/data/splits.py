"""Divide the segments of a corpus into train, validation and test, and make manifests of them."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slimspeech.artifacts import Row
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

PAPER_SEGMENTS = 884
# Names of splits in corpora, for the method "given"; other splits are left out.
GIVEN = {
    "train": ("train",),
    "validation": ("dev", "valid", "validation"),
    "test": ("test", "tst-COMMON", "eval"),
}


@dataclass(frozen=True)
class SplitSettings:
    """The section data/split of the config; sizes are in segments."""

    method: Literal["paper", "talks", "given"]
    test_talks: Sequence[str]
    validation_talks: Sequence[str]
    test_size: int
    validation_size: int
    seed: int


def split(rows: Sequence[Row], settings: SplitSettings) -> dict[str, list[Row]]:
    """Rows of segments.jsonl, in the order of the archive, under "train", "validation", "test".

    "paper" is the random split of the paper, the same as datasets' train_test_split(test_size,
    seed) over dev then eval. It divides talks; the validation segments are the last of its train.
    "talks" puts whole talks into test, and into validation if it names any, so that no speaker is
    in both train and test. "given" uses the corpus' own splits by their names (GIVEN), and draws
    validation from train only if the corpus has none. Raises InputError for an unknown talk, a talk
    in two parts, or an empty part.
    """
    methods = {"paper": _split_paper, "given": _split_given, "talks": _split_talks}
    parts = methods[settings.method](rows, settings)
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(
                f"data/split leaves {name} without a segment of {len(rows)}; put fewer in the "
                "other parts"
            )
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    logger.info("%d segments: %s", len(rows), counts)
    return parts


def manifest(rows: Sequence[Row], pair: str) -> list[Row]:
    """Rows of a manifest for a pair such as "en-de", from rows of segments.jsonl, all gold.

    Raises InputError if a segment has no text in one of the two languages.
    """
    source, target = pair.split("-", 1)
    for row in rows:
        if missing := [language for language in (source, target) if language not in row["texts"]]:
            raise InputError(
                f"segments.jsonl: {row['id']} has no text in {' and '.join(missing)}, only in "
                f"{', '.join(row['texts'])}; name {pair} in pairs and run again"
            )
    return [
        {
            **{key: row[key] for key in ("id", "talk", "audio", "duration")},
            "source": row["texts"][source],
            "target": row["texts"][target],
            "pair": pair,
            "origin": "gold",
            "corpus": row["corpus"],
        }
        for row in rows
    ]


def _split_paper(rows: Sequence[Row], settings: SplitSettings) -> dict[str, list[Row]]:
    if len(rows) != PAPER_SEGMENTS:
        logger.warning(
            "the split differs from the paper's, which is of %d segments; these are %d",
            PAPER_SEGMENTS,
            len(rows),
        )
    if settings.test_size + settings.validation_size >= len(rows):
        raise InputError(
            f"data/split: test_size {settings.test_size} and validation_size "
            f"{settings.validation_size} leave none of {len(rows)} segments to train on; lower "
            "them"
        )
    order = np.random.default_rng(settings.seed).permutation(len(rows))
    test = settings.test_size
    validation = len(rows) - settings.validation_size
    return {
        "train": [rows[i] for i in order[test:validation]],
        "validation": [rows[i] for i in order[validation:]],
        "test": [rows[i] for i in order[:test]],
    }


def _split_talks(rows: Sequence[Row], settings: SplitSettings) -> dict[str, list[Row]]:
    talks = list(dict.fromkeys(row["talk"] for row in rows))
    test, validation = set(settings.test_talks), set(settings.validation_talks)
    if unknown := sorted((test | validation) - set(talks)):
        raise InputError(
            f"data/split: no talk {', '.join(unknown)} among the segments; the talks are "
            f"{', '.join(talks)}"
        )
    if both := sorted(test & validation):
        raise InputError(
            f"data/split: {', '.join(both)} in both test_talks and validation_talks; name each "
            "talk once"
        )
    train = [row for row in rows if row["talk"] not in test | validation]
    validation_rows = [row for row in rows if row["talk"] in validation]
    if not validation:
        train, validation_rows = _draw_validation(train, settings)
    return {
        "train": train,
        "validation": validation_rows,
        "test": [row for row in rows if row["talk"] in test],
    }


def _draw_validation(train: list[Row], settings: SplitSettings) -> tuple[list[Row], list[Row]]:
    """The rest of train, and validation_size segments drawn from it, both in their order."""
    size = settings.validation_size
    if size >= len(train) > 0:
        raise InputError(
            f"data/split: validation_size {size} leaves none of {len(train)} segments to train "
            "on; lower it"
        )
    drawn = set(np.random.default_rng(settings.seed).permutation(len(train))[:size].tolist())
    rest = [row for i, row in enumerate(train) if i not in drawn]
    return rest, [row for i, row in enumerate(train) if i in drawn]


def _split_given(rows: Sequence[Row], settings: SplitSettings) -> dict[str, list[Row]]:
    counts = Counter(row["split"] for row in rows)
    parts = {part: [row for row in rows if row["split"] in names] for part, names in GIVEN.items()}
    for name in counts.keys() - {name for names in GIVEN.values() for name in names}:
        logger.warning("%d segments of the split %s are left out", counts[name], name)
    if not parts["validation"] and parts["train"]:
        parts["train"], parts["validation"] = _draw_validation(parts["train"], settings)
    for part in parts:
        if not parts[part]:
            size = " or set validation_size" if part == "validation" else ""
            raise InputError(
                f"data/split: no segment of the corpus is for {part}, and its splits are "
                f"{', '.join(counts)}; name one {' or '.join(GIVEN[part])}{size}, or choose "
                "another method"
            )
    return parts
