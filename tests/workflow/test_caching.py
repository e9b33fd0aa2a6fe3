"""The table of docs/caching.md, row by row, in dry-runs."""

import copy
import re

import pytest
import yaml
from fake_hub import COMMIT, serve_model
from project import BASE, REPOSITORY, finish, make_project

TEXT = (REPOSITORY / "docs" / "caching.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.search(r"\| key .*?\n\| ---.*?\n(.*?)\n\n", TEXT, re.S)[1].splitlines()
]


@pytest.mark.parametrize("key, value, again, stays", ROWS, ids=[row[0] for row in ROWS])
def test_a_changed_key_reruns_what_the_docs_say(finished, key, value, again, stays):
    config = copy.deepcopy(finished.default_config())
    section = config
    *folders, last = key.split(".")
    for name in folders:
        section = section[int(name)] if name.isdigit() else section.setdefault(name, {})
    assert section.get(last) != yaml.safe_load(value)
    section[last] = yaml.safe_load(value)
    jobs = finished.plan(config=config)
    assert set(again.split(", ")) <= jobs.keys()
    assert not set(stays.split(", ")) & jobs.keys()


def test_another_budget_measures_nothing_again(tmp_path):
    """And trains nothing again, if the recipe gives the number of layers."""
    project = make_project(tmp_path / "project")
    config = project.default_config() | {"pairs": ["en-de"]}
    fixed = config["students"]["B"] | {"vocabulary": {"size": [1024, 1536]}}
    config["students"] = {"B": fixed, "C": fixed | {"layers_removed": "auto"}}
    config["evaluation"]["systems"] = ["teacher", "B", "C"]

    def with_budget(size: str) -> dict:
        students = config["students"]
        return config | {
            "students": {name: own | {"budget": size} for name, own in students.items()}
        }

    finish(project, with_budget("2.2 MB"))
    jobs = project.plan(config=with_budget("2 MB"))
    measured = {"measure_sensitivities", "measure_vocabularies", "score_layers", "train_teacher"}
    assert not measured & jobs.keys()
    assert jobs["spend_budget"] == jobs["choose_vocabulary"] == jobs["pack_student"] == 2
    assert jobs["prune_to_budget"] == jobs["train_student"] == jobs["train_adapter"] == 1  # C's


def test_two_experiments_share_no_file_but_the_corpora(finished):
    """The second makes no job of the first run again, and removes or writes none of its files."""
    config = finished.default_config() | {"experiment": "second"}
    path = finished.write_config(config)
    text = finished.succeed("--dry-run", "--configfile", path)
    outputs = re.findall(r"^    output: (.*)$", text, re.M)
    assert outputs
    for output in ", ".join(outputs).split(", "):
        assert output.startswith("results/second/"), output
    assert finished.plan() == {}


def test_a_second_checkout_takes_the_base_model_from_the_cache(tmp_path, monkeypatch):
    """As in docs/caching.md. The second checkout cannot reach the Hub."""
    files = {path.name: path.read_bytes() for path in BASE.iterdir()}
    target = "results/models/mine"
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))

    def run(name: str) -> None:
        project = make_project(tmp_path / name)
        config = project.default_config()
        config["base"] = {"model": target, "hub": {"revision": COMMIT}}
        options = ("--cores", "1", "--configfile", project.write_config(config))
        project.succeed(target, *options, "--cache", "download_base")
        model = project.root / target
        assert {name: (model / name).read_bytes() for name in files} == files

    with serve_model(files) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        run("first")
        assert set(asked) == set(files)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nothing answers
    run("second")
