import pytest

from slimspeech.errors import InputError
from slimspeech.pruning.segments import choose_segments, describe_segments, with_translations

# Four of talk a, one of b, two of c, in the order of a manifest.
ROWS = [
    {"id": f"{talk}{i}", "talk": talk}
    for talk, n in (("a", 4), ("b", 1), ("c", 2))
    for i in range(n)
]


def chosen(count, order="round_robin"):
    return [row["id"] for row in choose_segments(ROWS, count, order)]


@pytest.mark.parametrize(
    "count, expected",
    [
        (1, ["a0"]),
        (3, ["a0", "b0", "c0"]),
        (4, ["a0", "a1", "b0", "c0"]),
        (5, ["a0", "a1", "b0", "c0", "c1"]),
        (6, ["a0", "a1", "a2", "b0", "c0", "c1"]),
    ],
)
def test_talks_take_turns_and_the_order_stays(count, expected):
    assert chosen(count) == expected


@pytest.mark.parametrize("order", ["round_robin", "manifest"])
@pytest.mark.parametrize("count", [None, 7, 100])
def test_all_of_them_are_the_manifest(count, order):
    assert chosen(count, order) == [row["id"] for row in ROWS]


def test_the_papers_way_takes_the_first():
    assert chosen(3, "manifest") == ["a0", "a1", "a2"]


def test_an_order_that_does_not_exist():
    with pytest.raises(InputError, match="round_robin, manifest, not 'random'"):
        chosen(3, "random")


def test_what_was_chosen_is_said():
    text = describe_segments(choose_segments(ROWS, 5, "round_robin"), "round_robin")
    assert "5 segments" in text and "1 to 2 of each of 3 talks" in text and "in turn" in text
    assert "order of the manifest" in describe_segments(ROWS, "manifest")
    assert "2 segments, all of one talk" in describe_segments(ROWS[:2], "manifest")


def test_translations_take_the_place_of_references():
    rows = [{"id": "a", "target": "eins"}, {"id": "b", "target": "zwei"}]
    translations = [{"id": "b", "hypothesis": "2"}, {"id": "a", "hypothesis": "1"}]
    assert [row["target"] for row in with_translations(rows, translations)] == ["1", "2"]
    with pytest.raises(InputError, match="iter_00"):
        with_translations(rows, translations[:1])
