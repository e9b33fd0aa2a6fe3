"""Searches of a second experiment beside the smoke run, in one job and in two shards."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from project import Project
from smoke_project import read_json, read_layer_count, read_scores

pytestmark = pytest.mark.slow

SEARCH = ("--cores", "2", "--configfile", "search.yaml")
IN_TWO = (*SEARCH, "--set-scatter", "layers=2")
FOLDER = "results/search/en-de/pruning"


@pytest.fixture(scope="module")
def search(smoke: Project) -> Project:
    """The same project with another experiment in it: searches for the teacher of the first."""
    config = yaml.safe_load((smoke.root / "smoke.yaml").read_text(encoding="utf-8"))
    config["experiment"] = "search"
    config["teacher"] = {"model": "results/smoke/en-de/teacher"}
    config["pruning"] |= {"iterations": 2, "shards": 1}
    config |= {"students": {}, "evaluation": {"systems": ["teacher"]}}
    config.pop("submission")  # names a student
    (smoke.root / "search.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return smoke


def test_two_shards_give_the_scores_of_one_job(search):
    search.succeed(f"{FOLDER}/chrf/iter_01/layers.json", *SEARCH)
    results = search.root / "results"
    for experiment, shards in {
        "smoke": ["1-of-2.json", "2-of-2.json"],
        "search": ["1-of-1.json"],
    }.items():
        folder = results / experiment / "en-de" / "pruning" / "chrf" / "iter_01" / "shards"
        assert sorted(path.name for path in folder.iterdir()) == shards
    for name in ("scores.csv", "hypotheses.jsonl", "layers.json"):
        place = Path("en-de", "pruning", "chrf", "iter_01", name)
        whole = (results / "search" / place).read_bytes()
        assert whole == (results / "smoke" / place).read_bytes()
        assert whole


def test_the_middle_layers_are_removed_unmeasured(search):
    count = read_layer_count(search)
    search.succeed(f"{FOLDER}/middle/iter_02/layers.json", *SEARCH)
    removed = [count // 2, count // 2 - 1]
    assert read_json(search.root / FOLDER / "middle" / "iter_02" / "layers.json") == {
        "kept": [layer for layer in range(count) if layer not in removed],
        "removed": removed,
    }


def test_a_criterion_of_one_pass_is_never_split(search):
    folder = search.root / FOLDER / "angular" / "iter_01"
    search.succeed(f"{FOLDER}/angular/iter_01/layers.json", *IN_TWO)
    assert [path.name for path in (folder / "shards").iterdir()] == ["1-of-1.json"]
    assert (folder / "hypotheses.jsonl").read_text(encoding="utf-8") == ""
    scores = read_scores(folder / "scores.csv")
    assert list(scores) == list(range(read_layer_count(search)))[1:-1]
    least = min(scores.values())
    # The two layers of the best block tie, and the deeper one is removed.
    block = [layer for layer, score in scores.items() if score == least]
    assert block == [block[0], block[0] + 1]
    layers = read_json(folder / "layers.json")
    assert (layers["removed"], layers["metric"]) == ([block[1]], "angular")


@pytest.fixture(scope="module")
def crashed(search: Project) -> Project:
    """A search in two shards, the second of which fails: a folder is in the place of its file."""
    obstacle = search.root / FOLDER / "loss" / "iter_01" / "shards" / ".2-of-2.json.partial"
    obstacle.mkdir(parents=True)
    done = search.snakemake(f"{FOLDER}/loss/iter_01/layers.json", *IN_TWO, "--keep-going")
    obstacle.rmdir()
    assert done.returncode != 0
    assert "Is a directory" in done.stdout
    return search


def test_a_finished_shard_survives_the_crash_of_another(crashed):
    folder = crashed.root / FOLDER / "loss" / "iter_01"
    assert [path.name for path in folder.rglob("*.*")] == ["1-of-2.json"]
    finished = (folder / "shards" / "1-of-2.json").stat().st_mtime_ns

    text = crashed.succeed(f"{FOLDER}/loss/iter_01/layers.json", *IN_TWO)
    assert re.findall(r"^ *\d+/\d+  (\w+)", text, re.M) == [
        "score_layers",
        "gather_scores",
        "select_layer",
    ]
    assert (folder / "shards" / "1-of-2.json").stat().st_mtime_ns == finished
    scores = read_scores(folder / "scores.csv")
    assert list(scores) == list(range(read_layer_count(crashed)))[1:-1]


def test_shards_of_different_searches_are_refused(crashed):
    crashed.succeed(f"{FOLDER}/loss/iter_01/layers.json", *IN_TWO)
    first, second = (crashed.root / FOLDER / "loss" / f"iter_0{k}" for k in (1, 2))

    # The second shard of the first iteration is copied to the second.
    stray = second / "shards" / "2-of-2.json"
    stray.parent.mkdir(parents=True)
    shutil.copyfile(first / "shards" / "2-of-2.json", stray)
    done = crashed.snakemake(f"{FOLDER}/loss/iter_02/layers.json", *IN_TWO)
    assert done.returncode != 0
    assert "shards 1-of-2 and 2-of-2" in done.stdout and "`iteration`" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (second / "scores.csv").exists()
    assert not (second / "layers.json").exists()

    # The second shard of the first iteration gets the name of another model.
    own = first / "shards" / "2-of-2.json"
    shard = read_json(own)
    own.write_text(json.dumps(shard | {"model": "0" * 64}), encoding="utf-8")
    done = crashed.snakemake(f"{FOLDER}/loss/iter_01/scores.csv", *IN_TWO)
    assert done.returncode != 0
    assert "`model` differs" in done.stdout
    assert not (first / "scores.csv").exists()
