"""All systems of a pair against its teacher, by every metric, on the same draws of the segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimspeech.artifacts import Row, read_json, read_jsonl
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, score
from slimspeech.evaluation.significance import (
    RESAMPLES,
    SACREBLEU_SEED,
    compare,
    draw,
    mean_scores,
    text_scores,
)
from slimspeech.languages import target_code

BASELINE = "teacher"


@dataclass(frozen=True)
class SegmentScores:
    """One system's scores by a metric that gives one to each segment, in the manifest's order."""

    system: str
    metric: str
    scores: list[float]
    signature: str


def read_segment_scores(
    rows_path: str | Path, summary_path: str | Path, segments: Sequence[Row]
) -> SegmentScores:
    """From COMET's two files, held against the manifest.

    Raises InputError naming the file where its segments are not the manifest's, or a score is no
    number.
    """
    rows = read_jsonl(rows_path)
    if [row.get("id") for row in rows] != [segment["id"] for segment in segments]:
        raise InputError(
            f"{rows_path}: {len(rows)} scores that are not of the {len(segments)} segments of the "
            "test set, in its order; remove the file and run again"
        )
    for row in rows:
        if isinstance(row.get("score"), bool) or not isinstance(row.get("score"), (int, float)):
            raise InputError(
                f"{rows_path}: the score of {row['id']} is {row.get('score')!r}, no number; "
                "remove the file and run again"
            )
    summary = read_json(summary_path)
    return SegmentScores(
        summary["system"], summary["metric"], [row["score"] for row in rows], summary["signature"]
    )


def compare_systems(
    pair: str,
    segments: Sequence[Row],
    hypotheses: Mapping[str, Sequence[Row]],
    metrics: Sequence[str],
    segment_scores: Sequence[SegmentScores] = (),
    resamples: int = RESAMPLES,
    seed: int = SACREBLEU_SEED,
) -> dict[str, Any]:
    """What comparison.json holds. hypotheses: by system; metrics: sacreBLEU's.

    Raises InputError naming the system whose hypotheses do not belong to the segments or whose
    score by a metric is no finite number.
    """
    language = target_code(pair)
    texts = {}
    for system, rows in hypotheses.items():
        try:
            texts[system], references = align(rows, segments)
        except InputError as error:
            raise InputError(f"{pair}, {system}: {error}") from error
    times = draw(len(segments), resamples, seed)
    found = {
        metric: {
            system: text_scores(text, references, language, metric, times)
            for system, text in texts.items()
        }
        for metric in metrics
    }
    some = next(iter(texts.values()))
    signed = score(some, references, language, metrics)  # sacreBLEU signs what it has scored
    signatures = {metric: result["signature"] for metric, result in signed.items()}
    for given in segment_scores:
        try:
            scores = mean_scores(given.scores, times)
        except InputError as error:
            raise InputError(f"{pair}, {given.system}, {given.metric}: {error}") from error
        found.setdefault(given.metric, {})[given.system] = scores
        signatures[given.metric] = given.signature
    by_metric = {metric: compare(scores, BASELINE) for metric, scores in found.items()}
    return {
        "pair": pair,
        "baseline": BASELINE,
        "segments": len(segments),
        "resamples": resamples,
        "seed": seed,
        "systems": {
            system: {metric: by_metric[metric].get(system) for metric in by_metric}
            for system in hypotheses
        },
        "signatures": signatures,
    }
