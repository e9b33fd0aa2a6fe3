import struct

import pytest
import torch
from safetensors.torch import save_file

from slimspeech.errors import InputError
from slimspeech.models.loading import load_model, save_model
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import keep_layers
from slimspeech.quantization.pack import pack


@pytest.fixture(scope="module")
def packed(trained, tmp_path_factory):
    directory = tmp_path_factory.mktemp("size") / "packed"
    pack(trained[0], str(directory), "nf4")
    return directory


def header_bytes(path):
    with open(path, "rb") as file:
        return 8 + struct.unpack("<Q", file.read(8))[0]


def test_float_model(trained, model):
    size = measure_size(trained[0])
    weights = sum(weight.numel() for weight in model.parameters())
    assert size["weights"] == weights
    assert size["decoder_layers"] == 4
    assert size["quantization"] == "none"
    assert sum(size["bytes_by_part"].values()) == 4 * weights
    parts = ["audio_tower", "decoder", "embedding", "head", "projector"]
    assert list(size["weights_by_part"]) == parts  # none is "other"
    modules = [
        model.model.audio_tower,
        model.get_decoder(),
        model.get_input_embeddings(),
        model.get_output_embeddings(),
        model.model.multi_modal_projector,
    ]
    counts = [sum(weight.numel() for weight in module.parameters()) for module in modules]
    counts[1] -= counts[2]  # the decoder's module holds the embedding
    assert list(size["weights_by_part"].values()) == counts


def test_packed_model_has_the_weights_it_stands_for(trained, packed):
    size, full = measure_size(packed), measure_size(trained[0])
    assert size["weights"] == full["weights"]
    assert size["weights_by_part"] == full["weights_by_part"]
    assert size["decoder_layers"] == 4
    assert size["quantization"] == "nf4"


def test_bytes_are_those_of_the_files(packed):
    size = measure_size(packed)
    files = list(packed.glob("*.safetensors"))
    assert size["bytes"] == sum(file.stat().st_size for file in files)
    headers = sum(header_bytes(file) for file in files)
    assert sum(size["bytes_by_part"].values()) == size["bytes"] - headers


def test_four_bits_are_half_a_byte_and_their_scales(trained, packed):
    """Double quantisation costs 8.127 bits per 64 weights, and a table per tensor."""
    size = measure_size(packed)
    stored, weights = size["bytes_by_part"]["decoder"], size["weights_by_part"]["decoder"]
    assert 0.5 * weights < stored < measure_size(trained[0])["bytes_by_part"]["decoder"] / 4


def test_fewer_layers_and_files(model, processor, tmp_path):
    keep_layers(model, [0, 3])
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    processor.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    size = measure_size(tmp_path)
    assert size["decoder_layers"] == 2
    assert size["weights"] == sum(weight.numel() for weight in model.parameters())


def test_damaged_file_is_named(trained, tmp_path, processor, model):
    save_model(model, processor, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="model.safetensors: not a whole safetensors file"):
        measure_size(tmp_path / "model")
    with pytest.raises(Exception, match="(?i)safetensors|incomplete|metadata"):
        load_model(tmp_path / "model", dtype=model.dtype)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_directory_without_a_model(missing, model, processor, tmp_path):
    save_model(model, processor, tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    with pytest.raises(InputError, match="no model there|no .*safetensors there"):
        measure_size(tmp_path / "model")


def test_dtypes_tell_leftovers_of_fp32(trained, packed):
    assert set(measure_size(trained[0])["dtypes_by_part"]["decoder"]) == {"F32"}
    dtypes = measure_size(packed)["dtypes_by_part"]
    assert dtypes["decoder"] == ["BF16", "nf4"] and dtypes["embedding"] == ["BF16"]


def test_adapter_beside_the_weights_is_a_part(model, processor, tmp_path):
    save_model(model, processor, tmp_path / "model")
    matrix = {
        "base_model.model.model.language_model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(
            4, 64
        )
    }
    save_file(matrix, tmp_path / "model" / "adapter_model.safetensors")
    assert measure_size(tmp_path / "model")["weights_by_part"]["adapter"] == 256


def test_tensor_in_two_files_is_not_counted_twice(model, processor, tmp_path):
    save_model(model, processor, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    (tmp_path / "model" / "model-00001-of-00002.safetensors").write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="is in another file of the directory too"):
        measure_size(tmp_path / "model")
