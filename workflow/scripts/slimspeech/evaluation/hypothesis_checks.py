"""What is suspicious in a system's translations: silence, hallucination, the wrong language."""

import statistics
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.evaluation.language_detection import Detector
from slimspeech.evaluation.metrics import align, check_counts
from slimspeech.evaluation.repetition import most_copies
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

# Characters by which two texts may differ in length whatever their ratio: "Ja." for "Ja, genau."
MARGIN, MARGIN_WITHOUT_SPACES = 15, 5


@dataclass(frozen=True)
class CheckSettings:
    """length_ratio: from where a hypothesis is too long for its reference, in characters; and too
    short from its inverse. max_repetition: copies in a row of one to four tokens that pass.
    """

    length_ratio: float = 2.0
    max_repetition: int = 2


def check_hypotheses(
    hypothesis_rows: Sequence[Mapping[str, Any]],
    segments: Sequence[Row],
    pair: str,
    settings: CheckSettings,
) -> dict[str, Any]:
    """The ids of segments that should be looked at, by what is wrong, in the manifest's order.

    What the reference does as well (a repetition, a text equal to the source) is nothing wrong.
    Raises InputError when hypotheses and segments do not belong together or there are none.
    """
    texts, references = align(hypothesis_rows, segments)
    check_counts(texts, references)
    source, target = pair.split("-", maxsplit=1)
    margin = MARGIN_WITHOUT_SPACES if target in WRITTEN_WITHOUT_SPACES else MARGIN
    given = list(zip(segments, [text.strip() for text in texts], references, strict=True))
    said = [(row, text, reference) for row, text, reference in given if text]
    ratios = [
        (row["id"], len(text) / len(reference), len(text) - len(reference))
        for row, text, reference in said
        if reference
    ]
    longest, shortest = settings.length_ratio, 1 / settings.length_ratio
    detector = Detector([source, target])
    return {
        "segments": len(segments),
        "empty": [row["id"] for row, text, _ in given if not text],
        "copied_source": [
            row["id"]
            for row, text, reference in said
            if _letters(text) == _letters(row["source"]) != _letters(reference)
        ],
        "length_ratio": _spread([ratio for _, ratio, _ in ratios]),
        "too_long": [
            {"id": key, "ratio": ratio}
            for key, ratio, more in ratios
            if ratio > longest and more >= margin
        ],
        "too_short": [
            {"id": key, "ratio": ratio}
            for key, ratio, more in ratios
            if ratio < shortest and -more >= margin
        ],
        "repetition": [
            {"id": row["id"], "copies": copies}
            for row, text, reference in said
            if (copies := most_copies(text, target))
            > max(settings.max_repetition, most_copies(reference, target))
        ],
        "language": detector.check([(row["id"], text) for row, text, _ in said], target),
    }


def _spread(ratios: Sequence[float]) -> dict[str, float] | None:
    """Smallest, median and largest; None of nothing."""
    if not ratios:
        return None
    return {"low": min(ratios), "median": statistics.median(ratios), "high": max(ratios)}


def _letters(text: str) -> str:
    """The text without case, spaces, punctuation and accents' spelling."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
