"""Sequence-level distillation: the teacher's translations of its training audio as new targets."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slimspeech.artifacts import Row, read_jsonl
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, search_metric, segment_scores
from slimspeech.evaluation.repetition import most_copies
from slimspeech.systems import DATA_PARTS

logger = logging.getLogger(__name__)

REASONS = ("empty", "duplicates", "length_ratio", "max_repetition", "min_chrf")


@dataclass(frozen=True)
class DistillationSettings:
    """Filters of pseudo-labels against gold; None leaves one out, as the IWSLT 2025 paper does.

    length_ratio: longest over shortest of the two texts, in characters; 1 or more.
    max_repetition: copies in a row allowed to any run of one to four tokens (words; characters
        in languages written without spaces); 1 or more.
    min_chrf: lowest sentence chrF++ (chrF in languages written without spaces), 0 to 100.
    """

    length_ratio: float | None
    max_repetition: int | None
    min_chrf: float | None


def build(
    gold: Sequence[Row],
    translations: Sequence[Row],
    settings: DistillationSettings,
    target_language: str,
) -> tuple[list[Row], dict[str, int]]:
    """Turn the teacher's translations of the gold audio into manifest rows of origin "distilled".

    Empty translations and those equal to their gold target are always dropped. Returns the rows
    in gold order and the counts: gold, translated, one for each reason to drop (a row counts
    under the first that applies), kept, and total = gold + kept, the size of the joined set.
    Raises InputError when translations and gold do not share their ids.
    """
    hypotheses, references = align(translations, gold)
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    for segment, hypothesis, reference in zip(gold, hypotheses, references, strict=True):
        target = hypothesis.strip()
        reason = _reason_to_drop(target, reference.strip(), settings, target_language)
        if reason:
            dropped[reason] += 1
        else:
            rows.append(
                {
                    **segment,
                    "id": f"{segment['id']}.distilled",
                    "target": target,
                    "origin": "distilled",
                }
            )
    summary = {
        "gold": len(gold),
        "translated": len(translations),
        **{reason: dropped[reason] for reason in REASONS},
        "kept": len(rows),
        "total": len(gold) + len(rows),
    }
    logger.info("pseudo-labels: %s", ", ".join(f"{key} {n}" for key, n in summary.items()))
    return rows, summary


def mix(sources: Mapping[str, Sequence[Row]], factors: Mapping[str, int]) -> list[Row]:
    """Join the manifests of several origins, each taken as often as its factor says.

    The second copy of a row has "#2" added to its id, and so on. An origin without a factor,
    or with factor 0, is left out. The order is fixed (gold, distilled, out_of_domain, copy by
    copy): shuffling is the Trainer's. Raises InputError for an origin that is unknown or has no
    manifest, a factor that is no whole number, and a mix without rows.
    """
    for origin, factor in factors.items():
        if origin not in DATA_PARTS:
            raise InputError(f"unknown origin {origin!r} in the mix; use {', '.join(DATA_PARTS)}")
        if not isinstance(factor, int) or factor < 0:
            raise InputError(f"the mix takes {origin} {factor} times; use a whole number from 0")
        if factor and origin not in sources:
            raise InputError(
                f"the mix takes {origin}, but there is no such manifest; "
                "configure its data or set its factor to 0"
            )
    rows = [
        {**row, "id": row["id"] if copy == 1 else f"{row['id']}#{copy}"}
        for origin in DATA_PARTS
        for copy in range(1, factors.get(origin, 0) + 1)
        for row in sources[origin]
    ]
    if not rows:
        raise InputError(f"the mix {dict(factors)} leaves no rows to train on; raise a factor")
    return rows


def read_mix(manifests: Mapping[str, str], data: Mapping[str, int]) -> list[Row]:
    """mix() of the manifests whose paths are given by origin; other paths are left alone.

    data: the factors, and `out_of_domain_clips` where only so many of the first out-of-domain rows
    are taken. They were drawn at random, so the first are a draw of their own.
    Raises InputError if there are less, and as mix().
    """
    factors = {key: value for key, value in data.items() if key != "out_of_domain_clips"}
    sources = {
        origin: read_jsonl(manifests[origin]) for origin in DATA_PARTS if factors.get(origin)
    }
    clips = data.get("out_of_domain_clips")
    if clips is not None and "out_of_domain" in sources:
        rows = sources["out_of_domain"]
        if len(rows) < clips:
            raise InputError(
                f"the stage takes {clips} out-of-domain clips and there are {len(rows)}; raise "
                "data.out_of_domain.size or lower out_of_domain_clips"
            )
        sources["out_of_domain"] = rows[:clips]
    return mix(sources, factors)


def _reason_to_drop(
    hypothesis: str, reference: str, settings: DistillationSettings, target_language: str
) -> str | None:
    if not hypothesis:
        return "empty"
    if hypothesis == reference:
        return "duplicates"
    shortest, longest = sorted((len(hypothesis), len(reference)))
    if settings.length_ratio is not None and longest > settings.length_ratio * shortest:
        return "length_ratio"
    if (
        settings.max_repetition is not None
        and most_copies(hypothesis, target_language) > settings.max_repetition
    ):
        return "max_repetition"
    if settings.min_chrf is not None:
        [chrf] = segment_scores([hypothesis], [reference], search_metric(target_language))
        if chrf < settings.min_chrf:
            return "min_chrf"
    return None
