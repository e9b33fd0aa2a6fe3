"""How sure the choice of a layer is: the choice repeated on resampled segments."""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align
from slimspeech.evaluation.significance import Scores, difference, text_scores
from slimspeech.languages import target_code

logger = logging.getLogger(__name__)


def judgement(drawn: Mapping[int, Scores], chosen: int, runner_up: int) -> Row:
    """How sure the choice of a layer is, by paired bootstrap over the segments.

    drawn: by candidate, the scores on all segments and on each draw; higher is better. Gives
    `runner_up`, the `difference` of its score to that of the choice and, unless there are too few
    segments to draw from (MIN_SEGMENTS), the `interval` of the difference, `shares`: how often each
    layer is the best of a draw, as a fraction, by layer, the most frequent first; and `regret`: by
    how many points the choice falls short of the best of a draw, on average. Neither interval nor
    regret is corrected for the number of candidates.
    """
    margin = difference(drawn[chosen], drawn[runner_up])
    judged: Row = {"runner_up": runner_up, "difference": margin.value}
    # Of equals the deepest is the best, as in the search: argmax takes the first.
    deepest_first = sorted(drawn, reverse=True)
    on_draws = np.stack([drawn[layer][1:] for layer in deepest_first])
    if not on_draws.size:
        return judged
    best = Counter(deepest_first[index] for index in on_draws.argmax(axis=0))
    shares = {str(layer): count / best.total() for layer, count in best.most_common()}
    often = ", ".join(f"layer {n} in {100 * share:.0f} %" for n, share in list(shares.items())[:3])
    logger.info("the best choice on resampled segments: %s", often)
    return judged | {
        "interval": [margin.low, margin.high],
        "shares": shares,
        "regret": float((on_draws.max(axis=0) - drawn[chosen][1:]).mean()),
    }


def text_scores_by_layer(
    scores: Mapping[int, float],
    metric: str,
    hypotheses: Sequence[Row],
    segments: Sequence[Row],
    counts: np.ndarray,
) -> dict[int, Scores]:
    """By candidate, the scores of its translations on all segments and on each draw.

    scores: of each candidate on all segments, as in scores.csv. hypotheses: rows of layer, id and
    hypothesis. counts: of draw().
    Raises InputError if hypotheses are missing or give another score.
    """
    language = target_code(segments[0]["pair"])
    by_layer: dict[int, list[Row]] = {layer: [] for layer in scores}
    for row in hypotheses:
        by_layer.setdefault(row["layer"], []).append(row)
    drawn = {}
    for layer, score in scores.items():
        try:
            texts = align(by_layer[layer], segments)
        except InputError as error:
            raise InputError(f"hypotheses.jsonl, without layer {layer}: {error}") from error
        drawn[layer] = text_scores(*texts, language, metric, counts)
        _check_score(layer, drawn[layer][0], score)
    return drawn


def _check_score(layer: int, translated: float, scored: float) -> None:
    if not math.isclose(translated, scored, abs_tol=1e-6):
        raise InputError(
            f"without layer {layer}, the score is {scored:.4f} by scores.csv and {translated:.4f} "
            "by hypotheses.jsonl: they do not belong together; remove both and score the layers "
            "again"
        )
