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
    retention,
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
        return difference_interval(
            first * 5, second * 5, references, "de", metric, 100
        ).within_noise

    good, poor = GOOD["de"], POOR["de"]
    mixed = [*good[:2], REFERENCES["de"][2], poor[3], *good[4:]]
    assert p_value(good, poor) < 0.05 and not within_noise(good, poor)
    assert p_value(good, mixed) > 0.05 and within_noise(good, mixed)


@pytest.mark.parametrize("language, metric", CASES)
def test_a_system_does_not_differ_from_itself(language, metric):
    estimate = compared(language, metric, GOOD, GOOD)
    assert estimate == Estimate(0.0, 0.0, 0.0)
    assert estimate.within_noise


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


def test_one_segment_has_no_spread():
    estimate = difference_interval(["ab"], ["aa"], ["ab"], "de", "chrf")
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((75, 75, 75))


@pytest.mark.parametrize("teacher", [["x", "y"], ["a", "y"]])
def test_a_teacher_with_score_0_gives_no_percentage(teacher):
    assert kept(["a", "b"], teacher, ["a", "b"], "de", "chrf", 1000) is None


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
