"""What is left of an adapter's effect in the packed model."""

from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from project import REPOSITORY
from settings import configured

from slimspeech.evaluation.packing import Forms, measure_packing
from slimspeech.generation.translation import translate
from slimspeech.models.loading import (
    compute_in,
    load_for_inference,
    load_model,
    load_processor,
)
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.nf4 import nf4
from slimspeech.quantization.pack import pack
from slimspeech.training.fine_tuning import (
    LoraSettings,
    TrainingSettings,
    add_adapter,
    fine_tune,
    save_adapter,
)


@pytest.fixture(scope="module")
def start(trained, tmp_path_factory):
    """The trained model less a layer, which an adapter can repair."""
    directory = tmp_path_factory.mktemp("start") / "model"
    prune_checkpoint(trained[0], directory, [0, 1, 3])
    return directory


def forms(start, folder, rows, prompt, rate):
    """An adapter trained at a learning rate, merged and packed."""
    model = load_model(start, torch.float32, nf4())
    model = add_adapter(model, configured(LoraSettings, r=4, alpha=8), seed=0)
    settings = configured(
        TrainingSettings, epochs=3, batch_size=6, learning_rate=rate, precision="fp32"
    )
    processor = load_processor(start)
    workspace = str(folder / "workspace")
    fine_tune(model, processor, rows, [], prompt, settings, seed=0, workspace=workspace)
    (folder / "adapter").mkdir()
    save_adapter(model, folder / "adapter")
    merge_adapter(start, folder / "adapter", folder / "merged")
    pack(folder / "merged", folder / "packed")
    return Forms(start, folder / "adapter", folder / "merged", folder / "packed")


@pytest.fixture(scope="module")
def large(start, rows, prompt, tmp_path_factory):
    return forms(start, tmp_path_factory.mktemp("large"), rows, prompt, 3e-3)


def test_the_effect_of_a_small_adapter_is_lost_and_warned_of(start, rows, prompt, tmp_path, caplog):
    packing = measure_packing(forms(start, tmp_path, rows, prompt, 3e-5), rows, prompt)
    loss, left = packing["loss"], packing["left_percent"]
    assert packing["segments"] == 6
    assert loss["trained"] < loss["start"]
    gain = loss["start"] - loss["trained"]
    for form in ("merged", "packed"):
        assert left[form] == pytest.approx(100 * (loss["start"] - loss[form]) / gain)
    assert left["packed"] < 90
    assert "left after packing" in caplog.text and "merge: original" in caplog.text


def test_the_effect_of_a_large_adapter_is_left(large, rows, prompt, caplog):
    packing = measure_packing(large, rows, prompt)
    assert packing["left_percent"]["packed"] > 90
    assert "left after packing" not in caplog.text


def test_nothing_is_lost_of_an_adapter_that_is_kept(large, rows, prompt, greedy, tmp_path):
    """But for the rounding of its own matrices to bfloat16."""
    pack(large.start, tmp_path / "packed", adapter=large.adapter)
    packing = measure_packing(replace(large, merged=None, packed=tmp_path / "packed"), rows, prompt)
    assert packing["loss"].keys() == {"start", "trained", "packed"}
    assert packing["left_percent"] == {"packed": pytest.approx(100, abs=1)}
    processor = load_processor(large.start)
    trained = load_model(large.start, torch.float32, nf4())
    compute_in(trained, torch.float32)
    PeftModel.from_pretrained(trained, large.adapter)  # puts its layers into the model itself
    packed = load_for_inference(tmp_path / "packed", "fp32")
    words = translate(packed, load_processor(tmp_path / "packed"), rows, prompt, greedy)
    assert words == translate(trained.eval(), processor, rows, prompt, greedy)


@pytest.mark.parametrize("seconds", [[], [99]])
def test_without_validation_data_nothing_is_known(seconds, caplog):
    """None at all, or none that the model hears whole."""
    base = REPOSITORY / "resources" / "mini" / "base"
    rows = [{"duration": number} for number in seconds]
    packing = measure_packing(Forms(base, "", "", ""), rows, None)
    assert packing == {"segments": 0, "loss": None, "left_percent": None}
    assert "no validation data" in caplog.text
