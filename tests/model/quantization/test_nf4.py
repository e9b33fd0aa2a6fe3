import bitsandbytes.functional as bnb
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from tiny_model import logits
from transformers import Qwen2AudioForConditionalGeneration

from slimspeech.errors import InputError
from slimspeech.models.loading import load_for_inference, load_model
from slimspeech.models.size import measure_size
from slimspeech.quantization.nf4 import formats, nf4, quantise, quantised_layers, round_to_nf4
from slimspeech.quantization.pack import pack


@pytest.fixture(scope="session")
def packed(trained, tmp_path_factory) -> str:
    directory = str(tmp_path_factory.mktemp("packed") / "packed")
    pack(trained[0], directory, "nf4")
    return directory


@pytest.fixture
def quantised(trained):
    """The trained model in 4 bits, fresh, as QLoRA trains on it."""
    return load_model(trained[0], torch.bfloat16, nf4())


def test_plain_transformers_loads_the_packed_directory(packed):
    model = Qwen2AudioForConditionalGeneration.from_pretrained(packed, dtype=torch.bfloat16)
    four_bit = [name for name, module in model.named_modules() if isinstance(module, Linear4bit)]
    parts = [sum(part in name for name in four_bit) for part in ("audio_tower", "projector")]
    # Six in an encoder layer (q, k, v, out, fc1, fc2), one projector, seven in a decoder layer
    # (q, k, v, o, gate, up, down).
    assert parts == [6 * 1, 1]
    assert len(four_bit) == 6 + 1 + 7 * 4
    assert type(model.get_output_embeddings()) is torch.nn.Linear


def test_rounded_layers_are_those_of_bitsandbytes(packed, model):
    loaded = Qwen2AudioForConditionalGeneration.from_pretrained(packed, dtype=torch.bfloat16)
    four_bit = {name for name, module in loaded.named_modules() if isinstance(module, Linear4bit)}
    assert quantised_layers(model).keys() == four_bit


def test_quantisation_is_the_published_kind(quantised):
    layer = quantised.model.language_model.layers[0].mlp.up_proj
    assert layer.weight.quant_type == "nf4"
    assert layer.weight.quant_state.nested
    assert layer.compute_dtype == torch.bfloat16


def test_packed_model_is_the_quantised_one(packed, quantised, features):
    assert torch.equal(
        logits(load_for_inference(packed, "bf16"), features), logits(quantised, features)
    )


def test_quantisation_none_keeps_bfloat16(trained, features, tmp_path):
    pack(trained[0], str(tmp_path / "packed"), "none")
    assert measure_size(tmp_path / "packed")["quantization"] == "none"
    model = load_for_inference(str(tmp_path / "packed"), "bf16")
    expected = load_model(trained[0], torch.bfloat16)
    assert torch.equal(logits(model, features), logits(expected, features))


@pytest.mark.parametrize("shape", [(64, 48), (24, 64, 3), (100, 7), (7, 3)])
def test_quantised_in_pieces_is_what_bitsandbytes_makes_of_the_whole(shape, monkeypatch):
    monkeypatch.setattr("slimspeech.quantization.nf4.CHUNK", 128)
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    packed, state = quantise(weight)
    expected, whole = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    assert torch.equal(packed, expected)
    found, wanted = state.as_dict(packed=True), whole.as_dict(packed=True)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_rounding_gives_what_bitsandbytes_computes_with(trained, quantised):
    original = load_model(trained[0], torch.bfloat16)
    for name, layer in quantised_layers(original).items():
        weight = quantised.get_submodule(name).weight
        expected = bnb.dequantize_4bit(weight.data, weight.quant_state)
        assert torch.equal(round_to_nf4(layer.weight.data), expected.to(torch.bfloat16)), name
        assert not torch.equal(layer.weight, expected), name


def test_names_of_formats():
    kept = {"embedding": "none", "head": "none"}
    coded = dict.fromkeys(["audio_tower", "projector", "decoder", "vision"], "nf4")
    assert formats("nf4") == coded | kept
    assert set(formats("none").values()) == {"none"}
    assert formats({"head": "nf4"}) == coded | {"embedding": "none", "head": "nf4"}


@pytest.mark.parametrize("wrong", ["int4", {"heads": "nf4"}, {"head": "fp4"}])
def test_unknown_formats(wrong):
    with pytest.raises(InputError, match="quantization is nf4, none, or one of these"):
        formats(wrong)


def test_default_is_left_to_transformers():
    """So that packed directories keep the config they always had."""
    assert nf4().llm_int8_skip_modules is None
    assert nf4({"head": "nf4"}).llm_int8_skip_modules == []
