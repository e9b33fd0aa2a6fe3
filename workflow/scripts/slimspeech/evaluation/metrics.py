"""Score translations by sacreBLEU: BLEU, chrF and chrF++, each with the signature to cite."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

logger = logging.getLogger(__name__)

METRICS = ("bleu", "chrf", "chrf++")
SEGMENT_METRICS = ("chrf", "chrf++")


def search_metric(target_language: str) -> str:
    """The metric that ranks systems of a target language (IWSLT 2025 paper, section on pruning).

    chrF++ counts words too, so it is for languages that separate words by spaces.
    """
    return "chrf" if target_language in WRITTEN_WITHOUT_SPACES else "chrf++"


def align(hypothesis_rows: Sequence[Row], segments: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Hypotheses and references (the targets), both in the manifest's order.

    Raises InputError as in_order().
    """
    return in_order(hypothesis_rows, segments), [row["target"] for row in segments]


def in_order(hypothesis_rows: Sequence[Row], segments: Sequence[Row]) -> list[str]:
    """Hypotheses matched by id, in the manifest's order.

    Raises InputError naming the first ids that are missing, duplicate or unknown, or the first row
    whose hypothesis is not text; and if there are no segments.
    """
    if not segments:
        raise InputError("nothing to score: the manifest holds no segments; check data.split")
    for number, row in enumerate(hypothesis_rows, start=1):
        if not isinstance(row.get("id"), str) or not isinstance(row.get("hypothesis"), str):
            raise InputError(
                f"hypotheses, row {number}: needs an id and a hypothesis, both text; "
                "translate this manifest again"
            )
    counts = Counter(row["id"] for row in hypothesis_rows)
    expected = Counter(row["id"] for row in segments)
    problems = {
        "segments without a hypothesis": [key for key in expected if key not in counts],
        "duplicate hypotheses": [key for key, count in counts.items() if count > 1],
        "hypotheses of no segment": [key for key in counts if key not in expected],
        "duplicate segments in the manifest": [key for key, n in expected.items() if n > 1],
    }
    if sentences := [
        f"{len(ids)} {problem} ({', '.join(ids[:5])}{', …' if len(ids) > 5 else ''})"
        for problem, ids in problems.items()
        if ids
    ]:
        raise InputError(
            f"hypotheses and manifest do not match: {'; '.join(sentences)}; "
            "translate this manifest again"
        )
    hypotheses = {row["id"]: row["hypothesis"] for row in hypothesis_rows}
    return [hypotheses[row["id"]] for row in segments]


def score(
    hypotheses: list[str],
    references: list[str],
    target_language: str,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, Any]]:
    """Corpus scores with one reference per segment: {metric: {score, signature}}.

    Scores run from 0 to 100 and are not rounded. Raises InputError if there is nothing to score,
    the lengths differ or a metric is unknown.
    """
    check_counts(hypotheses, references)
    results = {}
    for name in metrics:
        measure = scorer(name, target_language)
        value = measure.corpus_score(hypotheses, [references]).score
        results[name] = {"score": value, "signature": str(measure.get_signature())}
        logger.info("%s %.2f on %d segments", name, value, len(hypotheses))
    return results


def talks_of(segments: Sequence[Row]) -> dict[str, list[int]]:
    """The indices of each talk's rows in the manifest; talks in its order."""
    talks: dict[str, list[int]] = {}
    for index, row in enumerate(segments):
        talks.setdefault(row["talk"], []).append(index)
    return talks


def score_talks(
    segments: Sequence[Row],
    hypotheses: list[str],
    references: list[str],
    target_language: str,
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, Any]]:
    """Corpus scores of each talk: {talk: {segments, metrics: {metric: score}}}.

    The mean of a metric over talks is not its score of the whole set. Raises InputError if a
    metric is unknown.
    """
    measures = {name: scorer(name, target_language) for name in metrics}
    return {
        talk: {
            "segments": len(indices),
            "metrics": {
                name: measure.corpus_score(
                    [hypotheses[i] for i in indices], [[references[i] for i in indices]]
                ).score
                for name, measure in measures.items()
            },
        }
        for talk, indices in talks_of(segments).items()
    }


def segment_scores(hypotheses: list[str], references: list[str], metric: str) -> list[float]:
    """The score of each segment, 0 to 100. Raises InputError for BLEU, which fits no single one."""
    if metric not in SEGMENT_METRICS:
        raise InputError(f"no segment scores by {metric!r}; use {' or '.join(SEGMENT_METRICS)}")
    measure = scorer(metric)
    return [
        measure.sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def segment_rows(
    segments: Sequence[Row],
    hypotheses: list[str],
    references: list[str],
    metrics: Sequence[str] = METRICS,
) -> list[Row]:
    """One row per segment: id, talk, duration in seconds, lengths in characters, its scores."""
    scores = {
        name: segment_scores(hypotheses, references, name)
        for name in metrics
        if name in SEGMENT_METRICS
    }
    return [
        {
            "id": row["id"],
            "talk": row["talk"],
            "duration": row["duration"],
            "hypothesis_length": len(hypotheses[index]),
            "reference_length": len(references[index]),
            **{name: values[index] for name, values in scores.items()},
        }
        for index, row in enumerate(segments)
    ]


def scorer(metric: str, target_language: str = "") -> BLEU | CHRF:
    """sacreBLEU's metric, set up for the language. Raises InputError if the metric is unknown.

    BLEU's tokenizer is sacreBLEU's choice for the language, except that Japanese and Korean are
    split into characters: their MeCab tokenizers need packages with compiled dictionaries.
    """
    if metric == "bleu":
        by_character = target_language in WRITTEN_WITHOUT_SPACES | {"ko"}
        tokenizer = "char" if by_character else "13a"
        return BLEU(tokenize="zh" if target_language == "zh" else tokenizer)
    if metric in SEGMENT_METRICS:
        return CHRF(word_order=0 if metric == "chrf" else 2)
    raise InputError(f"unknown metric {metric!r} in evaluation.metrics; use {', '.join(METRICS)}")


def check_counts(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raises InputError unless there are segments, and a hypothesis for each."""
    if not references:
        raise InputError("nothing to score: the manifest holds no segments; check data.split")
    if len(hypotheses) != len(references):
        raise InputError(
            f"{len(hypotheses)} hypotheses for {len(references)} references; "
            "translate this manifest again"
        )
