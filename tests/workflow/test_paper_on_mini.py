"""All paths of the paper's configs, run on the mini model."""

import csv
import json
import shutil
from typing import Any

import pytest
import yaml
from project import BASE, Project, make_project
from test_full_size import COMPACT, CONFIGS, PAIRS, read_config

from slimspeech_mini.corpora import write_archive, write_covost

pytestmark = pytest.mark.slow

# Of the students of config/compact.yaml, in proportion to those at full size.
BUDGETS = {"compact34": "2.6 MB", "compact30": "2.3 MB", "compact25": "2.1 MB"}


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """The same config for the mini model: model, data, steps, layers and precision replaced.

    bf16 is slow on CPUs that emulate it.
    """
    if "base" in config:
        config["base"]["model"] = "small/base"
        config["data"] |= {"archive": "small/acl6060.zip", "max_seconds": 6}
        config["data"]["split"]["test_size"] = 4
        config["data"]["out_of_domain"] = {"folder": "small/covost2", "size": 8}
        config["teacher"]["training"] |= {"epochs": 0.5, "precision": "auto"}
        config["pruning"]["sets"]["published"] = dict.fromkeys(PAIRS, [1, 4])
        config["generation"] |= {"max_new_tokens": 12, "precision": "fp32"}
    config["evaluation"].pop("comet", None)  # is to be fetched; test_comet.py runs it
    config["students"].pop("comet_8", None)
    config.setdefault("pruning", {})["iterations"] = 2
    config["pruning"].pop("comet", None)
    config["evaluation"]["systems"] = [
        "pruned-02" if name == "pruned-08" else name
        for name in config["evaluation"]["systems"]
        if name != "comet_8"
    ]
    for name, student in config["students"].items():
        if name in BUDGETS:
            student["budget"] = BUDGETS[name]
        if student.get("layers_removed") != "auto":
            student["layers_removed"] = min(2, student.get("layers_removed", 0))
        if "vocabulary" in student:
            student["vocabulary"]["size"] = [512, 1024]
        del student["stages"][5:-1]  # of the chain of repairs three removals are left
        for stage in student["stages"]:
            if stage["method"] == "prune":
                stage["layers"] = 1
                continue
            stage["training"] |= {"epochs": 0.25, "precision": "auto"}
            if "out_of_domain_clips" in stage["data"]:
                stage["data"]["out_of_domain_clips"] = 4
    return config


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("small") / "project")
    shutil.copytree(BASE, project.root / "small" / "base")
    write_archive(project.root / "small" / "acl6060.zip", 0, {"dev": (10,), "eval": (6,)})
    write_covost(project.root / "small" / "covost2", 0, size=12)
    for name in (*CONFIGS, COMPACT[1]):
        config = shrink(read_config(name))
        (project.root / name).write_text(yaml.safe_dump(config), encoding="utf-8")
    return project


def test_the_paper_runs_end_to_end_on_the_mini_model(small):
    small.succeed("--cores", "2", "--configfile", CONFIGS[0])
    with open(small.root / "results" / "iwslt2025" / "scores.csv", encoding="utf-8") as file:
        rows = [
            (row["pair"], row["system"], int(row["decoder_layers"])) for row in csv.DictReader(file)
        ]
    systems = {"base": 12, "teacher": 12, "pruned-02": 10, "A": 12, "B": 10}
    assert rows == [(pair, name, layers) for pair in PAIRS for name, layers in systems.items()]


@pytest.mark.parametrize(
    "student, decoder, encoder",
    [("encoder_24", 10, 2), ("repaired_each", 9, 3), ("published_8", 10, 3), ("B_10k", 10, 3)],
)
def test_ablations_run_on_the_mini_model(student, decoder, encoder, small):
    folder = small.root / "results" / "iwslt2025" / "en-de" / "students" / student
    small.succeed(
        f"{folder.relative_to(small.root)}/packed", "--cores", "2", "--configfile", *CONFIGS
    )
    config = json.loads((folder / "packed" / "config.json").read_text())
    assert config["text_config"]["num_hidden_layers"] == decoder
    assert config["audio_config"]["encoder_layers"] == encoder


def test_students_with_a_budget_fit_it(small):
    """They are packed, loaded again, and translate."""
    folder = small.root / "results" / "iwslt2025" / "en-de"
    sizes = [folder / "evaluation" / name / "size.json" for name in BUDGETS]
    texts = [path.with_name("hypotheses.jsonl") for path in sizes]
    targets = [str(path.relative_to(small.root)) for path in (*sizes, *texts)]
    small.succeed(*targets, "--cores", "2", "--configfile", *COMPACT)
    for name, size, text in zip(BUDGETS, sizes, texts, strict=True):
        choice = json.loads((folder / "students" / name / "budget.json").read_text())
        measured = json.loads(size.read_text())
        assert measured["bytes"] <= choice["bytes"] <= choice["budget"]
        assert measured["decoder_layers"] == len(choice["kept"])
        assert len(text.read_text(encoding="utf-8").splitlines()) == 4
