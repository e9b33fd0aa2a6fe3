"""How far a difference of two systems is more than luck with the segments: paired bootstrap.

Both systems are scored anew on the same random draws of the segments, with replacement (Koehn,
2004). The interval tells of these segments only, not of other talks or another training run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimspeech.metrics import check_counts, scorer

INTERVAL = (0.025, 0.975)  # quantiles of the 95 % percentile interval


@dataclass(frozen=True)
class Difference:
    """Corpus score of one system less that of another, in points, with its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def within_noise(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Retention:
    """Corpus score of one system in percent of another's, with its 95 % interval."""

    percent: float
    low: float
    high: float


def difference_interval(
    better: Sequence[str],
    other: Sequence[str],
    references: Sequence[str],
    target_language: str,
    metric: str,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """The score of `better` less that of `other`, whichever is the higher.

    All three lists are in one order. Raises InputError when there is nothing to score, the
    lengths differ or the metric is unknown.
    """
    first, second = _scores([better, other], references, target_language, metric, resamples, seed)
    found = first - second
    low, high = np.quantile(found[1:], INTERVAL).tolist()
    return Difference(float(found[0]), low, high)


def retention_interval(
    system: Sequence[str],
    teacher: Sequence[str],
    references: Sequence[str],
    target_language: str,
    metric: str,
    resamples: int = 1000,
    seed: int = 0,
) -> Retention | None:
    """The score of `system` in percent of that of `teacher`, else as `difference_interval`.

    None if the teacher scores 0 on any draw: then there is no ratio, or its interval no bound.
    """
    first, second = _scores([system, teacher], references, target_language, metric, resamples, seed)
    if not second.all():
        return None
    found = 100 * first / second
    low, high = np.quantile(found[1:], INTERVAL).tolist()
    return Retention(float(found[0]), low, high)


def _scores(
    systems: Sequence[Sequence[str]],
    references: Sequence[str],
    target_language: str,
    metric: str,
    resamples: int,
    seed: int,
) -> list[np.ndarray]:
    """For each system (1 + resamples,): the score of all segments, then of each draw."""
    for hypotheses in systems:
        check_counts(hypotheses, references)
    count = len(references)
    # One draw of indices for all systems, and the same as sacreBLEU's own test for that seed.
    draws = np.random.default_rng(seed).choice(count, size=(resamples, count), replace=True)
    # How often each segment was drawn, so that a draw's statistics are one matrix product.
    times = np.stack([np.ones(count, int), *(np.bincount(d, minlength=count) for d in draws)])
    # Private functions of sacreBLEU, as its own significance.py calls them; it has no public way
    # to score a draw but to count the n-grams of every text again. Its version is pinned.
    measure = scorer(metric, target_language)
    counted = [measure._extract_corpus_statistics(texts, [references]) for texts in systems]
    return [
        np.array([measure._compute_score_from_stats(sums).score for sums in total.tolist()])
        for total in (times @ np.array(statistics) for statistics in counted)
    ]
