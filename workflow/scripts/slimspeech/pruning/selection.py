"""Choose the layer to remove from scores that were computed before.

Layers are numbered by their 0-based index in the teacher.
"""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import METRICS
from slimspeech.evaluation.significance import RESAMPLES, draw, mean_scores
from slimspeech.pruning.racing import finishers
from slimspeech.pruning.resampling import judgement, text_scores_by_layer
from slimspeech.pruning.stack import check_last, removable

logger = logging.getLogger(__name__)

# Whether a high or a low score means that the removal costs little. METRICS score translations.
HIGHER_COSTS_LESS = frozenset(METRICS)
LOWER_COSTS_LESS = frozenset({"loss", "kl", "block_influence", "angular"})
COMET = "comet"  # part of the name of every COMET metric; a high score means a small cost


def candidates(
    kept: Sequence[int],
    protect_first: int,
    protect_last: int,
    proposal: Sequence[Mapping[str, Any]] = (),
    size: int = 0,
    may_be_last: Sequence[int] | None = None,
) -> list[int]:
    """The layers to measure: all that may be removed, or the `size` best of a proposal.

    proposal: rows (layer, metric, score) of every layer that may be removed, or nothing.
    Raises InputError if the proposal has other layers; else as removable() and shortlisted().
    """
    layers = removable(kept, protect_first, protect_last, may_be_last)
    if not proposal:
        return layers
    proposed = sorted(int(row["layer"]) for row in proposal)
    if set(proposed) != set(layers):
        raise InputError(
            f"the proposal is for layers {proposed}, but {layers} may be removed; delete "
            "proposal.csv, which belongs to another iteration, and run again"
        )
    return shortlisted(proposal, size)


def middle_layer(candidates: Sequence[int], count: int) -> int:
    """The candidate nearest to the centre of the teacher's `count` layers; of equals, the deepest.

    Eight such removals from 32 layers remove layers 12 to 19.
    """
    return min(candidates, key=lambda layer: (abs(2 * layer - (count - 1)), -layer))


def last_layer(candidates: Sequence[int]) -> int:
    """The deepest candidate."""
    return max(candidates)


def least_important(scores: Mapping[int, float], metric: str) -> int:
    """The layer whose removal costs least by this metric; of equals, the deepest.

    Raises InputError if the metric is unknown, or there is no score, or one is not a number.
    """
    return _by_cost(scores, metric)[0]


def shortlisted(rows: Sequence[Mapping[str, Any]], size: int) -> list[int]:
    """The `size` layers of a proposal whose removal costs least, ascending; all if it has fewer.

    rows: layer, metric, score. Raises InputError if a layer appears twice, metrics are mixed or
    unknown, or a score is not a number.
    """
    if size < 1:
        raise InputError(f"a shortlist of {size} layers is empty; give at least 1")
    return sorted(_by_cost(*_scores_of(rows, "the proposal"))[:size])


def drop_by_place(
    layers: Row,
    criterion: str,
    protect_first: int,
    protect_last: int,
    listed: Sequence[int] = (),
) -> Row:
    """The next layers.json, for a criterion that goes by position.

    criterion: "middle", "last", or the name of a set, whose layers are `listed` in the order of
    removal; they may be protected ones. Raises InputError if no layer is left to remove, or the
    list names a layer that is removed already or does not exist.
    """
    if listed:
        position = len(layers["removed"])
        if position == len(listed):
            raise InputError(f"all {position} layers of the set {criterion} are removed; list more")
        return drop(layers, listed[position])
    remaining = removable(layers["kept"], protect_first, protect_last, layers.get("may_be_last"))
    count = len(layers["kept"]) + len(layers["removed"])
    if criterion == "middle":
        return drop(layers, middle_layer(remaining, count))
    return drop(layers, last_layer(remaining))


def drop(layers: Row, layer: int, **measured: Any) -> Row:
    """The next layers.json: `kept` ascending, `removed` in the order of removal, and `measured`.

    layers: the previous layers.json, which is not changed. Raises InputError if it lacks the layer.
    """
    if layer not in layers["kept"]:
        raise InputError(
            f"layer {layer} cannot be removed, it is not in the stack {layers['kept']}; delete the "
            "file that names it, which belongs to another iteration, and run again"
        )
    dropped = {
        "kept": [kept for kept in layers["kept"] if kept != layer],
        "removed": [*layers["removed"], layer],
    }
    if "may_be_last" in layers:
        check_last(dropped["kept"], layers["may_be_last"])
        dropped["may_be_last"] = layers["may_be_last"]
    return dropped | measured


def drop_least_important(
    layers: Row,
    rows: Sequence[Mapping[str, Any]],
    candidates: Sequence[int],
    hypotheses: Sequence[Row] | None = None,
    segments: Sequence[Row] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Row:
    """The next layers.json: as drop(), with `metric` and `score` of the removed layer.

    layers: the previous layers.json. rows: layer, metric and score; scores.csv has one for each of
    `candidates`, comet.csv one for each candidate and segment, of which the mean counts.
    hypotheses: (layer, id, hypothesis); segments: the manifest rows that they translate. With
    both, a metric of translations also gives what judgement() does. There is none if there is one
    candidate, or for any other metric.
    After a race, whose scores.csv has a column `segments`, only those that finished are compared,
    and `saved` is the share of translations that it left out.
    Raises InputError if a candidate has no score, two, or one that is not a number; a layer is no
    candidate; the metrics are mixed or unknown; hypotheses are missing or give another score.
    """
    by_segment = _segment_scores(rows, segments)
    if by_segment:
        rows = [
            {"layer": layer, "metric": rows[0]["metric"], "score": fmean(segment_scores)}
            for layer, segment_scores in by_segment.items()
        ]
    scores, metric = _scores_of(rows, "scores.csv")
    _check_layers(scores, candidates, layers["kept"])
    raced = {}
    if "segments" in rows[0]:
        counts = {int(row["layer"]): int(row["segments"]) for row in rows}
        scores = {layer: scores[layer] for layer in finishers(counts)}
        raced = {"saved": 1 - sum(counts.values()) / (len(counts) * max(counts.values()))}
    chosen, *others = _by_cost(scores, metric)
    measured: dict[str, Any] = {"metric": metric, "score": scores[chosen], **raced}
    logger.info("layer %d is removed: %s %.6g without it", chosen, metric, scores[chosen])
    drawn = {}
    if others and by_segment:
        counts = draw(len(by_segment[chosen]), resamples, seed)
        drawn = {layer: mean_scores(values, counts) for layer, values in by_segment.items()}
    elif others and metric in HIGHER_COSTS_LESS and hypotheses is not None and segments is not None:
        counts = draw(len(segments), resamples, seed)
        drawn = text_scores_by_layer(scores, metric, hypotheses, segments, counts)
    if drawn:
        measured |= judgement(drawn, chosen, others[0])
    return drop(layers, chosen, **measured)


def _by_cost(scores: Mapping[int, float], metric: str) -> list[int]:
    """The layers in ascending order of what their removal costs; of equals, the deepest first."""
    if metric not in HIGHER_COSTS_LESS | LOWER_COSTS_LESS and COMET not in metric:
        names = ", ".join(sorted(HIGHER_COSTS_LESS | LOWER_COSTS_LESS))
        raise InputError(f"unknown metric {metric!r} of a layer's score; use one of {names}")
    if not scores:
        raise InputError("no candidate has a score, so no layer can be chosen")
    not_finite = [layer for layer, score in scores.items() if not math.isfinite(score)]
    if not_finite:
        raise InputError(
            f"the scores without layers {not_finite} are not numbers; score them again"
        )
    sign = -1 if metric in LOWER_COSTS_LESS else 1
    return sorted(scores, key=lambda layer: (sign * scores[layer], layer), reverse=True)


def _scores_of(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[dict[int, float], str]:
    """The scores by layer, and their one metric."""
    if not rows:
        raise InputError(f"{name} has no scores; remove it and score the layers again")
    counts = Counter(int(row["layer"]) for row in rows)
    repeated = [layer for layer, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"{name} lists layers {repeated} twice; remove it and score the layers again"
        )
    metrics = sorted({row["metric"] for row in rows})
    if len(metrics) > 1:
        raise InputError(
            f"{name} mixes the metrics {', '.join(metrics)}; remove it and score the layers again"
        )
    return {int(row["layer"]): float(row["score"]) for row in rows}, metrics[0]


def _segment_scores(
    rows: Sequence[Mapping[str, Any]], segments: Sequence[Row] | None
) -> dict[int, list[float]]:
    """By layer the scores of the segments in the manifest's order; empty if rows have no ids."""
    if not rows or "id" not in rows[0]:
        return {}
    by_layer: dict[int, dict[str, float]] = {}
    for row in rows:
        by_layer.setdefault(int(row["layer"]), {})[row["id"]] = float(row["score"])
    ids = [segment["id"] for segment in segments or ()]
    for layer, scores in by_layer.items():
        if scores.keys() != set(ids):
            raise InputError(
                f"comet.csv, without layer {layer}: {len(scores)} segments are scored and the "
                f"search has {len(ids)}; remove it and score the layers again"
            )
    if len(rows) != len(by_layer) * len(ids):
        raise InputError("comet.csv lists segments twice; remove it and score the layers again")
    return {layer: [scores[key] for key in ids] for layer, scores in by_layer.items()}


def _check_layers(scores: Mapping[int, float], candidates: Sequence[int], kept: list[int]) -> None:
    foreign = sorted(scores.keys() - set(kept))
    if foreign:
        raise InputError(
            f"scores.csv has layers {foreign}, which are not in the stack {kept}; it belongs to "
            "another iteration: remove it and score the layers again"
        )
    missing = sorted(set(candidates) - scores.keys())
    extra = sorted(scores.keys() - set(candidates))
    if missing or extra:
        raise InputError(
            f"scores.csv has no score for the candidates {missing}, and scores for {extra}, which "
            "are no candidates; remove it and score the layers again"
        )
