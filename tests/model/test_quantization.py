import bitsandbytes.functional as bnb
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from transformers import Qwen2AudioForConditionalGeneration

from slimspeech.errors import InputError
from slimspeech.pruning import keep_layers
from slimspeech.quantization import (
    merge_adapter,
    nf4,
    pack,
    quantised_layers,
    round_to_nf4,
)
from slimspeech.qwen2audio import load_for_inference, load_model
from slimspeech.size import measure_size
from slimspeech.training import LoraSettings, add_adapter

from .conftest import logits


@pytest.fixture(scope="session")
def packed(trained, tmp_path_factory) -> str:
    directory = str(tmp_path_factory.mktemp("packed") / "packed")
    pack(trained[0], directory, "nf4")
    return directory


@pytest.fixture
def quantised(trained):
    """The trained model in 4 bits, fresh, as QLoRA trains on it."""
    return load_model(trained[0], torch.bfloat16, nf4())


def adapted(model, layers=None):
    """A random adapter on the 4-bit model, as large as training might make it."""
    model = add_adapter(model, LoraSettings(r=4, alpha=8), seed=0)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.02)
    return model.eval()


@pytest.fixture(scope="session")
def adapter(trained, tmp_path_factory) -> str:
    directory = str(tmp_path_factory.mktemp("adapter"))
    adapted(load_model(trained[0], torch.bfloat16, nf4())).save_pretrained(directory)
    return directory


def distance(model, other, features):
    return (logits(model, features) - logits(other, features)).abs().mean().item()


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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_four_bit_model_computes_in_bfloat16(packed, precision):
    model = load_for_inference(packed, precision)
    assert model.dtype == torch.bfloat16
    assert model.get_output_embeddings().weight.dtype == torch.bfloat16


def test_quantisation_none_keeps_bfloat16(trained, features, tmp_path):
    pack(trained[0], str(tmp_path / "packed"), "none")
    assert measure_size(tmp_path / "packed")["quantization"] == "none"
    model = load_for_inference(str(tmp_path / "packed"), "bf16")
    expected = load_model(trained[0], torch.bfloat16)
    assert torch.equal(logits(model, features), logits(expected, features))


def test_rounding_gives_what_bitsandbytes_computes_with(trained, quantised):
    rounded = load_model(trained[0], torch.bfloat16)
    original = {name: layer.weight.clone() for name, layer in quantised_layers(rounded).items()}
    head = rounded.get_output_embeddings().weight.clone()
    round_to_nf4(rounded)
    for name, layer in quantised_layers(rounded).items():
        weight = quantised.get_submodule(name).weight
        expected = bnb.dequantize_4bit(weight.data, weight.quant_state)
        assert torch.equal(layer.weight, expected.to(torch.bfloat16)), name
        assert not torch.equal(layer.weight, original[name]), name
    assert torch.equal(rounded.get_output_embeddings().weight, head)


def test_merged_model_is_nearest_to_the_one_that_was_trained(trained, quantised, adapter, features):
    goal = PeftModel.from_pretrained(quantised, adapter).eval()
    merged = merge_adapter(load_model(trained[0], torch.bfloat16), adapter)
    unrounded = PeftModel.from_pretrained(load_model(trained[0], torch.bfloat16), adapter)
    unrounded = unrounded.merge_and_unload()
    base = load_model(trained[0], torch.bfloat16)
    assert distance(merged, goal, features) < 0.5 * distance(unrounded, goal, features)
    assert distance(merged, goal, features) < 0.2 * distance(base, goal, features)


def test_merged_model_is_a_plain_one(trained, adapter):
    merged = merge_adapter(load_model(trained[0], torch.bfloat16), adapter)
    assert type(merged) is Qwen2AudioForConditionalGeneration
    assert merged.state_dict().keys() == load_model(trained[0], torch.float32).state_dict().keys()
    assert merged.dtype == torch.bfloat16


def test_adapter_that_never_trained_is_refused(trained, quantised, tmp_path):
    add_adapter(quantised, LoraSettings(r=4), seed=0).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="35 adapter matrices are zero"):
        merge_adapter(load_model(trained[0], torch.bfloat16), tmp_path)


def test_adapter_of_a_shallower_model_is_refused(trained, quantised, tmp_path):
    keep_layers(quantised, [0, 1, 3])
    adapted(quantised).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="another model"):
        merge_adapter(load_model(trained[0], torch.bfloat16), tmp_path)


def test_adapter_of_a_deeper_model_is_refused(model, adapter):
    keep_layers(model, [0, 1, 3])
    with pytest.raises(InputError, match="another model"):
        merge_adapter(model, adapter)


def test_adapter_of_another_width_is_refused(processor, adapter):
    from slimspeech.mini.model import build_model

    wider = build_model(processor, seed=0, decoder_layers=4, width=128, audio_layers=1)
    with pytest.raises((InputError, RuntimeError), match="size mismatch|another model"):
        merge_adapter(wider, adapter)
