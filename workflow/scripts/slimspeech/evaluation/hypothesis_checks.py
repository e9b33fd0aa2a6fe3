"""Find suspicious translations of a system: silence, hallucination, the wrong language."""

import statistics
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from slimspeech.artifacts import Row
from slimspeech.evaluation.metrics import align
from slimspeech.evaluation.repetition import most_copies
from slimspeech.languages import NAMES, WRITTEN_WITHOUT_SPACES

# Characters by which two texts may differ in length, whatever their ratio: "Ja." and "Ja, genau."
MARGIN, MARGIN_WITHOUT_SPACES = 15, 5
# The probability from which a detected language counts. Short texts rarely reach it: "Ja." is text
# of many languages. The right language was the most probable one for all references and sources of
# the mini corpus (1,558 German, Chinese and English sentences), and certain for at least 97 %.
CERTAIN = 0.9


@dataclass(frozen=True)
class CheckSettings:
    """length_ratio: a hypothesis is too long above this ratio to its reference, in characters, and
    too short below its inverse. max_repetition: how often one to four tokens may stand in a row.
    """

    length_ratio: float
    max_repetition: int


def check_hypotheses(
    hypothesis_rows: Sequence[Row], segments: Sequence[Row], pair: str, settings: CheckSettings
) -> Row:
    """The ids of suspicious segments, by what is wrong, in the manifest's order.

    What the reference does too (a repetition, a text equal to the source) is not suspicious.
    Raises InputError if hypotheses and segments do not match or there are none.
    """
    texts, references = align(hypothesis_rows, segments)
    source, target = pair.split("-", maxsplit=1)
    margin = MARGIN_WITHOUT_SPACES if target in WRITTEN_WITHOUT_SPACES else MARGIN
    rows = list(zip(segments, [text.strip() for text in texts], references, strict=True))
    translated = [(row, text, reference) for row, text, reference in rows if text]
    ratios = [
        (row["id"], len(text) / len(reference), len(text) - len(reference))
        for row, text, reference in translated
        if reference
    ]
    values = [ratio for _, ratio, _ in ratios]
    texts_by_id = {row["id"]: text for row, text, _ in translated}
    return {
        "segments": len(segments),
        "empty": [row["id"] for row, text, _ in rows if not text],
        "copied_source": [
            row["id"]
            for row, text, reference in translated
            if _letters(text) == _letters(row["source"]) != _letters(reference)
        ],
        "length_ratio": {
            "low": min(values),
            "median": statistics.median(values),
            "high": max(values),
        }
        if values
        else None,
        "too_long": [
            {"id": key, "ratio": ratio}
            for key, ratio, difference in ratios
            if ratio > settings.length_ratio and difference >= margin
        ],
        "too_short": [
            {"id": key, "ratio": ratio}
            for key, ratio, difference in ratios
            if ratio < 1 / settings.length_ratio and -difference >= margin
        ],
        "repetition": [
            {"id": row["id"], "copies": copies}
            for row, text, reference in translated
            if (copies := most_copies(text, target))
            > max(settings.max_repetition, most_copies(reference, target))
        ],
        "language": _check_language(texts_by_id, [source, target]),
    }


def _check_language(texts: Mapping[str, str], pair: Sequence[str]) -> Row:
    """Which texts, by id, are in another language than the pair's second.

    py3langid chooses among the pair's languages and those that the project knows by name; its model
    is part of the package. checked: texts whose language is certain; 0 for a target that py3langid
    does not know.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    expected = pair[1]
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    candidates = sorted(set(identifier.labels) & {*NAMES, *pair})
    identifier.set_languages(candidates)
    detected = {}
    if expected in candidates:
        detected = {key: identifier.classify(text) for key, text in texts.items()}
    certain = {key: language for key, (language, share) in detected.items() if share >= CERTAIN}
    return {
        "expected": expected,
        "detector": f"py3langid {version('py3langid')}" if detected else None,
        "checked": len(certain),
        "other": [
            {"id": key, "found": language}
            for key, language in certain.items()
            if language != expected
        ],
    }


def _letters(text: str) -> str:
    """The letters and digits of a text, in one case and one spelling of accents."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
