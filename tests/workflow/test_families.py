"""The whole workflow on tiny random models of Gemma 4 and Voxtral; test_smoke has Qwen2-Audio."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import Project
from smoke_project import read_json, smoke_project
from tiny_families import LAYERS, MAKERS, write_base

from slimspeech.cli.main import main

pytestmark = pytest.mark.slow

TEXTS = ["You are a professional translator.", "Guten Morgen.", "Wie spät ist es?", "Vielen Dank."]
PROMPT = {"system": None, "user": "Translate the following speech into {target}."}


@pytest.mark.parametrize("family", sorted(MAKERS.keys() - {"qwen2_audio"}))
def test_from_the_archive_to_a_translation(family: str, tmp_path: Path):
    project = smoke_project(tmp_path / "project")
    base = project.root / "smoke" / "base"
    shutil.rmtree(base)
    write_base(family, base, TEXTS)
    path = project.write_config(config_of(project))
    submission = "results/smoke/en-de/submission/B/bundle.tar.gz"
    project.succeed("all", submission, "--cores", "1", "--configfile", path)

    folder = project.root / "results" / "smoke"
    with open(folder / "scores.csv", encoding="utf-8") as file:
        layers = {row["system"]: int(row["decoder_layers"]) for row in csv.DictReader(file)}
    assert layers == {"teacher": LAYERS, "A": LAYERS, "B": LAYERS - 1}
    teacher, student = (
        read_json(folder / f"en-de/evaluation/{name}/size.json") for name in ("teacher", "B")
    )
    assert student["bytes"] < teacher["bytes"] and student["quantization"] == "nf4"
    assert "On the Pareto front" in (folder / "report.html").read_text(encoding="utf-8")
    assert (project.root / submission).is_file()

    release = folder / "en-de/students/B/release"
    clip = str(project.root / "smoke" / "TV" / "a.wav")
    command = ["translate", clip, "--model", str(release), "--no-vad", "-o", str(tmp_path)]
    assert main([*command, "--output-format", "srt"]) == 0
    assert (tmp_path / "a.srt").is_file()


def config_of(project: Project) -> dict[str, Any]:
    """As the smoke run's, with fewer jobs, and with a prompt that every family can say."""
    config = yaml.safe_load((project.root / "smoke.yaml").read_text(encoding="utf-8"))
    config["prompt"] = PROMPT
    config["generation"]["max_new_tokens"] = 6
    config["evaluation"] = {"systems": ["teacher", "A", "B"], "cost": {"repeats": 0}}
    config["pruning"] |= {"shards": 1, "keep_checkpoints": "none"}
    del config["data"]["out_of_domain"]
    for student in config["students"].values():
        student["criterion"] = None
        student.pop("vocabulary", None)  # the tiny bases have a few hundred tokens
        student.pop("merge", None)
        for stage in student["stages"]:
            stage["data"].pop("out_of_domain", None)
            stage["training"]["precision"] = "fp32"
    return config
