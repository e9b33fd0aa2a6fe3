"""Draw out-of-domain segments from CoVoST 2 (Wang et al. 2021), without a copy of the clips.

Layout: FOLDER/en/clips/*.mp3 of Common Voice 4, and FOLDER/covost_v2.en_de.train.tsv (or the
same in FOLDER/en) as get_covost_splits.py of facebookresearch/covost writes it: columns path,
sentence, translation, client_id, no quotes, backslash escapes.
"""

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from slimspeech.artifacts import Row
from slimspeech.data.audio import duration
from slimspeech.data.raw_segments import text_problem
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

logger = logging.getLogger(__name__)

CORPUS = "covost2"
# Languages that have another code in the corpus than in pairs.
CODES = {"zh": "zh-CN", "sv": "sv-SE"}
COLUMNS = ("path", "sentence", "translation", "client_id")


def sample_covost(
    folder: str | Path, pair: str, size: int, seed: int, min_seconds: float, max_seconds: float
) -> list[Row]:
    """Draw `size` manifest rows (origin "out_of_domain") from the train table of a pair.

    Rows are shuffled by `seed` and checked in turn until there are enough. Rows with a field
    missing, with an empty text, without their clip, unreadable, or outside the seconds are left
    out; the log counts them.
    Raises InputError if the table is missing or malformed, or has too few usable rows.
    """
    folder = Path(folder)
    source, target = (CODES.get(language, language) for language in pair.split("-", 1))
    table = _find_table(folder, source, target)
    entries = _read_table(table)
    rows = []
    left_out = Counter()
    seen = set()
    order = np.random.default_rng(seed).permutation(len(entries))
    with tqdm(total=size, desc=f"CoVoST 2 {pair}", unit="clip") as progress:
        for i in order:
            if len(rows) == size:
                break
            entry = entries[i]
            clip = folder / source / "clips" / (entry["path"] or "")
            reason, seconds = _check(entry, clip, seen, min_seconds, max_seconds)
            seen.add(entry["path"])
            if reason:
                left_out[reason] += 1
                continue
            progress.update()
            rows.append(
                {
                    "id": f"{CORPUS}-{clip.stem}",
                    "talk": entry["client_id"],
                    "audio": clip.as_posix(),
                    "duration": round(seconds, 3),
                    "source": entry["sentence"].strip(),
                    "target": entry["translation"].strip(),
                    "pair": pair,
                    "origin": "out_of_domain",
                    "corpus": CORPUS,
                }
            )
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
    logger.info("%s: %d rows drawn; left out: %s", table, len(rows), reasons or "none")
    if len(rows) < size:
        raise InputError(
            f"{table}: {len(rows)} usable rows of {len(entries)} ({reasons or 'none left out'}), "
            f"but {size} are required; lower data/out_of_domain/size or complete the corpus"
        )
    return rows


def _find_table(folder: Path, source: str, target: str) -> Path:
    name = f"covost_v2.{source}_{target}.train.tsv"
    for path in (folder / name, folder / source / name):
        if path.is_file():
            return path
    raise InputError(
        f"{folder / name}: no such table; write it with get_covost_splits.py of CoVoST 2, or "
        "correct data/out_of_domain/folder"
    )


def _read_table(table: Path) -> list[dict[str, Any]]:
    """The rows by column: None for missing fields at the end, and under None what is too much."""
    require_content(table)
    try:
        with open(table, encoding="utf-8-sig", newline="\n") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
            entries = list(_rows(reader))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{table}: not a tab-separated table in UTF-8 ({error}); write it again"
        ) from error
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise InputError(
            f"{table}: no column {', '.join(missing)}; the columns must be {', '.join(COLUMNS)}"
        )
    return entries


def _rows(reader: "csv.DictReader[str]") -> Iterator[dict[str, Any]]:
    """The rows; one that the reader refuses, such as one with a carriage return, has no fields."""
    reader.fieldnames  # noqa: B018 (its errors are of the whole table)
    while True:
        try:
            yield next(reader)
        except csv.Error:
            yield dict.fromkeys(COLUMNS)
        except StopIteration:
            return


def _check(
    entry: dict[str, Any], clip: Path, seen: set[str], min_seconds: float, max_seconds: float
) -> tuple[str | None, float]:
    """The reason why the row cannot be used, if any, and the seconds of its clip."""
    if None in entry or None in entry.values():
        # A backslash before a tab joins two fields, so that the next would be taken for them.
        return "with a field missing or too many", 0.0
    for text in (entry["path"], entry["sentence"].strip(), entry["translation"].strip()):
        if problem := text_problem(text):
            is_empty = problem == "is empty"
            return "with an empty text" if is_empty else "with a control character", 0.0
    if clip.name != entry["path"]:
        return "whose path is not the name of a file in clips/", 0.0
    if entry["path"] in seen:
        return "of a clip of an earlier row", 0.0
    if not os.path.isfile(clip):
        return "without their clip", 0.0
    try:
        seconds = duration(clip)
    except InputError as error:
        logger.warning("%s", error)
        return "unreadable", 0.0
    if not min_seconds <= seconds <= max_seconds:
        return f"outside {min_seconds} to {max_seconds} s", seconds
    return None, seconds
