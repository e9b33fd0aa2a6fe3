"""Whether two systems differ by more than chance in the choice of segments: paired bootstrap.

All systems are scored on the same random draws of the segments, with replacement (Koehn, 2004), or
on the same draws of whole talks. Intervals and p-values do not cover another training run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import check_counts, scorer

INTERVAL = (0.025, 0.975)  # quantiles of the 95 % percentile interval
RESAMPLES = 1000
SACREBLEU_SEED = 12345  # the default of `sacrebleu --paired-bs`, which draws the same segments
# Draws of fewer segments, or of fewer talks, are too few different ones to judge by.
MIN_SEGMENTS, MIN_TALKS = 10, 5

# For one system (1 + resamples,): the score of all segments, then of each draw.
Scores = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A score, difference or percentage on all segments, with its 95 % percentile interval.

    low, high: None without draws.
    """

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: np.ndarray) -> "Estimate":
        """values: on all segments, then on each draw, (1 + resamples,)."""
        if len(values) == 1:
            return cls(float(values[0]), None, None)
        low, high = np.quantile(values[1:], INTERVAL).tolist()
        return cls(float(values[0]), low, high)


def draw(count: int, resamples: int = RESAMPLES, seed: int = SACREBLEU_SEED) -> np.ndarray:
    """(1 + resamples, count): how often each segment is drawn; once each in the first row.

    The draws are those of sacreBLEU's own test for that seed. Below MIN_SEGMENTS there are none,
    only the first row.
    """
    draws = np.random.default_rng(seed).choice(count, size=(resamples, count), replace=True)
    return _counts(draws if count >= MIN_SEGMENTS else draws[:0], count)


def draw_talks(
    talks: Sequence[str], resamples: int = RESAMPLES, seed: int = SACREBLEU_SEED
) -> np.ndarray:
    """As draw(), but whole talks are drawn: the cluster bootstrap (Davison and Hinkley, 1997).

    Segments of a talk share a speaker and a topic, so they are not independent. talks: the talk of
    each segment. Below MIN_TALKS talks there are no draws.
    """
    names, talk_of_segment = np.unique(talks, return_inverse=True)
    count = len(names)
    draws = np.random.default_rng(seed).choice(count, size=(resamples, count), replace=True)
    return _counts(draws if count >= MIN_TALKS else draws[:0], count)[:, talk_of_segment]


def _counts(draws: np.ndarray, count: int) -> np.ndarray:
    """How often each of `count` is in each draw, so that its statistics are a matrix product."""
    return np.stack([np.ones(count, int), *(np.bincount(d, minlength=count) for d in draws)])


def text_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    target_language: str,
    metric: str,
    times: np.ndarray,
) -> Scores:
    """A system's scores by one of sacreBLEU's metrics, on all segments and on each draw.

    Raises InputError if there is nothing to score, the lengths differ or the metric is unknown.
    """
    check_counts(hypotheses, references)
    # Private functions of sacreBLEU, as in its own significance.py: its public functions would
    # count the n-grams of every text again for each draw. Its version is pinned.
    measure = scorer(metric, target_language)
    statistics = np.array(measure._extract_corpus_statistics(hypotheses, [references]))
    return np.array(
        [measure._compute_score_from_stats(sums).score for sums in (times @ statistics).tolist()]
    )


def mean_scores(segment_scores: Sequence[float], times: np.ndarray) -> Scores:
    """As text_scores(), by a metric whose corpus score is the mean over segments, such as COMET.

    Raises InputError if a score is not a finite number.
    """
    values = np.array(segment_scores, dtype=float)
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(
            f"the score of segment {index + 1} of {len(values)} is {values[index]}, not a finite "
            "number; score them again"
        )
    return times @ values / times.sum(axis=1)


def difference(system: Scores, other: Scores) -> Estimate:
    return Estimate.of(system - other)


def retention(system: Scores, baseline: Scores) -> Estimate | None:
    """The system's score in percent of the baseline's; None unless that is above 0 on every draw.

    At 0 there is no ratio, and below 0 (some COMET models) a percentage has no meaning.
    """
    return Estimate.of(100 * system / baseline) if (baseline > 0).all() else None


def p_value(system: Scores, baseline: Scores) -> float | None:
    """Two-sided p of the paired bootstrap, from 1 / (1 + resamples) to 1; None without draws.

    How often the difference on a draw is as far from the mean difference of all draws as the
    difference on all segments is from 0. It is 1 for identical translations.
    """
    observed, *drawn = system - baseline
    if not drawn:
        return None
    as_far = np.abs(drawn - np.mean(drawn)) >= abs(observed)
    return float((as_far.sum() + 1) / (len(drawn) + 1))


def sacrebleu_p_value(system: Scores, baseline: Scores) -> float | None:
    """What `sacrebleu --paired-bs` prints, for comparison with other papers; None without draws.

    It drops the sign of each difference before it subtracts their mean. So it counts one side only
    and is about half of p_value(); under a true null, about one in ten is below 0.05.
    """
    observed, *drawn = np.abs(system - baseline)
    if not drawn:
        return None
    further = drawn - np.mean(drawn) > observed
    return float((further.sum() + 1) / (len(drawn) + 1))


def compare(
    systems: Mapping[str, Scores], by_talk: Mapping[str, Scores], baseline: str
) -> dict[str, dict[str, float | dict[str, float | None] | None]]:
    """By system: its score by one metric, compared to the baseline.

    by_talk: the systems' scores on draws of talks. Keys: score, low, high; difference,
    difference_low, difference_high, p_value, sacrebleu_p_value; retention (in percent),
    retention_low, retention_high; by_talk, with the ends of the same intervals by draws of talks.
    What needs draws is None without them. Without the baseline among the systems all from
    `difference` on are None; the baseline's own p-values are None.
    """
    base = systems.get(baseline)
    rows = {}
    for name, scores in systems.items():
        score, less, share = _estimates(scores, base)
        tested = base is not None and name != baseline
        rows[name] = {
            "score": score.value,
            "low": score.low,
            "high": score.high,
            "difference": less and less.value,
            "difference_low": less and less.low,
            "difference_high": less and less.high,
            "p_value": p_value(scores, base) if tested else None,
            "sacrebleu_p_value": sacrebleu_p_value(scores, base) if tested else None,
            "retention": share and share.value,
            "retention_low": share and share.low,
            "retention_high": share and share.high,
            "by_talk": _ends(*_estimates(by_talk[name], by_talk.get(baseline))),
        }
    return rows


def _estimates(
    scores: Scores, base: Scores | None
) -> tuple[Estimate, Estimate | None, Estimate | None]:
    """The score, and its difference to the baseline and percentage of it."""
    if base is None:
        return Estimate.of(scores), None, None
    return Estimate.of(scores), difference(scores, base), retention(scores, base)


def _ends(
    score: Estimate, less: Estimate | None, share: Estimate | None
) -> dict[str, float | None]:
    return {
        "low": score.low,
        "high": score.high,
        "difference_low": less and less.low,
        "difference_high": less and less.high,
        "retention_low": share and share.low,
        "retention_high": share and share.high,
    }
