import json
import logging

import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score
from slimspeech.evaluation.significance import difference, draw, text_scores
from slimspeech.pruning.selection import (
    candidates,
    drop,
    drop_by_place,
    drop_least_important,
    least_important,
    removable,
    shortlisted,
)

BEFORE = {"kept": [0, 1, 3, 4, 7], "removed": [5, 2, 6], "score": 40.0}
CANDIDATES = [1, 3, 4]
LOWER = ["loss", "kl", "block_influence", "angular"]
HIGHER = ["chrf", "chrf++", "bleu"]

# Three times, because fewer than ten segments are not resampled.
TARGETS = ["Guten Morgen.", "Das ist ein Test.", "Wir danken Ihnen.", "Nein."] * 3
SEGMENTS = [{"id": f"dev-{i}", "target": t, "pair": "en-de"} for i, t in enumerate(TARGETS)]
CLEAR = {
    1: ["Morgen.", "Ein Test.", "Danke.", "Ja."] * 3,
    3: TARGETS,
    4: ["Gut", "Das", "Wir", "Ja."] * 3,
}
CLOSE = {
    1: ["Guten Abend.", "Das ist ein Test.", "Wir danken.", "Nein."] * 3,
    3: ["Guten Morgen.", "Das ist ein Fest.", "Wir danken ihm.", "Nun."] * 3,
    4: ["Gut", "Das", "Wir", "Ja."] * 3,
}


def scored(metric="chrf++", **scores):
    """Rows as csv gives them: text."""
    return [
        {"layer": key.removeprefix("l"), "metric": metric, "score": value}
        for key, value in scores.items()
    ]


def searched(texts, targets=TARGETS):
    """The rows of scores.csv and of hypotheses.jsonl."""
    rows = [
        {"layer": str(layer), "metric": "chrf++", "score": str(corpus_score(found, targets))}
        for layer, found in texts.items()
    ]
    return rows, [
        {"layer": layer, "id": segment["id"], "hypothesis": text}
        for layer, found in texts.items()
        for segment, text in zip(SEGMENTS[: len(targets)], found, strict=True)
    ]


def corpus_score(found, targets=TARGETS):
    return score(found, targets, "de", ["chrf++"])["chrf++"]["score"]


@pytest.mark.parametrize(
    "kept, first, last, expected",
    [
        ([0, 1, 2, 3], 1, 1, [1, 2]),
        ([0, 1, 2, 3], 0, 0, [0, 1, 2, 3]),
        ([0, 1, 2, 3], 2, 0, [2, 3]),
        ([0, 5, 9, 31], 1, 2, [5]),
    ],
)
def test_protected_ends_are_no_candidates(kept, first, last, expected):
    assert removable(kept, first, last) == expected


@pytest.mark.parametrize("kept, first, last", [([0, 31], 1, 1), ([0, 31], 2, 2), ([0], 1, 0)])
def test_no_candidate_is_an_error(kept, first, last):
    with pytest.raises(InputError, match="lower pruning.iterations"):
        removable(kept, first, last)


def removed(criterion, count, iterations):
    layers = {"kept": list(range(count)), "removed": []}
    for _ in range(iterations):
        layers = drop_by_place(layers, criterion, 1, 1)
    return layers["removed"]


@pytest.mark.parametrize(
    "count, iterations, expected",
    [(32, 8, {*range(12, 20)}), (32, 16, {*range(8, 24)}), (5, 3, {1, 2, 3}), (4, 1, {2})],
)
def test_the_middle(count, iterations, expected):
    layers = removed("middle", count, iterations)
    assert set(layers) == expected
    assert layers[0] == count // 2


def test_the_last():
    assert removed("last", 32, 4) == [30, 29, 28, 27]


def test_what_is_measured():
    assert candidates([0, 2, 3, 5, 7], 1, 1) == [2, 3, 5]
    proposal = scored("loss", l5="2", l3="1", l2="1.5")
    assert candidates([0, 2, 3, 5, 7], 1, 1, proposal, 2) == [2, 3]
    with pytest.raises(InputError, match=r"\[2, 3, 5\], but \[2, 3\]"):
        candidates([0, 2, 3, 7], 1, 1, proposal, 2)


@pytest.mark.parametrize("metric, layer", [(m, 2) for m in HIGHER] + [(m, 1) for m in LOWER])
def test_the_layer_whose_removal_costs_least_goes(metric, layer):
    assert least_important({1: 30.5, 2: 55.25, 3: 41.0}, metric) == layer


@pytest.mark.parametrize("order", [(4, 9, 10), (10, 9, 4), (9, 10, 4)])
@pytest.mark.parametrize("metric, worse", [("chrf", 20.0), ("angular", 60.0)])
def test_of_equals_the_deepest_goes(order, metric, worse):
    scores = {layer: 50.0 for layer in order} | {1: worse, 11: worse}
    assert least_important(scores, metric) == 10


def test_negative_scores_are_scores():
    assert least_important({1: -44.44, 2: -39.08}, "chrf") == 2
    assert least_important({1: -44.44, 2: -39.08}, "loss") == 1


@pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("metric", ["chrf", "loss"])
def test_scores_that_are_no_numbers(metric, score):
    with pytest.raises(InputError, match=r"without layers \[3\] are not numbers"):
        least_important({1: 50.0, 3: float(score), 4: 60.0}, metric)


def test_no_scores():
    with pytest.raises(InputError, match="no candidate"):
        least_important({}, "chrf")


def test_unknown_metric():
    with pytest.raises(InputError, match="'perplexity'.*use one of angular, bleu"):
        least_important({1: 1.0}, "perplexity")


@pytest.mark.parametrize(
    "metric, size, expected",
    [
        ("loss", 1, [4]),
        ("loss", 2, [1, 4]),
        ("loss", 3, [1, 4, 7]),
        ("loss", 9, [1, 3, 4, 5, 7]),
        ("chrf", 2, [3, 7]),
    ],
)
def test_a_shortlist_is_of_the_least_costly(metric, size, expected):
    rows = scored(metric, l1="9.5", l3="100", l4="9.5", l5="10.25", l7="10.25")
    assert shortlisted(rows, size) == expected


@pytest.mark.parametrize(
    "rows, size, message",
    [
        ([], 2, "the proposal has no scores"),
        (scored("loss", l1="1"), 0, "shortlist of 0"),
        (scored("loss", l1="1") * 2, 2, r"the proposal lists layers \[1\] twice"),
        (scored("loss", l1="1", l2="nan"), 2, r"without layers \[2\] are not numbers"),
        ([*scored("loss", l1="1"), *scored(l2="1")], 2, r"metrics chrf\+\+, loss"),
    ],
)
def test_proposals_that_cannot_be_used(rows, size, message):
    with pytest.raises(InputError, match=message):
        shortlisted(rows, size)


def test_what_was_found_is_kept_with_the_list():
    assert drop(BEFORE, 3) == {"kept": [0, 1, 4, 7], "removed": [5, 2, 6, 3]}
    assert drop(BEFORE, 3, seen=1) == {"kept": [0, 1, 4, 7], "removed": [5, 2, 6, 3], "seen": 1}


@pytest.mark.parametrize("layer", [5, 8, -1])
def test_a_layer_that_is_gone_already(layer):
    with pytest.raises(InputError, match=rf"layer {layer} cannot be removed, .* \[0, 1, 3, 4, 7\]"):
        drop(BEFORE, layer)


def test_numbers_are_compared_not_their_text():
    after = drop_least_important(BEFORE, scored(l1="9.5", l3="10.25", l4="100"), CANDIDATES)
    assert after == {
        "kept": [0, 1, 3, 7],
        "removed": [5, 2, 6, 4],
        "metric": "chrf++",
        "score": 100.0,
    }


def test_order_of_removal_is_kept_and_the_list_before_is_not_touched():
    before = {"kept": [0, 1, 2, 3], "removed": [], "score": None}
    once = drop_least_important(before, scored(l1="50", l2="60"), [1, 2])
    twice = drop_least_important(once, scored("loss", l1="40"), [1])
    assert (twice["kept"], twice["removed"]) == ([0, 3], [2, 1])
    assert (twice["metric"], twice["score"]) == ("loss", 40.0)
    assert before == {"kept": [0, 1, 2, 3], "removed": [], "score": None}


@pytest.mark.parametrize(
    "rows, message",
    [
        ([], "scores.csv has no scores"),
        (scored(l1="50", l3="1", l4="2") + scored(l1="60"), r"scores.csv lists layers \[1\] twice"),
        (scored(l1="50", l31="50", l5="60"), r"layers \[5, 31\], which are not in the stack"),
        (scored(l1="50", l4="60"), r"no score for the candidates \[3\]"),
        (scored(l1="50", l3="1", l4="2", l7="60"), r"scores for \[7\], which"),
        (scored(l1="50", l3="nan", l4="2"), r"without layers \[3\] are not numbers"),
        (scored(l1="50", l3="1") + scored("loss", l4="2"), r"mixes the metrics chrf\+\+, loss"),
        (scored("ter", l1="50", l3="1", l4="2"), "unknown metric 'ter'"),
    ],
)
def test_scores_that_cannot_be_used(rows, message):
    with pytest.raises(InputError, match=message):
        drop_least_important(BEFORE, rows, CANDIDATES)


@pytest.mark.parametrize("texts, chosen, runner_up", [(CLEAR, 3, 1), (CLOSE, 1, 3)])
def test_the_choice_is_repeated_on_resampled_segments(texts, chosen, runner_up, caplog):
    caplog.set_level(logging.INFO)
    rows, hypotheses = searched(texts)
    # By id, not by place: the rows of a layer may come in any order.
    after = drop_least_important(BEFORE, rows, CANDIDATES, hypotheses[::-1], SEGMENTS, 100, 5)
    counts = draw(len(TARGETS), 100, 5)
    drawn = {n: text_scores(texts[n], TARGETS, "de", "chrf++", counts) for n in CANDIDATES}
    expected = difference(drawn[chosen], drawn[runner_up])
    assert list(after) == [
        *("kept", "removed", "metric", "score"),
        *("runner_up", "difference", "interval", "shares", "regret"),
    ]
    assert after["removed"] == [5, 2, 6, chosen]
    assert after["score"] == pytest.approx(corpus_score(texts[chosen]))
    assert (after["runner_up"], after["difference"]) == (runner_up, expected.value)
    assert after["interval"] == [expected.low, expected.high]
    best = [max(CANDIDATES, key=lambda n: drawn[n][i]) for i in range(1, 101)]
    assert after["shares"] == {str(n): best.count(n) / 100 for n in CANDIDATES if n in best}
    shortfall = [drawn[n][i] - drawn[chosen][i] for i, n in enumerate(best, start=1)]
    assert after["regret"] == pytest.approx(sum(shortfall) / 100)
    assert json.loads(json.dumps(after)) == after
    assert f"layer {chosen} in {100 * after['shares'][str(chosen)]:.0f} %" in caplog.text


def test_a_clear_choice_is_made_in_every_resample():
    rows, hypotheses = searched(CLEAR)
    after = drop_least_important(BEFORE, rows, CANDIDATES, hypotheses, SEGMENTS)
    assert (after["shares"], after["regret"]) == ({"3": 1}, 0)


def test_equal_layers_differ_by_nothing():
    rows, hypotheses = searched({1: CLOSE[3], 3: CLOSE[3], 4: CLEAR[4]})
    after = drop_least_important(BEFORE, rows, CANDIDATES, hypotheses, SEGMENTS)
    assert (after["removed"][-1], after["runner_up"]) == (3, 1)
    assert (after["difference"], after["interval"]) == (0, [0, 0])
    assert (after["shares"], after["regret"]) == ({"3": 1}, 0)  # the deepest, as in the search


def test_a_handful_of_segments_does_not_say_how_sure_the_choice_is():
    rows, hypotheses = searched({n: texts[:4] for n, texts in CLEAR.items()}, TARGETS[:4])
    after = drop_least_important(BEFORE, rows, CANDIDATES, hypotheses, SEGMENTS[:4])
    assert after["runner_up"] == 1 and after["difference"] > 0
    assert not {"interval", "shares", "regret"} & set(after)


def test_one_candidate_has_no_runner_up():
    rows, hypotheses = searched({3: TARGETS})
    after = drop_least_important(BEFORE, rows, [3], hypotheses, SEGMENTS)
    assert after == {
        "kept": [0, 1, 4, 7],
        "removed": [5, 2, 6, 3],
        "metric": "chrf++",
        "score": pytest.approx(100),
    }


@pytest.mark.parametrize("metric", LOWER)
def test_without_translations_there_is_nothing_to_compare(metric):
    rows = scored(metric, l1="0.5", l3="0.25", l4="1e-3")
    after = drop_least_important(BEFORE, rows, CANDIDATES, [], SEGMENTS)
    assert list(after) == ["kept", "removed", "metric", "score"]
    assert after["removed"][-1] == 4


def test_hypotheses_that_are_missing():
    rows, hypotheses = searched(CLEAR)
    short = [row for row in hypotheses if (row["layer"], row["id"]) != (1, "dev-2")]
    with pytest.raises(InputError, match=r"hypotheses.jsonl, without layer 1: .*\(dev-2\)"):
        drop_least_important(BEFORE, rows, CANDIDATES, short, SEGMENTS)


def test_hypotheses_of_another_search():
    rows, _ = searched(CLEAR)
    _, hypotheses = searched(CLOSE)
    with pytest.raises(InputError, match="do not belong together"):
        drop_least_important(BEFORE, rows, CANDIDATES, hypotheses, SEGMENTS)


def test_only_those_that_finished_a_race_are_compared():
    """Layer 4 was ahead on the few segments that it translated."""
    rows, hypotheses = searched(CLEAR)
    counts = {"1": 12, "3": 12, "4": 6}
    raced = [row | {"segments": str(counts[row["layer"]])} for row in rows]
    for row in raced:
        row["score"] = "99.9" if row["layer"] == "4" else row["score"]
    short = [row for row in hypotheses if row["layer"] != 4 or row["id"] < "dev-6"]
    after = drop_least_important(BEFORE, raced, CANDIDATES, short, SEGMENTS)
    assert (after["removed"][-1], after["runner_up"]) == (3, 1)
    assert after["saved"] == pytest.approx(6 / 36)


def by_comet(scores):
    """Rows of comet.csv as read back: a score by layer and segment, in no order of use."""
    rows = [
        {"layer": str(layer), "id": segment["id"], "metric": "comet22", "score": str(value)}
        for layer, values in scores.items()
        for segment, value in zip(SEGMENTS, values, strict=True)
    ]
    return rows[::-1]


def test_comet_chooses_by_the_mean_and_compares_segment_by_segment():
    count = len(SEGMENTS)
    scores = {1: [0.5] * count, 3: [0.75] * count, 4: [0.25] * count}
    after = drop_least_important(BEFORE, by_comet(scores), CANDIDATES, [], SEGMENTS, 100, 5)
    assert after["removed"][-1] == 3 and after["metric"] == "comet22"
    assert after["score"] == pytest.approx(0.75)
    assert after["runner_up"] == 1
    # Every segment is better by as much, so every draw of them is.
    assert [after["difference"], *after["interval"]] == pytest.approx([0.25] * 3)
    assert (after["shares"], after["regret"]) == ({"3": 1}, 0)


def test_comet_scores_of_other_segments():
    rows = by_comet({1: [0.5] * len(SEGMENTS), 3: [0.5] * len(SEGMENTS)})
    with pytest.raises(InputError, match="comet.csv, without layer 3: .* remove it and score"):
        drop_least_important(BEFORE, rows[1:], [1, 3], [], SEGMENTS)
    with pytest.raises(InputError, match="comet.csv lists segments twice"):
        drop_least_important(BEFORE, [*rows, rows[0]], [1, 3], [], SEGMENTS)


def test_a_layer_stays_if_the_one_before_it_must_not_be_the_last(caplog):
    caplog.set_level("INFO")
    assert removable([0, 1, 2, 3], 0, 0, may_be_last=[1, 3]) == [0, 1, 2]
    assert "layer 3 stays" in caplog.text
    assert removable([0, 1, 3], 0, 0, may_be_last=[1, 3]) == [0, 1, 3]
    assert removable([3], 0, 0, may_be_last=[3]) == [3]
    layers = {"kept": [0, 2, 3], "removed": [1], "may_be_last": [3]}
    assert drop_by_place(layers, "last", 0, 0) == layers | {"kept": [0, 3], "removed": [1, 2]}
    with pytest.raises(InputError, match="layer 2 cannot be the last"):
        drop_by_place(layers, "mine", 0, 0, [1, 3])
