"""The page on own corpora, run as it is written."""

import json
import re
import shutil

import pytest
import yaml
from project import BASE, REPOSITORY, Project, make_project

PAGE = (REPOSITORY / "docs" / "own-corpus.md").read_text(encoding="utf-8")
EXAMPLE = REPOSITORY / "examples" / "own-corpus"


# The first makes the manifests, the second the whole experiment.
COMMANDS = [
    ["2" if word == "all" else word for word in command.split()]
    for command in re.findall(r"^\.venv/bin/snakemake (.+)$", PAGE, re.M)
]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("own") / "project")
    shutil.copytree(EXAMPLE, project.root / "examples" / "own-corpus")
    shutil.copytree(BASE, project.root / "resources" / "mini" / "base", dirs_exist_ok=True)
    return project


def read_manifest(project: Project, part: str) -> list[dict]:
    path = project.root / "results" / "own-corpus" / "en-eo" / "data" / f"{part}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_manifests_are_the_parts_of_the_table(example):
    example.succeed(*COMMANDS[0])
    parts = {part: read_manifest(example, part) for part in ("train", "validation", "test")}
    sizes = {part: len(rows) for part, rows in parts.items()}
    assert sizes == {"train": 8, "validation": 2, "test": 3}
    first = parts["test"][0]
    assert first["target"] == "La supo estas varma."
    assert (first["pair"], first["corpus"], first["talk"]) == ("en-eo", "corpus", "audio/evening")
    assert 1 < first["duration"] < 1.2


@pytest.mark.slow
def test_the_run_ends_with_scores_and_a_licence(example):
    example.succeed(*COMMANDS[1])
    results = example.root / "results" / "own-corpus"
    assert "| teacher |" in (results / "scores.md").read_text(encoding="utf-8")
    (record,) = json.loads((results / "data" / "corpus.json").read_text(encoding="utf-8"))
    assert (record["name"], record["licence"]) == ("Example corpus", "CC0 1.0")


def test_the_page_shows_lines_of_the_example():
    shown = re.search(r"^audio\tstart.*?(?=^```)", PAGE, re.M | re.S)[0].splitlines()
    lines = (EXAMPLE / "corpus.tsv").read_text(encoding="utf-8").splitlines()
    assert [line for line in shown if line not in lines] == []
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text(encoding="utf-8"))
    snippet = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.S)[1])
    assert {key: config[key] for key in snippet} == snippet


def test_the_example_is_small():
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
