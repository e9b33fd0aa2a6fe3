"""Hostile and broken model directories: each is refused with the reason, within limits.

Every case opens the model in a process of its own, with limits of memory and time. Valid models
of unusual kinds are read.
"""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from fake_hub import COMMIT, serve_model
from fault_child import DONE, REFUSED, run_alone
from fault_record import counted
from hostile_models import ADAPTERS, CONFIGS, FILES, PACKED, PICKLE, TEMPLATES, WEIGHTS, Evil
from hostile_models import file as added
from peft import LoraConfig, get_peft_model
from project import BASE
from transformers import BitsAndBytesConfig

from slimspeech.evaluation.comet.checkpoints import Settings, find_checkpoint
from slimspeech.hub.download import download_snapshot
from slimspeech.models.loading import (
    load_for_inference,
    load_model,
    load_processor,
    try_model,
)
from slimspeech.models.prompts import Prompt
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import list_layers
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.pack import pack
from slimspeech.training.fine_tuning import save_adapter
from slimspeech.training.gpu_memory import ModelShape

PROMPT = Prompt("You are a translator.", "Translate the {source} speech into {target}:", {})


def read(directory: Path) -> None:
    """Load it, lay out a prompt and run it."""
    assert "<|AUDIO|>" in PROMPT.render(load_processor(directory), "en-de")
    try_model(directory)


def made_alone(work: Callable[[], object], message: Path) -> None:
    """In a child too: torch's threads of a parent do not survive a fork."""
    assert run_alone(work, message) == DONE, message.read_text()


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    made_alone(lambda: pack(BASE, folder / "model"), folder / "message")
    return folder / "model"


@pytest.fixture(scope="session")
def adapter(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")

    def make() -> None:
        model = get_peft_model(
            load_for_inference(str(BASE), "fp32"),
            LoraConfig(
                r=4, target_modules=["up_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
            ),
        )
        save_adapter(model, folder / "adapter")

    made_alone(make, folder / "message")
    return folder / "adapter"


def refused(work: Callable[[], object], folder: Path, case: str) -> str:
    """The sentence with which a case is refused. Nothing else may have happened."""
    before = sorted(path.name for path in folder.iterdir())
    message = folder / "message"
    status = run_alone(work, message)
    sentence = message.read_text(encoding="utf-8") if message.exists() else ""
    assert status == REFUSED, f"{case}: exit {status}\n{sentence[-3000:]}"
    assert sentence.strip() and "\n" not in sentence and len(sentence) < 600
    message.unlink()
    assert sorted(path.name for path in folder.iterdir()) == before
    assert not list(Path("/tmp").glob("owned*"))
    return sentence


def copy(source: Path, folder: Path) -> Path:
    return Path(shutil.copytree(source, folder / "model"))


CASES = {"files": FILES, "config": CONFIGS, "weights": WEIGHTS, "template": TEMPLATES}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases]
)
def test_a_hostile_model_is_refused(tmp_path, kind, case):
    with counted(f"model, {kind}"):
        directory = copy(BASE, tmp_path)
        CASES[kind][case](directory)
        sentence = refused(lambda: read(directory), tmp_path, case)
        assert str(directory) in sentence or case == "raises"


@pytest.mark.parametrize("case", PACKED)
def test_a_hostile_packed_model_is_refused(packed, tmp_path, case):
    """Its 4 bits are unpacked in C, by what the file says of them."""
    with counted("model, 4 bits"):
        directory = copy(packed, tmp_path)
        PACKED[case](directory)
        assert str(directory) in refused(lambda: read(directory), tmp_path, case)


@pytest.mark.parametrize("case", ADAPTERS)
def test_a_hostile_adapter_is_refused(adapter, tmp_path, case):
    with counted("model, adapter"):
        directory = copy(adapter, tmp_path)
        ADAPTERS[case](directory)
        sentence = refused(lambda: merge_adapter(BASE, directory, tmp_path / "out"), tmp_path, case)
        assert str(directory) in sentence


@pytest.fixture(scope="session")
def adapted(adapter, tmp_path_factory) -> Path:
    """A packed model with an adapter beside it."""
    folder = tmp_path_factory.mktemp("adapted")
    made_alone(lambda: pack(BASE, folder / "model", adapter=adapter), folder / "message")
    return folder / "model"


@pytest.mark.parametrize(
    "case",
    [
        "imports a package",
        "imports Megatron",
        "a pattern without end",
        "of another kind",
        "a tensor renamed",
    ],
)
def test_a_hostile_adapter_beside_a_packed_model_is_refused(adapted, tmp_path, case):
    """transformers loads it with the model."""
    with counted("model, adapter"):
        directory = copy(adapted, tmp_path)
        ADAPTERS[case](directory)
        assert str(directory) in refused(lambda: read(directory), tmp_path, case)


DOORS = {
    "load_for_inference": lambda path: load_for_inference(str(path), "bf16"),
    "load_processor": load_processor,
    "list layers": lambda path: list_layers(str(path)),
    "size": measure_size,
    "memory": ModelShape.read,
    "pack": lambda path: pack(path, path.with_name("out")),
    "merge": lambda path: merge_adapter(path, path, path.with_name("out")),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", ["auto_map", "trust_remote_code"])
def test_every_door_has_the_gate(tmp_path, door, case):
    with counted("model, every door"):
        directory = copy(BASE, tmp_path)
        CONFIGS[case](directory)
        sentence = refused(lambda: DOORS[door](directory), tmp_path, f"{door}: {case}")
        assert "config.json" in sentence and case in sentence


# Unusual and valid.


def as_in_the_cache_of_the_hub(folder: Path) -> Path:
    """Links of a snapshot to the blobs of its repository."""
    snapshot = folder / "models--some--model" / "snapshots" / COMMIT
    blobs = snapshot.parents[1] / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(BASE.iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", str(number)))
    return snapshot


def with_more(folder: Path) -> Path:
    directory = copy(BASE, folder)
    for name in ("README.md", "slimspeech.json", ".gitattributes", "load_student.py"):
        added(name, b"{}")(directory)
    (directory / ".git").mkdir()
    return directory


def behind_a_link(folder: Path) -> Path:
    copy(BASE, folder)
    (folder / "link").symlink_to("model")
    return folder / "link"


def with_scales_that_are_fp32(folder: Path) -> Path:
    """As bitsandbytes packs without double quantisation."""
    form = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")

    def make() -> None:
        load_model(BASE, torch.bfloat16, form).save_pretrained(folder / "model")
        load_processor(BASE).save_pretrained(folder / "model")

    made_alone(make, folder / "message")
    return folder / "model"


SOUND = [
    with_scales_that_are_fp32,
    as_in_the_cache_of_the_hub,
    with_more,
    behind_a_link,
]


@pytest.mark.parametrize("make", SOUND)
def test_an_unusual_model_that_is_sound_is_read(tmp_path, make):
    with counted("model, sound but unusual"):
        directory = make(tmp_path)
        message = tmp_path / "message"
        assert run_alone(lambda: read(directory), message) == DONE, message.read_text()


def test_a_packed_model_and_an_adapter_that_are_sound_are_read(packed, adapted, adapter, tmp_path):
    message = tmp_path / "message"
    for directory in (packed, adapted):
        assert run_alone(partial(read, directory), message) == DONE, message.read_text()
    work = lambda: merge_adapter(BASE, adapter, tmp_path / "out")  # noqa: E731
    assert run_alone(work, message) == DONE, message.read_text()
    assert (tmp_path / "out" / "config.json").is_file()


# Models of the Hub.


def sound() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in BASE.iterdir()}


CONFIG = json.loads((BASE / "config.json").read_text())
OF_THE_HUB = {
    "asks for code": {
        "config.json": json.dumps(CONFIG | {"auto_map": {"AutoModel": "m.M"}}).encode()
    },
    "a file above the folder": {"../../owned.json": b"{}"},
    "a file at the root": {"/tmp/owned.json": b"{}"},
    "weights that are none": {"model.safetensors": b"<!DOCTYPE html>"},
    "of another kind": {"config.json": b'{"model_type": "llama"}'},
}
PATTERNS = ["model*.safetensors", "*.json", "*.txt", "*.jinja"]  # as rule download_base has them


def fetch(folder: Path, more: dict[str, bytes]) -> None:
    with serve_model(sound() | more) as (url, _):
        download_snapshot("some/model", COMMIT, folder, "model", PATTERNS, endpoint=url)


@pytest.mark.parametrize("case", OF_THE_HUB)
def test_a_hostile_model_of_the_hub_is_not_put_in_place(tmp_path, case):
    with counted("model, the Hub"):
        folder = tmp_path / "models" / "base"
        folder.parent.mkdir()
        sentence = refused(lambda: fetch(folder, OF_THE_HUB[case]), tmp_path, case)
        assert "some/model" in sentence and not folder.exists()
        assert not list(tmp_path.parent.rglob("owned*"))


def test_pickles_and_code_of_the_hub_are_not_even_fetched(tmp_path):
    with counted("model, the Hub"):
        folder, message = tmp_path / "base", tmp_path / "message"
        more = {"pytorch_model.bin": PICKLE, "modeling.py": b"", "README.md": b"#"}
        assert run_alone(lambda: fetch(folder, more), message) == DONE, message.read_text()
        assert {path.name for path in folder.iterdir()} == {path.name for path in BASE.iterdir()}


# COMET: its checkpoints are pickles, so their contents are listed and not unpickled.


def comet(folder: Path, content: object, hparams: str | None = None, **options) -> Path:
    (folder / "comet" / "checkpoints").mkdir(parents=True)
    (folder / "encoder").mkdir()
    torch.save(content, folder / "comet" / "checkpoints" / "model.ckpt", **options)
    usual = {"class_identifier": "regression_metric", "pretrained_model": str(folder / "encoder")}
    text = yaml.safe_dump(usual) if hparams is None else hparams
    (folder / "comet" / "hparams.yaml").write_text(text)
    return folder / "comet"


STATE = {"state_dict": {"weight": torch.zeros(2)}}
OF_COMET = {
    "a pickle that runs": lambda folder: comet(folder, STATE | {"evil": Evil()}),
    "a class of its own": lambda folder: comet(folder, STATE | {"more": SimpleNamespace()}),
    "hparams that run": lambda folder: comet(
        folder, STATE, "!!python/object/apply:os.system ['touch /tmp/owned-by-yaml']\n"
    ),
    "hparams of a ranking class": lambda folder: comet(
        folder, STATE, "class_identifier: ranking_metric\n"
    ),
    "an encoder elsewhere": lambda folder: comet(
        folder, STATE, "class_identifier: regression_metric\npretrained_model: /nowhere\n"
    ),
    "hparams without": lambda folder: comet(folder, STATE, "[]\n"),
}


@pytest.mark.parametrize("case", OF_COMET)
def test_a_hostile_checkpoint_of_comet_is_refused(tmp_path, case):
    with counted("model, COMET"):
        path = OF_COMET[case](tmp_path)
        work = lambda: find_checkpoint(Settings("comet22", str(path), "main", False))  # noqa: E731
        sentence = refused(work, tmp_path, case)
        assert str(path) in sentence or "comet22" in sentence


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torch.set_num_threads(1)
