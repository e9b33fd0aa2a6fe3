import pytest

from slimspeech.pruning.layer_table import layers_markdown, overlap, tabulate_layers

CHRF = [
    {
        "kept": [0, 1, 2, 3, 4, 6, 7],
        "removed": [5],
        "metric": "chrf++",
        "score": 41.23456,
        "runner_up": 3,
        "difference": 0.456,
        "interval": [-0.2, 1.125],
        "shares": {"3": 0.55, "5": 0.4, "1": 0.05},
        "regret": 0.234,
    },
    {
        "kept": [0, 1, 2, 4, 6, 7],
        "removed": [5, 3],
        "metric": "chrf++",
        "score": 39.5,
        "runner_up": 6,
        "difference": 2.0,
        "interval": [1.25, 2.75],
        "shares": {"3": 1.0},
        "regret": 0.0,
    },
]
LOSS = [
    {"kept": [0, 1, 2, 3, 4, 6, 7], "removed": [5], "metric": "loss", "score": 1.23456},
    {"kept": [0, 1, 2, 3, 4, 7], "removed": [5, 6], "metric": "loss", "score": 1.5},
]
MIDDLE = [
    {"kept": [0, 1, 2, 3, 5, 6, 7], "removed": [4]},
    {"kept": [0, 1, 2, 5, 6, 7], "removed": [4, 3]},
]
SEARCHES = {"chrf": CHRF, "loss": LOSS, "middle": MIDDLE}


SEARCHED = {
    "en-de": "The searches use 100 segments, all of one talk.",
    "en-zh": "The searches use 50 segments, all of one talk.",
}


def tabulated(*criteria, pairs=("en-de",)):
    removals = [
        {"pair": pair, "criterion": criterion, "iteration": iteration}
        for pair in pairs
        for criterion in criteria
        for iteration in (1, 2)
    ]
    results = [layers for _ in pairs for criterion in criteria for layers in SEARCHES[criterion]]
    return tabulate_layers(removals, results)


def written(rows):
    return layers_markdown(rows, {}, SEARCHED)


def test_a_row_has_what_its_criterion_measures():
    rows = tabulated("chrf", "loss", "middle")
    assert rows[0] == {
        "pair": "en-de",
        "criterion": "chrf",
        "iteration": 1,
        "layer": 5,
        "metric": "chrf++",
        "score": 41.23456,
        "saved": "",
        "runner_up": 3,
        "difference": 0.456,
        "low": -0.2,
        "high": 1.125,
        "share": 0.4,
        "rival": 3,
        "rival_share": 0.55,
        "regret": 0.234,
    }
    judged = ("share", "rival", "rival_share", "regret")
    compared = dict.fromkeys(("saved", "runner_up", "difference", "low", "high", *judged), "")
    assert rows[3] == compared | {
        "pair": "en-de",
        "criterion": "loss",
        "iteration": 2,
        "layer": 6,
        "metric": "loss",
        "score": 1.5,
    }
    assert rows[5] == compared | {
        "pair": "en-de",
        "criterion": "middle",
        "iteration": 2,
        "layer": 3,
        "metric": "",
        "score": "",
    }
    assert len({tuple(row) for row in rows}) == 1  # columns of one CSV, in one order


def test_every_removal_has_its_result():
    removal = {"pair": "en-de", "criterion": "chrf", "iteration": 1}
    with pytest.raises(ValueError):
        tabulate_layers([removal, removal | {"iteration": 2}], CHRF[:1])


@pytest.mark.parametrize(
    "first, second, shared", [([5, 3], [3, 5], 2), ([5, 3], [4, 3], 1), ([5], [6], 0), ([], [], 0)]
)
def test_overlap_disregards_the_order(first, second, shared):
    assert overlap(first, second) == shared


def test_three_searches_of_a_pair():
    assert (
        written(tabulated("chrf", "loss", "middle"))
        == """\
# Layers removed

Layers are numbered from 0, as in the teacher.

The segments of a search were drawn again 1000 times. Chosen in: the share of the draws in
which the removed layer is the best choice. Next: the layer that most of the other draws
choose. Regret: by how many points the removed layer falls short of the best, on average.
Better than: the runner-up on all segments, with the 95 % interval of the difference.

## English to German (en-de)

The searches use 100 segments, all of one talk.

| criterion | removed, in order | shared with chrf |
| --------- | ----------------: | ---------------: |
| chrf      |              5, 3 |              2/2 |
| loss      |              5, 6 |              1/2 |
| middle    |              4, 3 |              1/2 |

### chrf

| iteration | layer | chrF++ without it | chosen in |      next | regret |         better than, by |
| --------- | ----: | ----------------: | --------: | --------: | -----: | ----------------------: |
| 1         |     5 |             41.23 |      40 % | 3 in 55 % |   0.23 | 3, 0.46 (-0.20 to 1.12) |
| 2         |     3 |              39.5 |     100 % |         - |   0.00 |  6, 2.00 (1.25 to 2.75) |

### loss

| iteration | layer | loss without it |
| --------- | ----: | --------------: |
| 1         |     5 |           1.235 |
| 2         |     6 |             1.5 |
"""
    )


def test_a_language_of_the_config_has_its_name():
    rows = tabulated("middle", pairs=("en-eo",))
    text = layers_markdown(rows, {"eo": "Esperanto"}, {"en-eo": "100 segments."})
    assert "## English to Esperanto (en-eo)\n" in text


def test_pairs_stand_apart_and_each_names_its_first_search():
    text = written(tabulated("middle", "loss", pairs=("en-de", "en-zh")))
    sections = text.split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "English to German (en-de)",
        "English to Chinese (en-zh)",
    ]
    for section, searched in zip(sections, SEARCHED.values(), strict=True):
        assert searched in section
        assert "| criterion | removed, in order | shared with middle |" in section
        assert "| loss      |              5, 6 |                0/2 |" in section
        assert "### middle" not in section  # nothing was measured
    assert "Regret" not in text


def test_the_only_candidate_has_no_runner_up():
    last = {"removed": [5, 3], "metric": "chrf++", "score": 39.5}
    removals = [{"pair": "en-de", "criterion": "chrf", "iteration": k} for k in (1, 2)]
    text = written(tabulate_layers(removals, [CHRF[0], last]))
    cells = [cell.strip() for cell in text.split("| 2 ")[1].splitlines()[0].split("|")]
    assert cells == ["", "3", "39.5", *["-"] * 4, ""]


def test_a_search_on_a_handful_of_segments_says_so():
    removal = {"pair": "en-de", "criterion": "chrf", "iteration": 1}
    few = {key: CHRF[0][key] for key in ("removed", "metric", "score", "runner_up", "difference")}
    text = written(tabulate_layers([removal], [few]))
    cells = [cell.strip() for cell in text.split("| 1 ")[1].splitlines()[0].split("|")]
    assert cells == ["", "5", "41.23", "-", "-", "-", "3, 0.46", ""]
    assert "fewer than 10 segments" in text


def test_a_race_says_what_it_saved():
    removals = [{"pair": "en-de", "criterion": "chrf", "iteration": k} for k in (1, 2)]
    raced = [layers | {"saved": saved} for layers, saved in zip(CHRF, (0.25, 0.5), strict=True)]
    assert "left out 38 % of the translations" in written(tabulate_layers(removals, raced))
