"""Trainings that differ in their seed: their mean, its interval, and the spread over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

# Of a value over seeds: itself, its spread, its intervals, and the values of the seeds.
ENDS = ("", "_sd", "_low", "_high", "_by_talk_low", "_by_talk_high", "_of_seeds")
CONTRAST_COLUMNS = (
    *("pair", "system", "metric", "seeds", "other"),
    *(f"difference{end}" for end in ENDS),
)


@dataclass(frozen=True)
class SeedScores:
    """The scores of a pair's systems by its search metric.

    scores: by system, (seeds, 1 + draws of segments + draws of talks); the first column is of all
    segments. draws: columns up to the last draw of segments.
    """

    pair: str
    metric: str
    scores: Mapping[str, np.ndarray]
    draws: int


def score_seeds(
    pair: str,
    segments: Sequence[Row],
    hypotheses: Mapping[str, Sequence[Sequence[Row]]],
    resamples: int = RESAMPLES,
    seed: int = SACREBLEU_SEED,
) -> SeedScores:
    """Score every system of every seed on the same draws of segments and of talks.

    hypotheses: by system, its rows from each seed, in one order of seeds. Raises InputError naming
    the system whose hypotheses do not match.
    """
    metric = search_metric(target_code(pair))
    talks = [segment["talk"] for segment in segments]
    by_segment = draw(len(segments), resamples, seed)
    times = np.concatenate([by_segment, draw_talks(talks, resamples, seed)[1:]])
    scores = {
        system: _scores(pair, system, of_seeds, segments, metric, times)
        for system, of_seeds in hypotheses.items()
    }
    return SeedScores(pair, metric, scores, len(by_segment))


def summarise_seeds(results: SeedScores) -> list[Row]:
    """One row per system; docs/outputs.md lists the columns.

    A seed's percentage is of the teacher of that seed. The intervals are of the mean over seeds,
    by paired bootstrap over segments and over talks.
    """
    teacher = results.scores.get(TEACHER)
    rows = []
    for system, own in results.scores.items():
        row = _system_row(results, own) | {"system": system}
        row |= {"score": float(own[:, 0].mean()), "score_sd": _deviation(own[:, 0])}
        kept = None if teacher is None or not (teacher > 0).all() else 100 * own / teacher
        rows.append(row | _estimated("percent_of_teacher", kept, results.draws))
    return rows


def contrast_seeds(results: SeedScores, contrasts: Sequence[Sequence[str]]) -> list[Row]:
    """One row per contrast (system, other): the system's score minus the other's, in points."""
    rows = []
    for system, other in contrasts:
        own = results.scores[system]
        row = _system_row(results, own) | {"system": system, "other": other}
        rows.append(row | _estimated("difference", own - results.scores[other], results.draws))
    return rows


def _system_row(results: SeedScores, scores: np.ndarray) -> Row:
    return {"pair": results.pair, "system": "", "metric": results.metric, "seeds": len(scores)}


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


def _estimated(name: str, values: np.ndarray | None, draws: int) -> Row:
    """The columns of a value with its intervals. values: (seeds, columns of SeedScores)."""
    if values is None:
        return {f"{name}{end}": None for end in ENDS}
    mean = values.mean(axis=0)
    over_segments = Estimate.of(mean[:draws])
    over_talks = Estimate.of(np.append(mean[:1], mean[draws:]))
    return {
        name: over_segments.value,
        f"{name}_sd": _deviation(values[:, 0]),
        f"{name}_low": over_segments.low,
        f"{name}_high": over_segments.high,
        f"{name}_by_talk_low": over_talks.low,
        f"{name}_by_talk_high": over_talks.high,
        f"{name}_of_seeds": " ".join(str(float(value)) for value in values[:, 0]),
    }


def _deviation(values: np.ndarray) -> float | None:
    """The standard deviation over seeds; None of one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def seeds_markdown(rows: Sequence[Row], contrasts: Sequence[Row], names: dict[str, str]) -> str:
    """The rows of summarise_seeds() and contrast_seeds() as tables of each pair.

    names: of languages, by code.
    """
    sections = ["# Scores over seeds"]
    for pair, of_pair in groupby(rows, key=lambda row: row["pair"]):
        group = list(of_pair)
        cells = [
            [
                row["system"],
                _number(row["score"]) + _deviation_text(row["score_sd"]),
                _number(row["percent_of_teacher"]) + _deviation_text(row["percent_of_teacher_sd"]),
                *(_ends(row, "percent_of_teacher") if row["system"] != TEACHER else [MISSING] * 2),
                _each(row, "percent_of_teacher", ".1f"),
            ]
            for row in group
        ]
        title = TITLES[group[0]["metric"]]
        header = ["System", title, "% of teacher", *INTERVALS, "each seed"]
        sections += [f"## {languages.title(pair, names)} ({pair})", aligned(header, cells)]
        differences = [
            [
                f"{row['system']} - {row['other']}",
                f"{row['difference']:+.2f}" + _deviation_text(row["difference_sd"], 2),
                *_ends(row, "difference", "+.2f"),
                _each(row, "difference", "+.2f"),
            ]
            for row in contrasts
            if row["pair"] == pair
        ]
        if differences:
            header = ["Difference", f"points of {title}", *INTERVALS, "each seed"]
            sections.append(aligned(header, differences))
    sections.append(
        "Means over seeds ± their standard deviation. A seed is of all trainings, the teacher's\n"
        "too; percentages are of the teacher of the same seed. Intervals: 95 %, of the mean over\n"
        "seeds, by paired bootstrap; they do not cover the spread over seeds."
    )
    return "\n\n".join(sections) + "\n"


INTERVALS = ("over segments", "over talks")


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"


def _deviation_text(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f" ± {value:.{digits}f}"


def _each(row: Row, name: str, form: str) -> str:
    """The values of the seeds."""
    values = (row[f"{name}_of_seeds"] or "").split()
    return " ".join(f"{float(value):{form}}" for value in values) or MISSING


def _ends(row: Row, name: str, form: str = ".1f") -> list[str]:
    """The intervals over segments and over talks."""
    ends = [(row[f"{name}{by}_low"], row[f"{name}{by}_high"]) for by in ("", "_by_talk")]
    return [MISSING if low is None else f"[{low:{form}}, {high:{form}}]" for low, high in ends]
