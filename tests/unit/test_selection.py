import pytest

from slimspeech.errors import InputError
from slimspeech.selection import drop_least_important, least_important

BEFORE = {"kept": [0, 1, 3, 4, 7], "removed": [5, 2, 6], "score": 40.0}


def scored(**scores):
    """Rows as csv gives them: text."""
    return [
        {"layer": key.removeprefix("l"), "metric": "chrf++", "score": value}
        for key, value in scores.items()
    ]


def test_the_layer_whose_absence_scores_highest_goes():
    assert least_important({1: 30.5, 2: 55.25, 3: 41.0}) == 2


@pytest.mark.parametrize("order", [(4, 9, 10), (10, 9, 4), (9, 10, 4)])
def test_of_equals_the_deepest_goes(order):
    assert least_important({layer: 50.0 for layer in order} | {1: 20.0}) == 10


def test_negative_scores_are_scores():
    assert least_important({1: -44.44, 2: -39.08}) == 2


@pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
def test_scores_that_are_no_numbers(score):
    with pytest.raises(InputError, match=r"without layers \[3\] are not numbers"):
        least_important({1: 50.0, 3: float(score), 4: 60.0})


def test_no_scores():
    with pytest.raises(InputError, match="no candidate"):
        least_important({})


def test_numbers_are_compared_not_their_text():
    after = drop_least_important(BEFORE, scored(l1="9.5", l3="10.25", l4="100"))
    assert after == {"kept": [0, 1, 3, 7], "removed": [5, 2, 6, 4], "score": 100.0}


def test_order_of_removal_is_kept_and_the_list_before_is_not_touched():
    before = {"kept": [0, 1, 2, 3], "removed": [], "score": None}
    once = drop_least_important(before, scored(l1="50", l2="60"))
    twice = drop_least_important(once, scored(l1="40"))
    assert (twice["kept"], twice["removed"]) == ([0, 3], [2, 1])
    assert before == {"kept": [0, 1, 2, 3], "removed": [], "score": None}


def test_doubled_candidate():
    with pytest.raises(InputError, match="twice"):
        drop_least_important(BEFORE, [*scored(l1="50"), *scored(l1="60")])


def test_candidate_that_is_gone_already():
    with pytest.raises(InputError, match=r"layers \[5, 31\], which are not in the stack"):
        drop_least_important(BEFORE, scored(l1="50", l31="50", l5="60"))
