"""The target of the IWSLT track, planned; test_smoke.py makes a bundle."""

from typing import Any

import pytest
from project import Project, make_project

TEST = {"folder": "tests/TV/{pair}", "references": "tests/TV.{pair}.txt"}
COMET = {"comet22": {"model": "Unbabel/wmt22-comet-da"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("submission") / "project")
    (project.root / "tests" / "TV" / "en-de").mkdir(parents=True)
    (project.root / "tests" / "TV" / "en-zh").mkdir()
    for name in ("TV.en-de.txt", "TV.en.txt"):
        (project.root / "tests" / name).touch()
    return project


@pytest.fixture
def config(project: Project) -> dict[str, Any]:
    return project.default_config()


def test_every_student_translates_the_test_sets_of_its_pair(project, config):
    config["submission"] = {
        "tests": {
            "TV": TEST | {"pairs": ["en-de"], "transcript": "tests/TV.en.txt"},
            "ACL": {"folder": "tests/TV/{pair}"},
        }
    }
    config["evaluation"]["comet"] = COMET
    jobs = project.plan("submission", config=config)
    assert jobs["bundle_submission"] == jobs["measure_state_dict"] == 12  # six students, two pairs
    assert jobs["prepare_test_set"] == 3  # TV in one pair, ACL in two
    assert jobs["translate_test_set"] == jobs["write_test_set"] == 18
    assert jobs["score_test_set"] == jobs["score_test_set_by_comet"] == 6
    assert jobs["prepare_references"] == 1


def test_without_a_transcript_comet_does_not_score(project, config):
    config["pairs"] = ["en-de"]
    config["submission"] = {"tests": {"TV": TEST}}
    config["evaluation"]["comet"] = COMET
    jobs = project.plan("submission", config=config)
    assert jobs["score_test_set"] == 6 and "score_test_set_by_comet" not in jobs


def test_without_test_sets_the_bundles_are_of_the_configs_own(project, config):
    jobs = project.plan("submission", config=config)
    assert jobs["bundle_submission"] == 12 and "translate_test_set" not in jobs
