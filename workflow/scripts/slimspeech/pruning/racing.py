"""Racing: candidates that cannot win any more are dropped before all segments are translated.

The idea is that of Hoeffding races (Maron and Moore, 1994); the bound is a paired bootstrap.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from slimspeech.artifacts import Row
from slimspeech.evaluation.significance import draw, text_scores
from slimspeech.languages import target_code

logger = logging.getLogger(__name__)

ROUND = 20  # segments that are translated between two looks
SEED = 0

# The texts of each of these candidates, for these segments (indices, ascending).
Translate = Callable[[Sequence[int], Sequence[int]], Sequence[Sequence[str]]]


def race(
    candidates: Sequence[int], segments: Sequence[Row], metric: str, translate: Translate
) -> dict[int, dict[int, str]]:
    """By candidate, its translations by index of the segment.

    Segments are translated in rounds, in random order. After each round a candidate is dropped if
    it scores below the leader on every one of 1000 draws of the segments so far: on other such
    segments it would win less than once in 1000 times. At least one candidate is left, with
    translations of all segments; so are all that were never dropped.
    """
    texts: dict[int, dict[int, str]] = {layer: {} for layer in candidates}
    running = list(candidates)
    order = np.random.default_rng(SEED).permutation(len(segments)).tolist()
    for start in range(0, len(order), ROUND):
        batch = sorted(order[start : start + ROUND])
        for layer, translated in zip(running, translate(running, batch), strict=True):
            texts[layer] |= zip(batch, translated, strict=True)
        if start + ROUND < len(order):
            dropped = _hopeless({layer: texts[layer] for layer in running}, segments, metric)
            running = [layer for layer in running if layer not in dropped]
            if dropped:
                names = ", ".join(map(str, dropped))
                logger.info("after %d segments: out of the race: %s", start + ROUND, names)
    return texts


def _hopeless(
    texts: Mapping[int, Mapping[int, str]], segments: Sequence[Row], metric: str
) -> list[int]:
    """The candidates that score below the leader on every draw; all have the same segments."""
    indices = sorted(next(iter(texts.values())))
    references = [segments[i]["target"] for i in indices]
    language = target_code(segments[0]["pair"])
    times = draw(len(indices), seed=SEED)
    scores = {
        layer: text_scores([own[i] for i in indices], references, language, metric, times)
        for layer, own in texts.items()
    }
    leader = max(scores, key=lambda layer: (scores[layer][0], layer))
    return [layer for layer in scores if (scores[layer] < scores[leader]).all() and len(times) > 1]


def finishers(counts: Mapping[int, int]) -> list[int]:
    """The candidates that no race dropped. counts: of translated segments, by candidate."""
    most = max(counts.values())
    return [layer for layer, count in counts.items() if count == most]
