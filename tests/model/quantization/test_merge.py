import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from settings import configured
from tiny_model import adapted, logits

from slimspeech.errors import InputError
from slimspeech.models.loading import load_model, save_model
from slimspeech.pruning.layers import keep_layers
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.nf4 import nf4, quantised_layers, round_to_nf4
from slimspeech.training.fine_tuning import LoraSettings, add_adapter, save_adapter


@pytest.fixture
def quantised(trained):
    """The trained model in 4 bits, fresh, as QLoRA trains on it."""
    return load_model(trained[0], torch.bfloat16, nf4())


@pytest.fixture(scope="module")
def merged(trained, adapter, tmp_path_factory) -> str:
    directory = tmp_path_factory.mktemp("merged") / "model"
    merge_adapter(trained[0], adapter, directory)
    return str(directory)


def merge_in_memory(directory, adapter, rounded=True):
    """With nothing but peft."""
    model = load_model(directory, torch.bfloat16)
    for layer in quantised_layers(model).values() if rounded else []:
        layer.weight.data = round_to_nf4(layer.weight.data)
    return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def distance(model, other, features):
    return (logits(model, features) - logits(other, features)).abs().mean().item()


def same_weights(directory, model):
    found = load_model(directory, torch.bfloat16).state_dict()
    expected = model.state_dict()
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], expected[key]) for key in expected
    )


def test_streamed_is_what_peft_merges(trained, adapter, merged):
    assert same_weights(merged, merge_in_memory(trained[0], adapter))
    assert not same_weights(merged, merge_in_memory(trained[0], adapter, rounded=False))


@pytest.mark.parametrize(
    "settings",
    [{"rslora": False}, {"target_modules": r".*language_model\..*\.(q|v)_proj"}],
)
def test_other_adapters_are_what_peft_merges(settings, trained, quantised, tmp_path):
    save_adapter(adapted(quantised, **settings), tmp_path / "adapter")
    merge_adapter(trained[0], tmp_path / "adapter", tmp_path / "merged")
    assert same_weights(tmp_path / "merged", merge_in_memory(trained[0], tmp_path / "adapter"))


def test_a_large_adapter_in_rounded_weights_is_nearest_before_packing(
    trained, quantised, adapter, merged, features
):
    goal = PeftModel.from_pretrained(quantised, adapter).eval()
    merged = load_model(merged, torch.bfloat16)
    unrounded = merge_in_memory(trained[0], adapter, rounded=False)
    base = load_model(trained[0], torch.bfloat16)
    assert distance(merged, goal, features) < 0.5 * distance(unrounded, goal, features)
    assert distance(merged, goal, features) < 0.2 * distance(base, goal, features)


@pytest.mark.parametrize(
    ("shift", "into", "low", "high"),
    [
        (3e-4, "rounded", 0, 0.05),  # less than half a step of NF4 nearly everywhere
        (1e-3, "rounded", 0.1, 0.4),
        (2e-3, "rounded", 0.7, 1),
        (3e-4, "original", 0.9, 1.1),
        (2e-3, "original", 0.9, 1.1),
    ],
)
def test_small_adapters_outlive_packing_in_the_original_weights_alone(shift, into, low, high):
    """Weights of standard deviation 0.02, adapters that shift them by `shift` on average."""
    generator = torch.Generator().manual_seed(0)
    weight = 0.02 * torch.randn(512, 512, generator=generator)
    a, b = (torch.randn(shape, generator=generator) for shape in ((8, 512), (512, 8)))
    change = shift * (b @ a) / 8**0.5
    start = round_to_nf4(weight)
    packed = round_to_nf4((start if into == "rounded" else weight) + change)
    left = ((packed - start) * change).sum() / change.square().sum()
    assert low <= left <= high


def test_an_adapter_is_merged_into_the_original_weights_if_asked(trained, adapter, tmp_path):
    merge_adapter(trained[0], adapter, tmp_path / "merged", into="original")
    expected = merge_in_memory(trained[0], adapter, rounded=False)
    assert same_weights(tmp_path / "merged", expected)


def test_merged_directory_has_no_adapter_and_no_fp32(merged, trained):
    from pathlib import Path

    tensors = load_file(f"{merged}/model.safetensors")
    assert tensors.keys() == load_file(f"{trained[0]}/model.safetensors").keys()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert {file.name for file in Path(merged).iterdir()} == {
        file.name for file in Path(trained[0]).iterdir()
    }


def test_adapter_that_never_trained_is_refused(trained, quantised, tmp_path):
    add_adapter(quantised, configured(LoraSettings, r=4), seed=0).save_pretrained(
        tmp_path / "adapter"
    )
    with pytest.raises(InputError, match="35 adapter matrices are zero"):
        merge_adapter(trained[0], tmp_path / "adapter", tmp_path / "merged")


def test_adapter_of_a_shallower_model_is_refused(trained, quantised, tmp_path):
    keep_layers(quantised, [0, 1, 3])
    adapted(quantised).save_pretrained(tmp_path / "adapter")
    with pytest.raises(InputError, match="14 adapter matrices do not fit .* another model"):
        merge_adapter(trained[0], tmp_path / "adapter", tmp_path / "merged")


def test_adapter_of_a_deeper_model_is_refused(model, processor, adapter, tmp_path):
    keep_layers(model, [0, 1, 3])
    save_model(model, processor, tmp_path / "pruned")
    with pytest.raises(InputError, match="14 adapter matrices do not fit .* another model"):
        merge_adapter(tmp_path / "pruned", adapter, tmp_path / "merged")


def test_adapter_of_another_width_is_refused(processor, adapter, tmp_path):
    from slimspeech_mini.model import build_model

    wider = build_model(processor, seed=0, decoder_layers=4, width=128, audio_layers=1)
    save_model(wider, processor, tmp_path / "wider")
    with pytest.raises(InputError, match="do not fit .* another model"):
        merge_adapter(tmp_path / "wider", adapter, tmp_path / "merged")


@pytest.fixture
def changed(adapter, tmp_path):
    """Writes a copy of the adapter with its matrices or settings changed."""

    def make(change_weights, change_settings=lambda settings: None):
        directory = tmp_path / "changed"
        directory.mkdir()
        weights = load_file(f"{adapter}/adapter_model.safetensors")
        change_weights(weights)
        save_file(weights, directory / "adapter_model.safetensors")
        with open(f"{adapter}/adapter_config.json") as file:
            settings = json.load(file)
        change_settings(settings)
        (directory / "adapter_config.json").write_text(json.dumps(settings))
        return directory

    return make


def test_missing_matrix_is_an_error(trained, changed, tmp_path):
    directory = changed(lambda weights: weights.pop(sorted(weights)[0]))
    with pytest.raises(InputError, match="1 adapter matrices do not fit"):
        merge_adapter(trained[0], directory, tmp_path / "merged")


def test_matrix_that_is_not_numbers_is_an_error(trained, changed, tmp_path):
    directory = changed(lambda weights: weights[sorted(weights)[0]].fill_(torch.nan))
    with pytest.raises(InputError, match="1 adapter matrices hold values that are not numbers"):
        merge_adapter(trained[0], directory, tmp_path / "merged")


def test_adapter_of_another_kind_is_an_error(trained, changed, tmp_path):
    directory = changed(lambda weights: None, lambda settings: settings.update(use_dora=True))
    with pytest.raises(InputError, match="use_dora.*plain LoRA"):
        merge_adapter(trained[0], directory, tmp_path / "merged")


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_adapter_is_named(damage, trained, changed, tmp_path):
    directory = changed(lambda weights: None)
    file = directory / "adapter_model.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[:-100])
    with pytest.raises(InputError, match="adapter_model.safetensors: n"):
        merge_adapter(trained[0], directory, tmp_path / "merged")
