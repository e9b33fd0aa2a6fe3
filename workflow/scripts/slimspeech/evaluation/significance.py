"""How far a difference of two systems is more than luck with the segments: paired bootstrap.

All systems are scored anew on the same random draws of the segments, with replacement (Koehn,
2004). Intervals and p-values tell of these segments only, not of other talks or another training
run.
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
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """The score of `better` less that of `other`, whichever is the higher.

    All three lists are in one order. Raises InputError when there is nothing to score, the
    lengths differ or the metric is unknown.
    """
    times = draw(len(references), resamples, seed)
    return difference(
        *(
            text_scores(texts, references, target_language, metric, times)
            for texts in (better, other)
        )
    )


def draw(count: int, resamples: int = RESAMPLES, seed: int = SACREBLEU_SEED) -> np.ndarray:
    """(1 + resamples, count): how often each segment is taken; the first row takes each once.

    The draws are those of sacreBLEU's own test for that seed.
    """
    if count == 0:
        return np.ones((1 + resamples, 0), int)
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

    Raises InputError as `difference_interval`.
    """
    check_counts(hypotheses, references)
    # Private functions of sacreBLEU, as its own significance.py calls them; it has no public way
    # to score a draw but to count the n-grams of every text again. Its version is pinned.
    measure = scorer(metric, target_language)
    counted = np.array(measure._extract_corpus_statistics(hypotheses, [references]))
    return np.array(
        [measure._compute_score_from_stats(sums).score for sums in (times @ counted).tolist()]
    )


def mean_scores(segment_scores: Sequence[float], times: np.ndarray) -> Scores:
    """The same by a metric whose score of a set is the mean over its segments, such as COMET.

    Raises InputError if a score is missing or is not a finite number.
    """
    values = np.array(segment_scores, dtype=float)
    count = times.shape[1]
    if len(values) != count:
        raise InputError(f"{len(values)} segment scores for {count} segments; score them again")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(
            f"the score of segment {place + 1} of {count} is {values[place]}, no finite number; "
            "score them again"
        )
    return times @ values / count


def interval(scores: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of what was computed on the draws, (1 + resamples,)."""
    low, high = np.quantile(scores[1:], INTERVAL).tolist()
    return low, high


def difference(system: Scores, other: Scores) -> Difference:
    found = system - other
    return Difference(float(found[0]), *interval(found))


def retention(system: Scores, baseline: Scores) -> Retention | None:
    """None unless the baseline's score is above 0 on every draw.

    At 0 there is no ratio, and below (some COMET models) a percentage means nothing.
    """
    if (baseline <= 0).any():
        return None
    found = 100 * system / baseline
    return Retention(float(found[0]), *interval(found))


def p_value(system: Scores, baseline: Scores) -> float:
    """Of the paired bootstrap as sacreBLEU defines it: two-sided, from 1 / (1 + resamples) to 1.

    How often the difference on a draw, less its mean over the draws, exceeds the one observed.
    """
    differences = np.abs(system - baseline)
    centred = differences[1:] - differences[1:].mean()
    return float((np.sum(centred > differences[0]) + 1) / len(differences))


def compare(systems: Mapping[str, Scores], baseline: str) -> dict[str, dict[str, float | None]]:
    """By system: its score by one metric, how it stands against the baseline, and how sure that is.

    Keys: score, low, high; difference, difference_low, difference_high, p_value; retention (in
    percent), retention_low, retention_high. What needs a baseline is None where it is not among
    the systems; of the baseline itself only the p-value is.
    """
    return {
        name: _stand(name, scores, systems.get(baseline), baseline)
        for name, scores in systems.items()
    }


def _stand(
    name: str, scores: Scores, other: Scores | None, baseline: str
) -> dict[str, float | None]:
    low, high = interval(scores)
    less = None if other is None else difference(scores, other)
    kept = None if other is None else retention(scores, other)
    return {
        "score": float(scores[0]),
        "low": low,
        "high": high,
        "difference": less and less.difference,
        "difference_low": less and less.low,
        "difference_high": less and less.high,
        "p_value": None if other is None or name == baseline else p_value(scores, other),
        "retention": kept and kept.percent,
        "retention_low": kept and kept.low,
        "retention_high": kept and kept.high,
    }
