"""Whether two systems differ by more than chance in the choice of segments: paired bootstrap.

All systems are scored on the same random draws of the segments, with replacement (Koehn, 2004).
Intervals and p-values hold for these segments only, not for other talks or another training run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import check_counts, scorer

INTERVAL = (0.025, 0.975)  # quantiles of the 95 % percentile interval
RESAMPLES = 1000
SACREBLEU_SEED = 12345  # the default of `sacrebleu --paired-bs`, which draws the same segments

# For one system (1 + resamples,): the score of all segments, then of each draw.
Scores = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A score, difference or percentage on all segments, with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Estimate":
        """values: on all segments, then on each draw, (1 + resamples,)."""
        low, high = np.quantile(values[1:], INTERVAL).tolist()
        return cls(float(values[0]), low, high)

    @property
    def within_noise(self) -> bool:
        """Whether the interval of a difference holds 0."""
        return self.low <= 0 <= self.high


def draw(count: int, resamples: int = RESAMPLES, seed: int = SACREBLEU_SEED) -> np.ndarray:
    """(1 + resamples, count): how often each segment is drawn; once each in the first row.

    The draws are those of sacreBLEU's own test for that seed.
    """
    draws = np.random.default_rng(seed).choice(count, size=(resamples, count), replace=True)
    # Counts, so that a draw's statistics are one matrix product.
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
    return times @ values / len(values)


def difference(system: Scores, other: Scores) -> Estimate:
    return Estimate.of(system - other)


def retention(system: Scores, baseline: Scores) -> Estimate | None:
    """The system's score in percent of the baseline's; None unless that is above 0 on every draw.

    At 0 there is no ratio, and below 0 (some COMET models) a percentage has no meaning.
    """
    return Estimate.of(100 * system / baseline) if (baseline > 0).all() else None


def p_value(system: Scores, baseline: Scores) -> float:
    """p of the paired bootstrap as in sacreBLEU: two-sided, from 1 / (1 + resamples) to 1.

    How often the difference on a draw, minus its mean over the draws, exceeds the one observed.
    """
    differences = np.abs(system - baseline)
    centred = differences[1:] - differences[1:].mean()
    return float((np.sum(centred > differences[0]) + 1) / len(differences))


def compare(systems: Mapping[str, Scores], baseline: str) -> dict[str, dict[str, float | None]]:
    """By system: its score by one metric, compared to the baseline.

    Keys: score, low, high; difference, difference_low, difference_high, p_value; retention (in
    percent), retention_low, retention_high. Without the baseline among the systems all from
    `difference` on are None; the baseline's own p_value is None.
    """
    base = systems.get(baseline)
    rows = {}
    for name, scores in systems.items():
        score = Estimate.of(scores)
        less = None if base is None else difference(scores, base)
        share = None if base is None else retention(scores, base)
        rows[name] = {
            "score": score.value,
            "low": score.low,
            "high": score.high,
            "difference": less and less.value,
            "difference_low": less and less.low,
            "difference_high": less and less.high,
            "p_value": None if base is None or name == baseline else p_value(scores, base),
            "retention": share and share.value,
            "retention_low": share and share.low,
            "retention_high": share and share.high,
        }
    return rows
