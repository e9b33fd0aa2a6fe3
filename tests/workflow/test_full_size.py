"""The configs of the paper: planned at full size, and all their paths run on the mini model."""

import csv
import json
import shutil
from typing import Any

import pytest
import yaml
from project import BASE, REPOSITORY, Project, make_project

from slimspeech_mini.corpora import write_archive, write_covost

pytestmark = pytest.mark.workflow

CONFIGS = ("config/iwslt2025.yaml", "config/iwslt2025_ablations.yaml")
COMPACT = (CONFIGS[0], "config/compact.yaml")
PAIRS = ("en-de", "en-zh")


def read_config(name: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


ABLATIONS = sorted(read_config(CONFIGS[1])["students"])


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the inputs of the paper in name: nothing of them is read while planning."""
    project = make_project(tmp_path_factory.mktemp("paper") / "project")
    model = project.root / "results" / "models" / "Qwen2-Audio-7B-Instruct"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 32}}))
    (project.root / "corpora" / "covost2").mkdir(parents=True)
    archive = project.root / "results" / "corpora" / "acl6060.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    return project


def test_the_papers_systems_are_planned_for_both_pairs(paper):
    jobs = paper.plan(config=read_config(CONFIGS[0]))
    assert jobs["train_teacher"] == 2
    assert jobs["score_layers"] == jobs["select_layer"] == 16  # 8 removals a pair
    assert jobs["train_student"] == 2 and jobs["train_adapter"] == 4  # B; A and B
    assert jobs["translate_test"] == 10 and jobs["pack_student"] == 4
    assert jobs["score_comet"] == 20 and jobs["fetch_comet"] == 2  # comet20 and comet22


@pytest.mark.parametrize("student", ABLATIONS)
def test_every_ablation_is_a_target_for_both_pairs(student, paper):
    targets = [f"results/iwslt2025/{pair}/evaluation/{student}/scores.json" for pair in PAIRS]
    text = paper.succeed(*targets, "--dry-run", "--configfile", *CONFIGS)
    assert all(f"results/iwslt2025/{pair}/students/{student}/packed" in text for pair in PAIRS)
    others = [name for name in ABLATIONS if name != student and f"students/{name}/" in text]
    assert others == []


def test_the_compact_student_is_planned_beside_the_papers(paper):
    target = "results/iwslt2025/en-de/students/compact/packed"
    assert target in paper.succeed(target, "--dry-run", "--configfile", *COMPACT)


def test_the_base_model_is_fetched_for_an_experiment_of_its_own(paper):
    overlay = "config/iwslt2025_base.yaml"
    target = "results/iwslt2025_base/en-de/teacher"
    text = paper.succeed(target, "--dry-run", "-p", "--configfile", CONFIGS[0], overlay)
    assert "results/models/Qwen2-Audio-7B\n" in text and "rule download_base:" in text


def test_published_layers_need_no_search(paper):
    config = read_config(CONFIGS[0])
    config["pruning"]["criterion"] = "published"
    jobs = paper.plan(config=config)
    assert "score_layers" not in jobs and "encode_clips" not in jobs
    assert jobs["select_layer_by_place"] == 16


def test_published_sets_are_those_of_the_paper():
    sets = read_config(CONFIGS[0])["pruning"]["sets"]["published"]
    assert sorted(sets["en-de"]) == [1, 3, 9, 13, 19, 20, 27, 29]
    assert sorted(sets["en-zh"]) == [3, 4, 7, 15, 20, 25, 26, 29]


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """The same config for the mini model: model, data, counts of steps and of layers replaced."""
    if "base" in config:
        config["base"]["model"] = "small/base"
        config["data"] |= {"archive": "small/acl6060.zip", "max_seconds": 6}
        config["data"]["split"]["test_size"] = 4
        config["data"]["out_of_domain"] = {"folder": "small/covost2", "size": 8}
        config["teacher"]["training"]["epochs"] = 0.5
        config["pruning"]["sets"]["published"] = dict.fromkeys(PAIRS, [1, 4])
        config["generation"]["max_new_tokens"] = 12
    config["evaluation"].pop("comet", None)  # is to be fetched; test_comet.py runs it
    config["students"].pop("comet_8", None)
    config.setdefault("pruning", {})["iterations"] = 2
    config["pruning"].pop("comet", None)
    config["evaluation"]["systems"] = [
        "pruned-02" if name == "pruned-08" else name
        for name in config["evaluation"]["systems"]
        if name != "comet_8"
    ]
    for student in config["students"].values():
        student["layers_removed"] = min(2, student.get("layers_removed", 0))
        del student["stages"][5:-1]  # of the chain of repairs three removals are left
        for stage in student["stages"]:
            if stage["method"] == "prune":
                stage["layers"] = 1
                continue
            stage["training"]["epochs"] = 0.25
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


def test_the_compact_student_is_smaller_than_model_b(small):
    folder = small.root / "results" / "iwslt2025" / "en-de"
    size = folder / "evaluation" / "compact" / "size.json"
    hypotheses = size.with_name("hypotheses.jsonl")  # it is loaded again, and translates
    model_b = folder / "students" / "B" / "packed"
    targets = [str(path.relative_to(small.root)) for path in (size, hypotheses, model_b)]
    small.succeed(*targets, "--cores", "2", "--configfile", *COMPACT)
    assert len(hypotheses.read_text(encoding="utf-8").splitlines()) == 4
    compact, b = (
        sum(
            path.stat().st_size
            for path in (folder / "students" / name / "packed").glob("*.safetensors")
        )
        for name in ("compact", "B")
    )
    # 2 x 2048 x 128 weights from 16 bits to 4 and scales
    assert 700_000 < b - compact < 800_000
