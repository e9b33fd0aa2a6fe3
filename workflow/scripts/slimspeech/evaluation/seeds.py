"""Trainings that differ in their seed: their mean, its interval, and the spread over seeds."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from slimspeech import languages
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, search_metric
from slimspeech.evaluation.score_table import TITLES
from slimspeech.evaluation.significance import (
    RESAMPLES,
    SACREBLEU_SEED,
    Estimate,
    Scores,
    draw,
    draw_talks,
    text_scores,
)
from slimspeech.formatting import MISSING, aligned
from slimspeech.languages import target_code
from slimspeech.systems import TEACHER


def summarise_seeds(
    pair: str,
    segments: Sequence[Row],
    hypotheses: Mapping[str, Sequence[Sequence[Row]]],
    resamples: int = RESAMPLES,
    seed: int = SACREBLEU_SEED,
) -> list[Row]:
    """One row per system, by the pair's search metric; docs/outputs.md lists the columns.

    hypotheses: by system, its rows from each seed, in one order of seeds. A seed's percentage is of
    the teacher of that seed. The intervals are of the mean over seeds, by paired bootstrap over
    segments and over talks. Raises InputError naming the system whose hypotheses do not match.
    """
    metric = search_metric(target_code(pair))
    talks = [segment["talk"] for segment in segments]
    by_segment = draw(len(segments), resamples, seed)
    times = np.concatenate([by_segment, draw_talks(talks, resamples, seed)[1:]])
    scores = {
        system: _scores(pair, system, of_seeds, segments, metric, times)
        for system, of_seeds in hypotheses.items()
    }
    teacher = scores.get(TEACHER)
    rows = []
    for system, own in scores.items():
        row: Row = {"pair": pair, "system": system, "metric": metric, "seeds": len(own)}
        row |= {"score": float(own[:, 0].mean()), "score_sd": _deviation(own[:, 0])}
        kept = None if teacher is None or not (teacher > 0).all() else 100 * own / teacher
        rows.append(row | _kept(kept, len(by_segment)))
    return rows


def _scores(
    pair: str,
    system: str,
    of_seeds: Sequence[Sequence[Row]],
    segments: Sequence[Row],
    metric: str,
    times: np.ndarray,
) -> np.ndarray:
    """(seeds, draws)."""
    language = target_code(pair)
    scores: list[Scores] = []
    for rows in of_seeds:
        try:
            texts = align(rows, segments)
        except InputError as error:
            raise InputError(f"{pair}, {system}: {error}") from error
        scores.append(text_scores(*texts, language, metric, times))
    return np.stack(scores)


def _kept(kept: np.ndarray | None, draws: int) -> Row:
    """The columns on the percentage of the teacher. kept: (seeds, draws), those of talks last."""
    if kept is None:
        names = ("", "_sd", "_low", "_high", "_by_talk_low", "_by_talk_high", "_of_seeds")
        return {f"percent_of_teacher{name}": None for name in names}
    mean = kept.mean(axis=0)
    over_segments = Estimate.of(mean[:draws])
    over_talks = Estimate.of(np.append(mean[:1], mean[draws:]))
    return {
        "percent_of_teacher": over_segments.value,
        "percent_of_teacher_sd": _deviation(kept[:, 0]),
        "percent_of_teacher_low": over_segments.low,
        "percent_of_teacher_high": over_segments.high,
        "percent_of_teacher_by_talk_low": over_talks.low,
        "percent_of_teacher_by_talk_high": over_talks.high,
        "percent_of_teacher_of_seeds": " ".join(f"{value:.2f}" for value in kept[:, 0]),
    }


def _deviation(values: np.ndarray) -> float | None:
    """The standard deviation over seeds; None of one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def seeds_markdown(rows: Sequence[Row], names: dict[str, str]) -> str:
    """The rows of summarise_seeds() as one table a pair. names: of languages, by code."""
    sections = ["# Scores over seeds"]
    for pair, of_pair in groupby(rows, key=lambda row: row["pair"]):
        group = list(of_pair)
        cells = [
            [
                row["system"],
                _number(row["score"]) + _deviation_text(row["score_sd"]),
                _number(row["percent_of_teacher"]) + _deviation_text(row["percent_of_teacher_sd"]),
                _interval(row, "percent_of_teacher"),
                _interval(row, "percent_of_teacher_by_talk"),
                row["percent_of_teacher_of_seeds"] or MISSING,
            ]
            for row in group
        ]
        title = TITLES[group[0]["metric"]]
        header = ["System", title, "% of teacher", "over segments", "over talks", "each seed"]
        sections += [f"## {languages.title(pair, names)} ({pair})", aligned(header, cells)]
    sections.append(
        "Means over seeds ± their standard deviation. A seed is of all trainings, the teacher's\n"
        "too; percentages are of the teacher of the same seed. Intervals: 95 %, of the mean over\n"
        "seeds, by paired bootstrap; they do not cover the spread over seeds."
    )
    return "\n\n".join(sections) + "\n"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"


def _deviation_text(value: float | None) -> str:
    return "" if value is None else f" ± {value:.1f}"


def _interval(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return MISSING if low is None or row["system"] == TEACHER else f"[{low:.1f}, {high:.1f}]"
