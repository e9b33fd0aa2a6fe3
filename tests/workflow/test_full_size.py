"""The configs of the paper, planned at full size. test_paper_on_mini.py runs them."""

import json
from typing import Any

import pytest
import yaml
from project import REPOSITORY, Project, make_project

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
    assert jobs["train_student"] == 2 and jobs["train_adapter"] == 4  # B and its control; A and B
    assert jobs["translate_test"] == 14 and jobs["pack_student"] == 8
    assert jobs["score_comet"] == 28 and jobs["fetch_comet"] == 2  # comet20 and comet22


@pytest.mark.parametrize("student", ABLATIONS)
def test_every_ablation_is_a_target_for_both_pairs(student, paper):
    targets = [f"results/iwslt2025/{pair}/evaluation/{student}/scores.json" for pair in PAIRS]
    text = paper.succeed(*targets, "--dry-run", "--configfile", *CONFIGS)
    assert all(f"results/iwslt2025/{pair}/students/{student}/packed" in text for pair in PAIRS)
    others = [name for name in ABLATIONS if name != student and f"students/{name}/" in text]
    assert others == []


def test_smaller_students_are_planned_beside_the_papers_from_the_same_trainings(paper):
    folder = "results/iwslt2025/en-de/students"
    targets = [f"{folder}/{name}/packed" for name in ("B", "compact34", "compact30")]
    text = paper.succeed(*targets, "--dry-run", "--configfile", *COMPACT)
    assert all(target in text for target in targets)
    assert text.count("rule train_adapter:") == text.count("rule train_student:") == 1
    assert f"{folder}/compact34/2-qlora" not in text and f"{folder}/compact34/trimmed" in text
    assert text.count("rule measure_sensitivities:") == 1


def test_the_smallest_student_is_planned_whatever_its_layers_will_be(paper):
    target = "results/iwslt2025/en-de/students/compact25/packed"
    text = paper.succeed(target, "--dry-run", "--configfile", *COMPACT)
    assert text.count("rule select_layer:") == 16
    for rule in ("bound_budget", "spend_budget", "prune_to_budget", "train_student"):
        assert text.count(f"rule {rule}:") == 1


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
