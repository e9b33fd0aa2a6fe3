"""The memory of training against figures known from outside, on the shape of Qwen2-Audio-7B."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from settings import configured
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

from slimspeech.training.gpu_memory import ModelShape, estimate_training, warn_about_memory
from slimspeech.training.settings import LoraSettings, TrainingSettings

PAPER = configured(
    TrainingSettings, epochs=3, learning_rate=1e-5, precision="bf16"
)  # batches of 4, no checkpointing
H100, H200, RTX_4090 = 85_000_000_000, 150_000_000_000, 25_300_000_000
ROWS = [{"duration": 2.0}, {"duration": 25.0}]


def config(layers):
    """Qwen2-Audio-7B's, which are transformers' defaults but for these."""
    return Qwen2AudioConfig(
        text_config={
            "model_type": "qwen2",
            "vocab_size": 156_032,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": layers,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "tie_word_embeddings": False,
        },
        tie_word_embeddings=False,
    )


@pytest.fixture(scope="module")
def shape():
    with torch.device("meta"):
        return ModelShape.of(Qwen2AudioForConditionalGeneration(config(32)))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("7B")
    config(32).save_pretrained(folder)
    return folder


def estimate(shape, lora=None, seconds=6.4, **changes):
    return estimate_training(shape, replace(PAPER, **changes), lora, seconds=seconds)


def test_counts_of_the_published_model(shape):
    assert shape.weights == 8_397_094_912
    assert configured(LoraSettings).r * shape.edges == 207_437_824  # the paper's adapter, 2.41 %


def test_a_directory_is_measured_by_its_config_alone(shape, directory):
    assert ModelShape.read(directory) == shape
    pruned = json.loads((directory / "config.json").read_text())
    assert pruned["text_config"]["num_hidden_layers"] == 32
    with torch.device("meta"):
        pruned = ModelShape.of(Qwen2AudioForConditionalGeneration(config(24)))
    assert pruned.weights == 6_777_929_728


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_fp32_weights_take_16_bytes_a_weight(shape, precision):
    memory = estimate(shape, precision=precision)
    fixed = memory.weights + memory.gradients + memory.optimizer
    assert fixed / 1e9 == pytest.approx(134.4, abs=0.1)
    assert memory.total >= fixed


def test_gpus_that_shard_share_all_but_activations(shape):
    alone, eighth = estimate(shape), estimate(shape, gpus=8, shard=True)
    assert eighth.weights + eighth.optimizer == pytest.approx(12 * shape.weights / 8)
    assert eighth.activations == alone.activations
    assert estimate(shape, gpus=8) == alone


def test_the_paper_trained_its_teacher_on_an_h200(shape):
    """Notebook: fp32 weights, bf16 autocast, batches of 4, no checkpointing, clips of 6.4 s."""
    assert H100 < estimate(shape).total < H200


def test_stochastic_rounding_takes_6_bytes_a_weight_and_fits_80_gb(shape):
    memory = estimate(shape, precision="bf16_stochastic")
    assert memory.weights == 2 * shape.weights
    fixed = memory.weights + memory.gradients + memory.optimizer
    assert fixed / 1e9 == pytest.approx(50.6, abs=0.1)
    saving = replace(
        PAPER, precision="bf16_stochastic", gradient_checkpointing=True, gradient_accumulation=4
    )
    assert estimate_training(shape, saving, None, seconds=30).total < H100


def test_qlora_holds_the_base_as_its_published_file_does(shape):
    """8.82 GB: 4 bits, and embedding, head and the rest in fp32 (the paper's artefact)."""
    lora = configured(LoraSettings)
    memory = estimate(shape, lora, gradient_checkpointing=True)
    adapter = 207_437_824
    assert (memory.weights - 4 * adapter) / 1e9 == pytest.approx(8.82, abs=0.02)
    assert memory.gradients + memory.optimizer == 12 * adapter
    assert memory.total < RTX_4090


def test_activations_grow_with_clips_and_seconds_and_shrink_with_checkpointing(shape):
    few = estimate(shape, precision="fp32", batch_size=1).activations
    assert estimate(shape, precision="fp32", batch_size=4).activations == 4 * few
    assert estimate(shape, precision="fp32", batch_size=1, seconds=25).activations > 2 * few
    saved = estimate(shape, precision="fp32", batch_size=1, gradient_checkpointing=True)
    assert saved.activations < few / 3


def test_gradients_wait_while_batches_accumulate(shape):
    once = estimate(shape, precision="bf16_stochastic")
    often = estimate(shape, precision="bf16_stochastic", gradient_accumulation=2)
    assert often.total - once.total == min(once.gradients, once.activations)


def test_a_gpu_that_is_too_small_is_warned_of_with_settings_that_fit(directory, caplog):
    warn_about_memory(directory, ROWS, PAPER, available=H100)
    assert "full training with precision: bf16 is estimated at 134 GB" in caplog.text
    assert "one clip of 25 s at a time, and the GPU has 85 GB" in caplog.text
    assert "bf16_stochastic with gradient_checkpointing: true and batch_size: 1" in caplog.text
    assert "a qlora stage" in caplog.text


def test_on_a_gpu_of_24_gb_an_adapter_fits(directory, caplog):
    stochastic = replace(PAPER, precision="bf16_stochastic")
    warn_about_memory(directory, ROWS, stochastic, available=RTX_4090)
    assert "what should fit: a qlora stage" in caplog.text
    assert "bf16_stochastic with" not in caplog.text


def test_nothing_fits_a_gpu_of_8_gb(directory, caplog):
    warn_about_memory(directory, ROWS, PAPER, configured(LoraSettings), available=8_000_000_000)
    assert "qlora training" in caplog.text and "no settings fit" in caplog.text


def test_what_a_smaller_micro_batch_makes_fit(directory, caplog):
    with caplog.at_level(logging.WARNING):
        large = replace(PAPER, precision="bf16_stochastic", batch_size=64)
        warn_about_memory(directory, ROWS, large, available=H100)
    assert "64 clips at once may need" in caplog.text


def test_no_warning_for_what_fits(directory, caplog):
    with caplog.at_level(logging.WARNING):
        small = replace(PAPER, precision="bf16_stochastic", gradient_checkpointing=True)
        warn_about_memory(directory, ROWS, small, available=H100)
    assert caplog.text == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_nothing_is_estimated_without_a_gpu(tmp_path):
    warn_about_memory(tmp_path / "not read", ROWS, PAPER)
