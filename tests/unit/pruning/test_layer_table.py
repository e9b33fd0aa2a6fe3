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
        "within_noise": True,
    },
    {
        "kept": [0, 1, 2, 4, 6, 7],
        "removed": [5, 3],
        "metric": "chrf++",
        "score": 39.5,
        "runner_up": 6,
        "difference": 2.0,
        "interval": [1.25, 2.75],
        "within_noise": False,
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


def tabulated(*criteria, pairs=("en-de",)):
    removals = [
        {"pair": pair, "criterion": criterion, "iteration": iteration}
        for pair in pairs
        for criterion in criteria
        for iteration in (1, 2)
    ]
    results = [layers for _ in pairs for criterion in criteria for layers in SEARCHES[criterion]]
    return tabulate_layers(removals, results)


def test_a_row_has_what_its_criterion_measures():
    rows = tabulated("chrf", "loss", "middle")
    assert rows[0] == {
        "pair": "en-de",
        "criterion": "chrf",
        "iteration": 1,
        "layer": 5,
        "metric": "chrf++",
        "score": 41.23456,
        "runner_up": 3,
        "difference": 0.456,
        "low": -0.2,
        "high": 1.125,
        "within_noise": True,
    }
    compared = dict.fromkeys(("runner_up", "difference", "low", "high", "within_noise"), "")
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
        layers_markdown(tabulated("chrf", "loss", "middle"), {})
        == """\
# Layers removed

Layers are numbered from 0, as in the teacher.

## English to German (en-de)

| criterion | removed, in order | shared with chrf |
| --------- | ----------------: | ---------------: |
| chrf      |              5, 3 |              2/2 |
| loss      |              5, 6 |              1/2 |
| middle    |              4, 3 |              1/2 |

### chrf

| iteration | layer | chrF++ without it | runner-up | difference (95 % interval) | within noise |
| --------- | ----: | ----------------: | --------: | -------------------------: | -----------: |
| 1         |     5 |             41.23 |         3 |       0.46 (-0.20 to 1.12) |          yes |
| 2         |     3 |              39.5 |         6 |        2.00 (1.25 to 2.75) |           no |

1 of 2 choices are within noise: on other segments the runner-up might have been removed.

### loss

| iteration | layer | loss without it |
| --------- | ----: | --------------: |
| 1         |     5 |           1.235 |
| 2         |     6 |             1.5 |
"""
    )


def test_a_language_of_the_config_has_its_name():
    text = layers_markdown(tabulated("middle", pairs=("en-eo",)), {"eo": "Esperanto"})
    assert "## English to Esperanto (en-eo)\n" in text


def test_pairs_stand_apart_and_each_names_its_first_search():
    text = layers_markdown(tabulated("middle", "loss", pairs=("en-de", "en-zh")), {})
    sections = text.split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "English to German (en-de)",
        "English to Chinese (en-zh)",
    ]
    for section in sections:
        assert "| criterion | removed, in order | shared with middle |" in section
        assert "| loss      |              5, 6 |                0/2 |" in section
        assert "### middle" not in section  # nothing was measured
        assert "noise" not in section


def test_the_only_candidate_has_no_runner_up():
    last = {"removed": [5, 3], "metric": "chrf++", "score": 39.5}
    removals = [{"pair": "en-de", "criterion": "chrf", "iteration": k} for k in (1, 2)]
    text = layers_markdown(tabulate_layers(removals, [CHRF[0], last]), {})
    cells = [cell.strip() for cell in text.split("| 2 ")[1].splitlines()[0].split("|")]
    assert cells == ["", "3", "39.5", "-", "-", "-", ""]


def test_no_word_of_noise_where_every_choice_is_clear():
    removal = {"pair": "en-de", "criterion": "chrf", "iteration": 1}
    text = layers_markdown(tabulate_layers([removal], CHRF[1:]), {})
    assert "choices are within noise" not in text
