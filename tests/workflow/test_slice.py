"""A piece of the real ACL 60/60 through the workflow: real speech, real texts, long segments.

SLIMSPEECH_ACL_SLICE names it: a folder in the official layout, with dev or eval inside. Where it is
not set, and no such folder lies beside the repository, these tests are skipped.
"""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from project import BASE, REPOSITORY, Project, make_project

SLICE = Path(
    os.environ.get("SLIMSPEECH_ACL_SLICE", REPOSITORY.parent / "shared" / "data" / "acl6060-slice")
)
WINDOW = 6.0  # seconds that the mini model takes at once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SLICE.is_dir(), reason="set SLIMSPEECH_ACL_SLICE to a part of ACL 60/60"
    ),
]


@pytest.fixture(scope="module")
def finished_slice(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("slice") / "project")
    shutil.copy(REPOSITORY / "tests" / "config" / "slice.yaml", project.root)
    shutil.copytree(BASE, project.root / "slice" / "base")
    (project.root / "slice" / "archive").symlink_to(SLICE.resolve())
    project.succeed("--cores", "2", "--configfile", "slice.yaml")
    return project


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_line_of_the_slice_is_a_segment(finished_slice):
    lines = 0
    for text in SLICE.rglob("ACL.6060.*.en-xx.zh.txt"):
        lines += len(text.read_text(encoding="utf-8").splitlines())
    rows = read_jsonl(finished_slice.root / "results" / "slice" / "data" / "segments.jsonl")
    assert len(rows) == lines > 0
    assert all(set(row["texts"]) == {"en", "de", "zh"} for row in rows)


def test_segments_longer_than_the_window_are_translated(finished_slice):
    folder = finished_slice.root / "results" / "slice" / "en-zh"
    long = {row["id"] for row in read_jsonl(folder / "data/test.jsonl") if row["duration"] > WINDOW}
    assert long
    for system in ("teacher", "pruned-01"):
        hypotheses = {
            row["id"]: row["hypothesis"]
            for row in read_jsonl(folder / "evaluation" / system / "hypotheses.jsonl")
        }
        assert long <= hypotheses.keys()


def test_the_run_ends_with_a_table_and_trains_nothing(finished_slice):
    results = finished_slice.root / "results" / "slice"
    with open(results / "scores.csv", encoding="utf-8") as file:
        rows = [(row["pair"], row["system"]) for row in csv.DictReader(file)]
    systems = ("base", "teacher", "pruned-01")
    assert rows == [(pair, system) for pair in ("en-de", "en-zh") for system in systems]
    assert not (results / "en-zh" / "teacher").exists()
    assert not (results / "en-zh" / "students").exists()
