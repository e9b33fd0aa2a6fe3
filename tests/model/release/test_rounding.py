"""Exports of 8 and 4 bits: names and numbers as compressed-tensors has them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slimspeech.errors import InputError
from slimspeech.models.loading import save_model
from slimspeech.release.export import export
from slimspeech.release.rounding import Rounding, packed, round_export, rounded

INT8, W4A16 = Rounding("int8", 128), Rounding("w4a16", 32)
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
def int8(exported) -> Path:
    round_export(exported, exported.parent / "int8", INT8, limit=100_000)
    return exported.parent / "int8"


@pytest.fixture(scope="module")
def w4a16(exported) -> Path:
    round_export(exported, exported.parent / "w4a16", W4A16)
    return exported.parent / "w4a16"


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


def test_a_matrix_in_closed_form():
    """The first row's scale is 127.5 / 127.5; its halves round to even, its ends are cut."""
    weight = torch.tensor([[127.5, -127.5, 0.5, 1.5], [0.0, 0.0, 0.0, 0.0]])
    stored = INT8.tensors("a.weight", weight.bfloat16())
    assert stored["a.weight"].tolist() == [[127, -128, 0, 2], [0, 0, 0, 0]]
    assert stored["a.weight_scale"].tolist() == [[1.0], [1.0]]


def test_a_matrix_of_4_bits_in_closed_form():
    """A group that is a multiple of whole numbers keeps them; each of the two has its own scale."""
    whole = torch.tensor([7.5, -7.5, 0, 1, -1, 2, -2, 3])
    codes, scales = rounded(torch.cat([whole, 4 * whole])[None], 4, 8, parts=(1,))
    assert scales.tolist() == [[1, 4]]
    assert codes.tolist() == [2 * [7, -8, 0, 1, -1, 2, -2, 3]]


def test_an_outlier_is_cut_where_that_costs_less():
    """Seven values of 0.45 are lost beside one of 7.5, and kept if that becomes 7.5 * 0.75."""
    weight = torch.tensor([[7.5, *[0.45] * 127]])
    plain, cut = (rounded(weight, 4, 128, parts) for parts in ((1,), (1, 0.75)))
    assert plain[0][0, 1:].eq(0).all() and plain[1].item() == 1
    assert cut[0][0, 1:].eq(1).all() and cut[1].item() == 0.75


def test_eight_numbers_are_packed_from_the_lowest_bits_up():
    """-8 is 0, and 7 is 15; the last in the highest four bits, so the sign is theirs."""
    codes = torch.tensor([[-7, -8, -8, -8, -8, -8, -8, -8], [-8, -8, -8, -8, -8, -8, 7, 7]])
    assert packed(codes.to(torch.int8)).tolist() == [[1], [-(2**24)]]


def test_only_the_decoders_matrices_are_rounded(exported, int8):
    before, after = tensors(exported), tensors(int8)
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


def test_4_bits_are_read_as_the_weights_they_were(exported, w4a16):
    """Read back by the definition of the format, each weight is off by a step of its group."""
    before, after = tensors(exported), tensors(w4a16)
    layers = {f"language_model.model.layers.{number}" for number in range(4)}
    rounded = {f"{layer}.{matrix}." for layer in layers for matrix in MATRICES}
    parts = ("weight_packed", "weight_scale", "weight_shape")
    kept = before.keys() - {f"{name}weight" for name in rounded}
    assert after.keys() == kept | {f"{name}{part}" for name in rounded for part in parts}
    assert all(torch.equal(before[name], after[name]) for name in kept)
    for name in rounded:
        numbers, scale, shape = (after[f"{name}{part}"] for part in parts)
        weight = before[f"{name}weight"].float()
        assert shape.tolist() == list(weight.shape) and shape.dtype == torch.int64
        assert numbers.dtype == torch.int32 and scale.dtype == torch.bfloat16
        assert scale.shape == (len(weight), weight.shape[1] // 32)
        codes = torch.stack([(numbers >> bits & 15) - 8 for bits in range(0, 32, 4)], -1).flatten(1)
        steps = scale.float().repeat_interleave(32, 1)
        errors = (codes * steps - weight).abs()
        assert (errors <= 0.51 * steps).float().mean() > 0.9
        assert errors.square().mean() < 0.01 * weight.square().mean()


def test_groups_that_do_not_divide_a_matrix_are_refused(exported, tmp_path):
    with pytest.raises(InputError, match=r"serving\.group_size: 128"):
        round_export(exported, tmp_path / "w4a16", Rounding("w4a16", 128))
    assert not (tmp_path / "w4a16").exists()


def test_all_but_the_weights_is_that_of_the_export(exported, int8):
    files = {file.name for file in exported.iterdir() if ".safetensors" not in file.name}
    weights = {file.name for file in int8.iterdir() if ".safetensors" in file.name}
    assert len(weights) > 2  # several files and their index
    assert {file.name for file in int8.iterdir()} == files | weights
    for name in files - {"config.json"}:
        assert (exported / name).read_bytes() == (int8 / name).read_bytes()
    config = json.loads((int8 / "config.json").read_text())
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


def test_an_export_of_8_bits_is_not_rounded_again(int8, tmp_path):
    with pytest.raises(InputError, match="quantised"):
        round_export(int8, tmp_path / "again", W4A16)
    assert not (tmp_path / "again").exists()
