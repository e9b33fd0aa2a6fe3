import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from made_release import CONFIG, LAYERS, made_facts, made_packed, made_release

from slimspeech.errors import InputError
from slimspeech.release.metadata import base_model, compose_layers, write_release

NONE = CONFIG["release"]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return made_packed(tmp_path)


def test_a_release_is_links_and_what_tells_of_them(packed):
    release = made_release(packed)
    names = {path.name for path in release.iterdir()}
    files = {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"}
    assert names == files | {"README.md", "slimspeech.json", "sha256.txt"}
    assert all((release / name).samefile(packed / name) for name in files)
    subprocess.run(["sha256sum", "-c", "--strict", "sha256.txt"], cwd=release, check=True)
    listed = (release / "sha256.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split("  ")[1] for line in listed} == files | {"slimspeech.json"}


def test_where_nothing_can_be_linked_files_are_copied(packed, monkeypatch):
    def link(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    release = made_release(packed)
    copy, original = release / "model.safetensors", packed / "model.safetensors"
    assert copy.read_bytes() == original.read_bytes()
    assert not copy.samefile(original)


def test_a_release_made_anew_leaves_the_packed_student_alone(packed):
    before = hashlib.sha256((packed / "model.safetensors").read_bytes()).hexdigest()
    made_release(packed)
    release = made_release(packed)
    for path in release.iterdir():
        path.unlink()
    assert hashlib.sha256((packed / "model.safetensors").read_bytes()).hexdigest() == before


def test_a_file_that_has_a_hash_and_is_gone(packed):
    hashes = f"{'0' * 64}  {packed}/lost.json\n"
    with pytest.raises(InputError, match="lost.json: not there, though its hash is"):
        write_release(packed, packed.parent / "release", made_facts(packed), "", hashes)
    assert not (packed.parent / "release").exists()


def test_what_is_told(packed):
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
    assert "somebody" not in json.dumps(facts), "paths of a machine are nobody's business"


def test_what_was_not_measured_is_null(packed):
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
def test_what_the_base_is_called(base, release, expected):
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
