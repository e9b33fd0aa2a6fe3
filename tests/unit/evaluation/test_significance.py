import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import METRICS, score, scorer
from slimspeech.evaluation.significance import (
    RESAMPLES,
    Estimate,
    difference,
    draw,
    draw_talks,
    mean_scores,
    p_value,
    retention,
    sacrebleu_p_value,
    text_scores,
)

REFERENCES = {
    "de": [
        "Das ist ein kleiner Test.",
        "Wir danken der Jury sehr.",
        "Guten Morgen, liebe Welt!",
        "Und nun zum zweiten Teil des Vortrags.",
        "Nein.",
        "Die Modelle sind nach dem Beschneiden kleiner und schneller.",
    ],
    "zh": ["今天天气很好。", "我们感谢大家。", "模型变小了。", "你好", "这是第二部分", "谢谢！"],
}
GOOD = {
    "de": [
        "Das ist ein kleines Fest.",
        "Wir danken der Jury.",
        "Guten Morgen, Welt!",
        "Und nun der zweite Teil des Vortrags.",
        "Nein.",
        "Modelle sind nach dem Beschneiden schneller.",
    ],
    "zh": ["今天天气不好。", "我们感谢大家。", "模型小了。", "你好", "这是第三部分", "谢"],
}
POOR = {
    "de": ["Das ist", "Wir gehen der Jury.", "", "Und nun zum Teil.", "Ja.", "Die Modelle."],
    "zh": ["今天很好。", "他们感谢。", "", "你好", "二部分", "谢谢！"],
}
# Twice, because fewer than ten segments are not compared.
REFERENCES, GOOD, POOR = (
    {language: texts * 2 for language, texts in part.items()} for part in (REFERENCES, GOOD, POOR)
)
CASES = [(language, metric) for language in ("de", "zh") for metric in METRICS]


def difference_interval(better, other, references, language, metric, resamples=RESAMPLES, seed=0):
    times = draw(len(references), resamples, seed)
    return difference(
        *(text_scores(texts, references, language, metric, times) for texts in (better, other))
    )


def compared(language, metric, first=GOOD, second=POOR, resamples=100, seed=0):
    return difference_interval(
        first[language], second[language], REFERENCES[language], language, metric, resamples, seed
    )


def kept(system, teacher, references, language, metric, resamples):
    times = draw(len(references), resamples)
    return retention(
        *(text_scores(texts, references, language, metric, times) for texts in (system, teacher))
    )


@pytest.mark.parametrize("language, metric", CASES)
def test_the_difference_is_that_of_the_scores(language, metric):
    good, poor = (
        score(system[language], REFERENCES[language], language, [metric])[metric]["score"]
        for system in (GOOD, POOR)
    )
    assert compared(language, metric).value == good - poor > 0


@pytest.mark.parametrize("language, metric", CASES)
def test_retention_is_in_percent_of_the_teacher(language, metric):
    poor, good, references = (part[language] * 10 for part in (POOR, GOOD, REFERENCES))
    scores = [
        score(system, references, language, [metric])[metric]["score"] for system in (poor, good)
    ]
    retained = kept(poor, good, references, language, metric, 100)
    assert retained.value == pytest.approx(100 * scores[0] / scores[1])
    assert 0 < retained.low < retained.value < retained.high < 100
    itself = kept(good, good, references, language, metric, 20)
    assert (itself.value, itself.low, itself.high) == pytest.approx((100, 100, 100))


@pytest.mark.parametrize("language, metric", CASES)
def test_the_interval_is_that_of_texts_drawn_and_scored_again(language, metric):
    references = REFERENCES[language]
    count = len(references)
    measure = scorer(metric, language)

    def redrawn(system, draw):
        texts = [system[language][i] for i in draw]
        return measure.corpus_score(texts, [[references[i] for i in draw]]).score

    draws = np.random.default_rng(7).choice(count, size=(40, count), replace=True)
    differences = sorted(redrawn(GOOD, draw) - redrawn(POOR, draw) for draw in draws)
    estimate = compared(language, metric, resamples=40, seed=7)
    # The quantiles of 40 values lie 0.975 of a step from either end.
    low = 0.025 * differences[0] + 0.975 * differences[1]
    high = 0.975 * differences[-2] + 0.025 * differences[-1]
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


@pytest.mark.parametrize("metric, measure", [("bleu", BLEU()), ("chrf++", CHRF(word_order=2))])
def test_it_agrees_with_sacrebleu_on_what_is_significant(metric, measure):
    def p_value(first, second):
        named = [("first", first * 5), ("second", second * 5)]
        test = PairedTest(named, {metric: measure}, [REFERENCES["de"] * 5], "bs", n_samples=100)
        return list(test()[1].values())[1][1].p_value

    def within_noise(first, second):
        references = REFERENCES["de"] * 5
        margin = difference_interval(first * 5, second * 5, references, "de", metric, 100)
        return margin.low <= 0 <= margin.high

    good, poor = GOOD["de"], POOR["de"]
    mixed = [*good[:2], REFERENCES["de"][2], poor[3], *good[4:]]
    assert p_value(good, poor) < 0.05 and not within_noise(good, poor)
    assert p_value(good, mixed) > 0.05 and within_noise(good, mixed)


@pytest.mark.parametrize("language, metric", CASES)
def test_a_system_does_not_differ_from_itself(language, metric):
    estimate = compared(language, metric, GOOD, GOOD)
    assert estimate == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS)
def test_swapping_the_systems_changes_the_sign(metric):
    one_way, back = compared("de", metric), compared("de", metric, POOR, GOOD)
    assert one_way.low > 0 > back.high
    assert (back.value, back.low, back.high) == pytest.approx(
        (-one_way.value, -one_way.high, -one_way.low)
    )


def test_the_seed_decides():
    assert compared("de", "chrf", seed=3) == compared("de", "chrf", seed=3)
    assert compared("de", "chrf", seed=3) != compared("de", "chrf", seed=4)


def test_a_handful_of_segments_has_no_interval():
    nine = [texts["de"][:9] for texts in (GOOD, POOR, REFERENCES)]
    margin = difference_interval(*nine, "de", "chrf")
    assert margin.value > 0
    assert (margin.low, margin.high) == (None, None)
    scores = [text_scores(texts, nine[2], "de", "chrf", draw(9)) for texts in nine[:2]]
    assert p_value(*scores) is None and sacrebleu_p_value(*scores) is None


def normal(count, seed):
    return np.random.default_rng(seed).normal(size=count)


def test_identical_systems_have_p_of_1():
    scores = mean_scores(normal(50, 0), draw(50))
    assert p_value(scores, scores) == 1
    assert sacrebleu_p_value(scores, scores) < 0.01  # why there is a p-value of our own


def test_p_is_that_of_a_z_test():
    """A mean of n normal differences: p is that of its distance from 0 in standard errors."""
    count = 400
    differences = normal(count, 3)
    for shift in (0.05, 0.1):
        values = differences - differences.mean() + shift
        z = shift / (values.std() / math.sqrt(count))
        times = draw(count, 4000)
        p = p_value(mean_scores(values, times), mean_scores(np.zeros(count), times))
        assert p == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.02)


def test_p_below_5_percent_comes_in_5_percent_of_true_nulls():
    """Two systems that differ by coin alone, 1000 times. Three standard errors are 2.1 %."""
    count, trials = 100, 1000
    times = draw(count, 400)
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, count))
    below = {p_value: 0, sacrebleu_p_value: 0}
    for _ in range(trials):
        coins = random.integers(0, 2, count).astype(bool)
        pair = np.where(coins, one, other), np.where(coins, other, one)
        scores = [mean_scores(values, times) for values in pair]
        for test in below:
            below[test] += test(*scores) < 0.05
    assert 0.029 < below[p_value] / trials < 0.071
    assert below[sacrebleu_p_value] / trials > 0.08


def test_talks_are_drawn_whole():
    talks = ["a", "b", "c", "d", "e", "a", "b"]
    times = draw_talks(talks, 50, 4)
    assert times.shape == (51, 7)
    assert (times[0] == 1).all()
    assert (times[:, 0] == times[:, 5]).all() and (times[:, 1] == times[:, 6]).all()
    assert (times[:, :5].sum(axis=1) == 5).all()
    assert len(draw_talks(talks[:4])) == 1  # too few talks to draw from


def test_the_interval_over_talks_is_that_of_the_talks_means():
    """Talks of one size: the standard error of the mean is that of the means of the talks.

    All segments of a talk have one score, so draws of segments give a far narrower interval.
    """
    means = normal(40, 5)
    talks, scores = np.repeat(np.arange(40), 25), np.repeat(means, 25)
    expected = 2 * 1.96 * means.std() / math.sqrt(40)
    by_talk = Estimate.of(mean_scores(scores, draw_talks(talks.tolist(), 4000)))
    assert by_talk.high - by_talk.low == pytest.approx(expected, rel=0.05)
    by_segment = Estimate.of(mean_scores(scores, draw(1000, 4000)))
    assert by_segment.high - by_segment.low == pytest.approx(expected / math.sqrt(25), rel=0.05)


def test_talks_of_one_segment_are_segments():
    values = normal(30, 6)
    as_talks = mean_scores(values, draw_talks([f"{i:02d}" for i in range(30)], 100, 7))
    assert as_talks == pytest.approx(mean_scores(values, draw(30, 100, 7)))


def test_a_draw_of_long_talks_is_divided_by_its_own_length():
    talks = ["a"] * 3 + list("bcde")
    times = draw_talks(talks, 200)
    assert mean_scores([2.0] * 7, times) == pytest.approx(np.full(201, 2.0))


@pytest.mark.parametrize("teacher", [["x", "y"], ["a", "y"]])
def test_a_teacher_with_score_0_gives_no_percentage(teacher):
    texts = [["a", "b"] * 5, [teacher[0], *[teacher[1]] * 9], ["a", "b"] * 5]
    assert kept(*texts, "de", "chrf", 1000) is None


@pytest.mark.parametrize(
    "first, second, references, metric, message",
    [
        (["a"], ["a", "b"], ["a", "b"], "chrf", "1 hypotheses for 2 references"),
        (["a", "b"], ["a"], ["a", "b"], "chrf", "1 hypotheses for 2 references"),
        (["a"], ["a"], ["a"], "loss", "unknown metric 'loss'"),
    ],
)
def test_input_that_cannot_be_compared(first, second, references, metric, message):
    with pytest.raises(InputError, match=message):
        difference_interval(first, second, references, "de", metric)
