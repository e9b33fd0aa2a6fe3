"""The configs of other base models, planned at full size."""

import json

import pytest
from configs import read_config
from project import Project, make_project

from slimspeech.data.acl6060 import TALKS

TRACK = ("config/iwslt2027.yaml",)
TRACK_80GB = (*TRACK, "config/iwslt2027_80gb.yaml")
VOXTRAL = ("config/voxtral.yaml",)
VOXTRAL_24GB = (*VOXTRAL, "config/voxtral_24gb.yaml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("bases") / "project")
    for name, layers in (("gemma-4-12B-it", 48), ("Voxtral-Mini-3B-2507", 30)):
        model = project.root / "results" / "models" / name
        model.mkdir(parents=True)
        config = {"text_config": {"num_hidden_layers": layers}}
        (model / "config.json").write_text(json.dumps(config))
    (project.root / "corpora" / "covost2").mkdir(parents=True)
    (project.root / "results" / "corpora").mkdir()
    (project.root / "results" / "corpora" / "acl6060.zip").touch()
    return project


def test_the_track_is_planned_for_its_three_pairs(project: Project):
    jobs = project.plan("all", "submission", configs=TRACK)
    assert jobs["train_teacher"] == 3 and jobs["score_comet"] == 18
    assert jobs["score_layers"] == jobs["select_layer"] == 48  # 16 removals a pair
    assert jobs["train_student"] == 6 and jobs["train_adapter"] == 9  # B, pareto; A, B, pareto
    assert jobs["pack_student"] == jobs["bundle_submission"] == 9
    assert jobs["choose_vocabulary"] == jobs["trim_vocabulary"] == 3  # pareto


def test_on_80_gb_the_base_is_the_teacher(project: Project):
    jobs = project.plan(configs=TRACK_80GB)
    assert "train_teacher" not in jobs and jobs["pack_student"] == 9


def test_voxtral_is_planned_for_german(project: Project):
    jobs = project.plan(configs=VOXTRAL)
    assert jobs["train_teacher"] == jobs["train_student"] == 1
    assert jobs["train_adapter"] == jobs["pack_student"] == 2
    assert jobs["score_layers"] == 8


def test_on_24_gb_nothing_trains_all_weights(project: Project):
    jobs = project.plan(configs=VOXTRAL_24GB)
    assert {"train_teacher", "train_student"}.isdisjoint(jobs)
    assert jobs["train_adapter"] == 2


@pytest.mark.parametrize("name", [TRACK[0], VOXTRAL[0]])
def test_dev_is_for_training_and_eval_for_the_test(name: str):
    split = read_config(name)["data"]["split"]
    assert split["method"] == "talks" and split["test_talks"] == list(TALKS["eval"])
    assert not split.get("validation_talks")


def test_the_prompt_is_that_of_the_organisers():
    """Of build_translation_instruction in their gemma_run.py, which names German and Chinese."""
    prompt = read_config(TRACK[0])["prompt"]
    assert prompt["system"] is None
    assert prompt["user"].format(source="English", target="German") == (
        "Translate the following speech into German. "
        "Output only the translation, with no explanation or newlines."
    )
