"""Compare all systems of a pair to its teacher, by every metric, on the same draws of segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimspeech.artifacts import Row, read_json, read_jsonl
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, score
from slimspeech.evaluation.significance import (
    RESAMPLES,
    SACREBLEU_SEED,
    Scores,
    compare,
    draw,
    draw_talks,
    mean_scores,
    text_scores,
)
from slimspeech.languages import target_code
from slimspeech.systems import TEACHER


@dataclass(frozen=True)
class SegmentScores:
    """One system's score of each segment by one metric, in the manifest's order."""

    system: str
    metric: str
    scores: list[float]
    signature: str


def read_segment_scores(
    rows_path: str | Path, summary_path: str | Path, segments: Sequence[Row]
) -> SegmentScores:
    """From COMET's two files. Raises InputError if their segments are not the manifest's."""
    rows = read_jsonl(rows_path)
    if [row.get("id") for row in rows] != [segment["id"] for segment in segments]:
        raise InputError(
            f"{rows_path}: its {len(rows)} scores are not those of the {len(segments)} segments of "
            "the test set, in its order; remove the file and run again"
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
    """The content of comparison.json. hypotheses: rows by system. metrics: sacreBLEU's.

    Raises InputError naming the system whose hypotheses do not match the segments, or one of whose
    segment scores is not a finite number.
    """
    language = target_code(pair)
    texts = {}
    for system, rows in hypotheses.items():
        try:
            texts[system], references = align(rows, segments)
        except InputError as error:
            raise InputError(f"{pair}, {system}: {error}") from error
    talks = [segment["talk"] for segment in segments]
    by_segment, by_talk = draw(len(segments), resamples, seed), draw_talks(talks, resamples, seed)
    times = np.concatenate([by_segment, by_talk[1:]])
    by_metric = {
        metric: {
            system: text_scores(text, references, language, metric, times)
            for system, text in texts.items()
        }
        for metric in metrics
    }
    # sacreBLEU has a signature only after it has scored a text.
    results = score(next(iter(texts.values())), references, language, metrics)
    signatures = {metric: result["signature"] for metric, result in results.items()}
    for system in segment_scores:
        try:
            scores = mean_scores(system.scores, times)
        except InputError as error:
            raise InputError(f"{pair}, {system.system}, {system.metric}: {error}") from error
        by_metric.setdefault(system.metric, {})[system.system] = scores
        signatures[system.metric] = system.signature
    compared = {
        metric: compare(*_apart(scores, len(by_segment)), TEACHER)
        for metric, scores in by_metric.items()
    }
    return {
        "pair": pair,
        "baseline": TEACHER,
        "segments": len(segments),
        "talks": len(set(talks)),
        "resamples": resamples,
        "seed": seed,
        "systems": {
            system: {metric: rows.get(system) for metric, rows in compared.items()}
            for system in hypotheses
        },
        "signatures": signatures,
    }


def _apart(scores: Mapping[str, Scores], draws: int) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Scores by system on the first draws, of segments, and on the rest, of talks."""
    return (
        {system: values[:draws] for system, values in scores.items()},
        {system: np.append(values[:1], values[draws:]) for system, values in scores.items()},
    )
