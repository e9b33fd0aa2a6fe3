"""The whole workflow for real, on a corpus of seconds: every script, every file, once."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY, Project, make_project

from slimspeech.mini.corpora import write_archive, write_covost

pytestmark = pytest.mark.workflow

RUN = ("--cores", "2", "--configfile", "smoke.yaml")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Project:
    project = make_project(tmp_path_factory.mktemp("smoke") / "project")
    shutil.copy(REPOSITORY / "tests" / "config" / "smoke.yaml", project.root)
    shutil.copytree(base_model, project.root / "smoke" / "base")
    write_archive(project.root / "smoke" / "acl6060.zip", 0, {"dev": (10, 8), "eval": (5,)})
    write_covost(project.root / "smoke" / "covost2", 0, size=12)
    project.succeed(*RUN)
    return project


def test_the_table_has_every_system(smoke):
    with open(smoke.root / "results" / "smoke" / "scores.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    layers = read_layer_count(smoke)
    assert {(row["system"], int(row["decoder_layers"])) for row in rows} == {
        ("base", layers),
        ("teacher", layers),
        ("pruned-01", layers - 1),
        ("A", layers),
        ("B", layers - 1),
    }
    assert {row["pair"] for row in rows} == {"en-de"}
    assert {int(row["segments"]) for row in rows} == {5}
    sizes = {row["system"]: int(row["bytes"]) for row in rows}
    assert sizes["B"] < sizes["A"] < sizes["teacher"]


def test_the_search_leaves_scores_of_every_candidate_and_the_layers_kept(smoke):
    folder = smoke.root / "results" / "smoke" / "en-de" / "pruning"
    layers = list(range(read_layer_count(smoke)))
    first = json.loads((folder / "iter_00" / "layers.json").read_text())
    assert first == {"kept": layers, "removed": []}
    chosen = json.loads((folder / "iter_01" / "layers.json").read_text())
    [removed] = chosen["removed"]
    assert chosen["kept"] == [layer for layer in layers if layer != removed]
    with open(folder / "iter_01" / "scores.csv", encoding="utf-8") as file:
        scores = {int(row["layer"]): float(row["score"]) for row in csv.DictReader(file)}
    assert list(scores) == layers[1:-1]
    assert scores[removed] == max(scores.values())


@pytest.mark.parametrize("student", ["A", "B"])
def test_a_packed_student_loads_with_plain_transformers(smoke, student):
    import torch
    from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

    folder = smoke.root / "results" / "smoke" / "en-de" / "students" / student / "packed"
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert any(type(module).__name__ == "Linear4bit" for module in model.modules())
    assert AutoProcessor.from_pretrained(folder).audio_token == "<|AUDIO|>"


def test_nothing_half_written_is_left(smoke):
    results = smoke.root / "results"
    assert list(results.rglob("*.partial")) == []
    assert [path for path in results.rglob("checkpoints/*")] == []


def test_a_second_run_does_nothing(smoke):
    assert "Nothing to be done" in smoke.succeed(*RUN)


def test_show_results_prints_the_table_and_the_students(smoke):
    script = smoke.root / "workflow" / "scripts" / "show_results.py"
    done = subprocess.run(
        [sys.executable, script, "smoke.yaml"],
        cwd=smoke.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "| pruned-01 |" in done.stdout
    assert "results/smoke/en-de/students/B/packed" in done.stdout


def read_layer_count(project: Project) -> int:
    config = json.loads((project.root / "smoke" / "base" / "config.json").read_text())
    return config["text_config"]["num_hidden_layers"]
