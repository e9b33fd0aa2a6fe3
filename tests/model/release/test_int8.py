"""Exports of 8 bits: names and numbers as compressed-tensors has them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slimspeech.errors import InputError
from slimspeech.models.loading import save_model
from slimspeech.release.export import export
from slimspeech.release.int8 import round_export, rounded_weight

MATRICES = {
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
}


@pytest.fixture(scope="module")
def exported(build, processor, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    save_model(build(3), processor, folder / "model")
    export(folder / "model", folder / "bf16")
    return folder / "bf16"


@pytest.fixture(scope="module")
def rounded(exported) -> Path:
    round_export(exported, exported.parent / "int8", limit=100_000)
    return exported.parent / "int8"


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


def test_a_matrix_in_closed_form():
    """The first row's scale is 127.5 / 127.5; its halves round to even, its ends are cut."""
    weight = torch.tensor([[127.5, -127.5, 0.5, 1.5], [0.0, 0.0, 0.0, 0.0]])
    stored = rounded_weight("a.weight", weight.bfloat16())
    assert stored["a.weight"].tolist() == [[127, -128, 0, 2], [0, 0, 0, 0]]
    assert stored["a.weight_scale"].tolist() == [[1.0], [1.0]]


def test_only_the_decoders_matrices_are_rounded(exported, rounded):
    before, after = tensors(exported), tensors(rounded)
    changed = {name for name in before if after[name].dtype == torch.int8}
    layers = {f"language_model.model.layers.{number}" for number in range(4)}
    assert changed == {f"{layer}.{matrix}.weight" for layer in layers for matrix in MATRICES}
    scales = {f"{name}_scale" for name in changed}
    assert after.keys() == before.keys() | scales
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - changed)
    for name in changed:
        scale = after[f"{name}_scale"]
        assert scale.dtype == torch.bfloat16 and scale.shape == (len(before[name]), 1)
        errors = (after[name] * scale.float() - before[name].float()).abs()
        # Half a step, and at the ends what bfloat16 rounds off the scale: 127.5 / 256 of a step.
        assert (errors <= 0.51 * scale.float()).float().mean() > 0.95
        assert (errors <= scale.float()).all()


def test_all_but_the_weights_is_that_of_the_export(exported, rounded):
    files = {file.name for file in exported.iterdir() if ".safetensors" not in file.name}
    weights = {file.name for file in rounded.iterdir() if ".safetensors" in file.name}
    assert len(weights) > 2  # several files and their index
    assert {file.name for file in rounded.iterdir()} == files | weights
    for name in files - {"config.json"}:
        assert (exported / name).read_bytes() == (rounded / name).read_bytes()
    config = json.loads((rounded / "config.json").read_text())
    quantization = config.pop("quantization_config")
    assert config == json.loads((exported / "config.json").read_text())
    [group] = quantization["config_groups"].values()
    assert quantization["quant_method"] == "compressed-tensors"
    assert group["weights"] == {
        "num_bits": 8,
        "type": "int",
        "symmetric": True,
        "strategy": "channel",
        "dynamic": False,
    }
    assert group["input_activations"]["strategy"] == "token"


def test_an_export_of_8_bits_is_not_rounded_again(rounded, tmp_path):
    with pytest.raises(InputError, match="quantised"):
        round_export(rounded, tmp_path / "again")
    assert not (tmp_path / "again").exists()
