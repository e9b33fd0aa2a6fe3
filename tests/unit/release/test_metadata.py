import json
from pathlib import Path

import pytest
from made_release import CONFIG, LAYERS, made_facts, made_packed

from slimspeech.release.metadata import base_model, compose_layers

NONE = CONFIG["release"]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return made_packed(tmp_path)


def test_facts(packed):
    facts = json.loads(json.dumps(made_facts(packed)))
    assert (facts["format"], facts["pair"], facts["system"]) == (1, "en-de", "B")
    assert facts["base_model"] == "Qwen/Qwen2-Audio-7B-Instruct"
    assert facts["base_revision"] == "0" * 39 + "1"
    assert facts["layers"] == LAYERS | {"encoder": None, "chosen_on": "validation"}
    assert facts["clip_seconds"] == 30
    assert facts["generation"] == {"max_new_tokens": 40}
    assert set(facts["scores"]) == {"base", "teacher", "B"}
    assert facts["scores"]["B"]["bleu"] == {
        "score": 36.789,
        "low": 36.789 - 1.25,
        "high": 38.289,
        "retention": 98.1,
        "retention_low": 96.1,
        "retention_high": 100.1,
    }
    assert set(facts["software"]) >= {"torch", "transformers", "bitsandbytes"}
    assert "somebody" not in json.dumps(facts), "a path of this machine is private"


def test_missing_measurements_are_null(packed):
    facts = made_facts(packed, costs={}, comparison=None)
    assert [facts[key] for key in ("scores", "signatures", "cost", "test")] == [None] * 4


@pytest.mark.parametrize(
    ("base", "release", "expected"),
    [
        ({"model": "resources/mini/base"}, NONE, ("mini base model of slimspeech", None)),
        ({"model": "results/mini_base/model/"}, NONE, ("mini base model of slimspeech", None)),
        ({"model": "/models/my-7b"}, NONE, ("my-7b", None)),
        ({"model": "/models/my-7b"}, NONE | {"base_model": "me/my-7b"}, ("me/my-7b", None)),
        # base.hub has no effect on a model that was not fetched.
        ({"model": "/models/my-7b", "hub": CONFIG["base"]["hub"]}, NONE, ("my-7b", None)),
    ],
)
def test_name_of_the_base(base, release, expected):
    assert base_model(base, release) == expected


def test_layers_of_later_prunings_are_numbered_as_in_the_teacher():
    searched = {"kept": [0, 1, 3, 5], "removed": [4, 2]}
    stages = [
        ("decoder", {"kept": [0, 1, 3], "removed": [2]}),  # of the four: layer 3
        ("encoder", {"kept": [0, 2], "removed": [1]}),
        ("decoder", {"kept": [0, 2], "removed": [1]}),  # of 0, 1 and 5: layer 1
        ("encoder", {"kept": [1], "removed": [0]}),
    ]
    assert compose_layers(searched, stages) == {
        "kept": [0, 5],
        "removed": [4, 2, 3, 1],
        "encoder": {"kept": [2], "removed": [1, 0]},
    }
