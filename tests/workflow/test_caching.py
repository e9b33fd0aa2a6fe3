"""The table of docs/caching.md, row by row, in dry-runs."""

import copy
import re

import pytest
import yaml
from project import REPOSITORY

pytestmark = pytest.mark.workflow

TEXT = (REPOSITORY / "docs" / "caching.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.search(r"\| key .*?\n\| ---.*?\n(.*?)\n\n", TEXT, re.S)[1].splitlines()
]


@pytest.mark.parametrize("key, value, again, stays", ROWS, ids=[row[0] for row in ROWS])
def test_a_changed_key_runs_again_what_the_docs_say(finished, key, value, again, stays):
    config = copy.deepcopy(finished.default_config())
    place = config
    *folders, last = key.split(".")
    for name in folders:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    assert place.get(last) != yaml.safe_load(value)
    place[last] = yaml.safe_load(value)
    jobs = finished.plan(config=config)
    assert set(again.split(", ")) <= jobs.keys()
    assert not set(stays.split(", ")) & jobs.keys()


def test_two_experiments_share_no_file_but_the_corpora(finished):
    """Nothing of the first runs again, is removed or is written for the second."""
    config = finished.default_config() | {"experiment": "second"}
    path = finished.write_config(config)
    text = finished.succeed("--dry-run", "--configfile", path)
    outputs = re.findall(r"^    output: (.*)$", text, re.M)
    assert outputs
    for output in ", ".join(outputs).split(", "):
        assert output.startswith("results/second/"), output
    assert finished.plan() == {}
