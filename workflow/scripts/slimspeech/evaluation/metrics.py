"""Scores of translations, by sacreBLEU: BLEU, chrF and chrF++, each with the signature to cite."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

from slimspeech.errors import InputError
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

logger = logging.getLogger(__name__)

METRICS = ("bleu", "chrf", "chrf++")
SEGMENT_METRICS = ("chrf", "chrf++")


def search_metric(target_language: str) -> str:
    """The score that ranks systems of a target language (IWSLT 2025 paper, section on pruning).

    chrF++ counts words too, so it is kept for languages that mark them with spaces.
    """
    return "chrf" if target_language in WRITTEN_WITHOUT_SPACES else "chrf++"


def align(
    hypothesis_rows: Sequence[Mapping[str, Any]], manifest_rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Pair the rows by id: hypotheses and references (the targets), both in the manifest's order.

    Raises InputError naming the first ids that are missing, doubled or unknown, or whose
    hypothesis is no text.
    """
    for number, row in enumerate(hypothesis_rows, start=1):
        if not isinstance(row.get("id"), str) or not isinstance(row.get("hypothesis"), str):
            raise InputError(
                f"hypotheses, row {number}: needs an id and a hypothesis, both text; "
                "translate this manifest again"
            )
    counts = Counter(row["id"] for row in hypothesis_rows)
    expected = Counter(row["id"] for row in manifest_rows)
    problems = {
        "segments without a hypothesis": [key for key in expected if key not in counts],
        "hypotheses given twice": [key for key, count in counts.items() if count > 1],
        "hypotheses of no segment": [key for key in counts if key not in expected],
        "segments listed twice in the manifest": [
            key for key, count in expected.items() if count > 1
        ],
    }
    found = [
        f"{len(ids)} {problem} ({', '.join(ids[:5])}{', …' if len(ids) > 5 else ''})"
        for problem, ids in problems.items()
        if ids
    ]
    if found:
        raise InputError(
            f"hypotheses and manifest do not belong together: {'; '.join(found)}; "
            "translate this manifest again"
        )
    hypotheses = {row["id"]: row["hypothesis"] for row in hypothesis_rows}
    return [hypotheses[row["id"]] for row in manifest_rows], [
        row["target"] for row in manifest_rows
    ]


def score(
    hypotheses: list[str],
    references: list[str],
    target_language: str,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, Any]]:
    """Corpus scores of a target language, one reference each: {metric: {score, signature}}.

    Scores run from 0 to 100 and are not rounded. Raises InputError when there is nothing to
    score, the lengths differ or a metric is unknown.
    """
    check_counts(hypotheses, references)
    results = {}
    for name in metrics:
        measure = scorer(name, target_language)
        value = measure.corpus_score(hypotheses, [references]).score
        results[name] = {"score": value, "signature": str(measure.get_signature())}
        logger.info("%s %.2f on %d segments", name, value, len(hypotheses))
    return results


def talks_of(manifest_rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The rows of each talk, by their place in the manifest; talks in its order."""
    talks: dict[str, list[int]] = {}
    for place, row in enumerate(manifest_rows):
        talks.setdefault(row["talk"], []).append(place)
    return talks


def score_talks(
    manifest_rows: Sequence[Mapping[str, Any]],
    hypotheses: list[str],
    references: list[str],
    target_language: str,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, Any]]:
    """Corpus scores of each talk by itself: {talk: {segments, metrics: {metric: score}}}.

    The mean of a metric over talks is not its score of the whole set. Raises as `score`.
    """
    check_counts(hypotheses, references)
    measures = {name: scorer(name, target_language) for name in metrics}
    return {
        talk: {
            "segments": len(places),
            "metrics": {
                name: measure.corpus_score(
                    [hypotheses[i] for i in places], [[references[i] for i in places]]
                ).score
                for name, measure in measures.items()
            },
        }
        for talk, places in talks_of(manifest_rows).items()
    }


def segment_scores(hypotheses: list[str], references: list[str], metric: str) -> list[float]:
    """The score of each segment by itself, 0 to 100. BLEU has none worth reading: InputError."""
    check_counts(hypotheses, references)
    if metric not in SEGMENT_METRICS:
        raise InputError(f"no segment scores by {metric!r}; use {' or '.join(SEGMENT_METRICS)}")
    measure = scorer(metric)
    return [
        measure.sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def segment_rows(
    manifest_rows: Sequence[Mapping[str, Any]],
    hypotheses: list[str],
    references: list[str],
    metrics: Sequence[str] = METRICS,
) -> list[dict[str, Any]]:
    """One row a segment: id, talk, duration in seconds, lengths in characters, its scores."""
    rows = [
        {
            "id": segment["id"],
            "talk": segment["talk"],
            "duration": segment["duration"],
            "hypothesis_length": len(hypothesis),
            "reference_length": len(reference),
        }
        for segment, hypothesis, reference in zip(
            manifest_rows, hypotheses, references, strict=True
        )
    ]
    for name in metrics:
        if name in SEGMENT_METRICS:
            scores = segment_scores(hypotheses, references, name)
            for row, value in zip(rows, scores, strict=True):
                row[name] = value
    return rows


def scorer(metric: str, target_language: str = "") -> BLEU | CHRF:
    """sacreBLEU's metric of that name, set up for the language. Raises InputError if unknown."""
    if metric == "bleu":
        return BLEU(tokenize=_tokenizer(target_language))
    if metric == "chrf":
        return CHRF(word_order=0)
    if metric == "chrf++":
        return CHRF(word_order=2)
    raise InputError(f"unknown metric {metric!r} in evaluation.metrics; use {', '.join(METRICS)}")


def _tokenizer(target_language: str) -> str:
    """sacreBLEU's own choice, save that Japanese and Korean go by character.

    Their MeCab tokenizers need packages with compiled dictionaries.
    """
    if target_language == "zh":
        return "zh"
    return "char" if target_language in WRITTEN_WITHOUT_SPACES | {"ko"} else "13a"


def check_counts(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raises InputError unless there are segments, and a hypothesis for each."""
    if not references:
        raise InputError("nothing to score: the manifest holds no segments; check data.split")
    if len(hypotheses) != len(references):
        raise InputError(
            f"{len(hypotheses)} hypotheses for {len(references)} references; "
            "translate this manifest again"
        )
