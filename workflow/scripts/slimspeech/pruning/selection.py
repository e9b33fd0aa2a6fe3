"""Which layer goes: the decision, apart from the costly scores, so that it can be taken again.

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
from slimspeech.evaluation.metrics import METRICS, align
from slimspeech.evaluation.significance import (
    RESAMPLES,
    Difference,
    difference,
    difference_interval,
    draw,
    mean_scores,
)
from slimspeech.languages import target_code

logger = logging.getLogger(__name__)

# By which end of a metric's scores the removal costs least. Those of METRICS need translations.
HIGHER_COSTS_LESS = frozenset(METRICS)
LOWER_COSTS_LESS = frozenset({"loss", "block_influence", "angular"})
COMET = "comet"  # is in the name of every COMET metric, whose removals cost least where it is high


def removable(kept: Sequence[int], protect_first: int, protect_last: int) -> list[int]:
    """The layers that may go. Protected ones never leave, so the ends of `kept` are theirs.

    Raises InputError if none is left.
    """
    found = list(kept[protect_first : len(kept) - protect_last])
    if not found:
        raise InputError(
            f"no layer can go: {len(kept)} are left and {protect_first} + {protect_last} are "
            "protected; lower pruning.iterations"
        )
    return found


def candidates(
    kept: Sequence[int],
    protect_first: int,
    protect_last: int,
    proposal: Sequence[Mapping[str, Any]] = (),
    size: int = 0,
) -> list[int]:
    """The layers that are measured: all that may go, or of a proposal's the `size` best.

    proposal: rows (layer, metric, score) of every layer that may go, or nothing.
    Raises InputError if the proposal has other layers; else as removable() and shortlisted().
    """
    found = removable(kept, protect_first, protect_last)
    if not proposal:
        return found
    proposed = sorted(int(row["layer"]) for row in proposal)
    if set(proposed) != set(found):
        raise InputError(
            f"the proposal is for layers {proposed} and {found} may go; remove proposal.csv, which "
            "is of another iteration, and run again"
        )
    return shortlisted(proposal, size)


def middle_layer(candidates: Sequence[int], count: int) -> int:
    """The candidate nearest to the centre of the teacher's `count` layers; of equals, the deepest.

    Taken again and again, 8 of 32 layers are 12 to 19.
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

    rows: layer, metric, score. Raises InputError if a layer is doubled, metrics are mixed or
    unknown, or a score is not a number.
    """
    if size < 1:
        raise InputError(f"a shortlist of {size} layers leaves none to choose; give at least 1")
    return sorted(_by_cost(*_scores_of(rows, "the proposal"))[:size])


def drop_by_place(
    layers: Row,
    criterion: str,
    protect_first: int,
    protect_last: int,
    listed: Sequence[int] = (),
) -> Row:
    """The next layers.json without measuring.

    By criterion "middle" or "last", or the next of the `listed` layers, which may be protected
    ones. Raises InputError if none is left to go, or the list names a layer that is gone or
    never was.
    """
    if listed:
        done = len(layers["removed"])
        if done == len(listed):
            raise InputError(f"all {done} layers of the set {criterion} are gone; list more")
        return drop(layers, listed[done])
    left = removable(layers["kept"], protect_first, protect_last)
    count = len(layers["kept"]) + len(layers["removed"])
    return drop(layers, middle_layer(left, count) if criterion == "middle" else last_layer(left))


def drop(layers: Row, layer: int, **found: Any) -> Row:
    """The next layers.json: `kept` ascending, `removed` in the order of removal, what was found.

    layers: the one before, which is left as it is. Raises InputError if the layer is gone already.
    """
    if layer not in layers["kept"]:
        raise InputError(
            f"layer {layer} cannot go, it is not in the stack {layers['kept']}; remove what named "
            "it, which is of another iteration, and run again"
        )
    return {
        "kept": [kept for kept in layers["kept"] if kept != layer],
        "removed": [*layers["removed"], layer],
        **found,
    }


def drop_least_important(
    layers: Row,
    rows: Sequence[Mapping[str, Any]],
    candidates: Sequence[int],
    hypotheses: Sequence[Row] | None = None,
    segments: Sequence[Row] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Row:
    """The next layers.json: that of `drop`, with `metric` and `score` of the layer that goes.

    layers: the one before. rows: with layer, metric and score; of scores.csv one for each of
    `candidates`, of comet.csv one for each of them and segment, whose mean counts. With the
    hypotheses (layer, id, hypothesis) and the manifest rows they translate,
    a generated metric also gives the `runner_up`, the `difference` to its score, the 95 %
    `interval` of that (paired bootstrap over the segments), and `within_noise`: whether it holds
    0. It takes the two as given and makes no allowance for the candidates being many. A search of
    one candidate has no runner-up, nor has any other metric.
    Raises InputError if a candidate has no score, two, or one that is not a number; a layer is no
    candidate; the metrics are mixed or unknown; hypotheses are missing or give another score.
    """
    by_segment = _segment_scores(rows, segments)
    if by_segment:
        rows = [
            {"layer": layer, "metric": rows[0]["metric"], "score": fmean(found)}
            for layer, found in by_segment.items()
        ]
    scores, metric = _scores_of(rows, "scores.csv")
    _check_layers(scores, candidates, layers["kept"])
    chosen, *others = _by_cost(scores, metric)
    found = {"metric": metric, "score": scores[chosen]}
    logger.info("layer %d goes: %s %.6g without it", chosen, metric, scores[chosen])
    less = None
    if others and by_segment:
        times = draw(len(by_segment[chosen]), resamples, seed)
        less = difference(*(mean_scores(by_segment[n], times) for n in (chosen, others[0])))
    elif others and metric in HIGHER_COSTS_LESS and hypotheses is not None and segments is not None:
        less = _compare(chosen, others[0], metric, hypotheses, segments, resamples, seed)
        _check_difference(less.difference, scores[chosen] - scores[others[0]])
    if less:
        found |= {
            "runner_up": others[0],
            "difference": less.difference,
            "interval": [less.low, less.high],
            "within_noise": less.within_noise,
        }
        if less.within_noise:
            logger.info(
                "the choice of layer %d is within noise: on other segments layer %d might have "
                "gone, the difference of %s is %.4g with a 95 %% interval of %.4g to %.4g",
                chosen,
                others[0],
                metric,
                less.difference,
                less.low,
                less.high,
            )
    return drop(layers, chosen, **found)


def _by_cost(scores: Mapping[int, float], metric: str) -> list[int]:
    """The layers, that whose removal costs least first; equals from the deepest."""
    if metric not in HIGHER_COSTS_LESS | LOWER_COSTS_LESS and COMET not in metric:
        known = ", ".join(sorted(HIGHER_COSTS_LESS | LOWER_COSTS_LESS))
        raise InputError(f"unknown metric {metric!r} of a layer's score; use one of {known}")
    if not scores:
        raise InputError("no candidate has a score, so no layer can be chosen")
    broken = [layer for layer, score in scores.items() if not math.isfinite(score)]
    if broken:
        raise InputError(f"the scores without layers {broken} are not numbers; score them again")
    sign = -1 if metric in LOWER_COSTS_LESS else 1
    return sorted(scores, key=lambda layer: (sign * scores[layer], layer), reverse=True)


def _scores_of(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[dict[int, float], str]:
    """The scores by layer, and their one metric."""
    if not rows:
        raise InputError(f"{name} has no scores; remove it and score the layers again")
    doubled = [
        layer for layer, times in Counter(int(r["layer"]) for r in rows).items() if times > 1
    ]
    if doubled:
        raise InputError(
            f"{name} lists layers {doubled} twice; remove it and score the layers again"
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
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        found.setdefault(int(row["layer"]), {})[row["id"]] = float(row["score"])
    wanted = [segment["id"] for segment in segments or ()]
    for layer, scores in found.items():
        if scores.keys() != set(wanted):
            raise InputError(
                f"comet.csv, without layer {layer}: {len(scores)} segments are scored and the "
                f"search has {len(wanted)}; remove it and score the layers again"
            )
    if len(rows) != len(found) * len(wanted):
        raise InputError("comet.csv lists segments twice; remove it and score the layers again")
    return {layer: [scores[key] for key in wanted] for layer, scores in found.items()}


def _check_layers(scores: Mapping[int, float], candidates: Sequence[int], kept: list[int]) -> None:
    gone = sorted(scores.keys() - set(kept))
    if gone:
        raise InputError(
            f"scores.csv has layers {gone}, which are not in the stack {kept}; it belongs to "
            "another iteration: remove it and score the layers again"
        )
    missing = sorted(set(candidates) - scores.keys())
    strangers = sorted(scores.keys() - set(candidates))
    if missing or strangers:
        raise InputError(
            f"scores.csv has no score for the candidates {missing} and one for the layers "
            f"{strangers}, which are none; remove it and score the layers again"
        )


def _compare(
    chosen: int,
    runner_up: int,
    metric: str,
    hypotheses: Sequence[Row],
    segments: Sequence[Row],
    resamples: int,
    seed: int,
) -> Difference:
    texts = []
    for layer in (chosen, runner_up):
        try:
            found, references = align([r for r in hypotheses if r["layer"] == layer], segments)
        except InputError as error:
            raise InputError(f"hypotheses.jsonl, without layer {layer}: {error}") from error
        texts.append(found)
    language = target_code(segments[0]["pair"])
    return difference_interval(*texts, references, language, metric, resamples, seed)


def _check_difference(found: float, scored: float) -> None:
    if not math.isclose(found, scored, abs_tol=1e-6):
        raise InputError(
            f"the best two layers of scores.csv are {scored:.4f} apart, and {found:.4f} by "
            "hypotheses.jsonl: they do not belong together; remove both and score the layers again"
        )
