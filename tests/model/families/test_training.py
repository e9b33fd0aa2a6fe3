"""Loss, gradients, adapters: against transformers' own forward."""

from copy import deepcopy

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from settings import configured
from transformers import TrainingArguments

from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_model, read_config
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.nf4 import nf4
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import count_adapter
from slimspeech.training.fine_tuning import (
    LoraSettings,
    TrainingSettings,
    adapted_layers,
    add_adapter,
    fine_tune,
    save_adapter,
)
from slimspeech.training.gpu_memory import ModelShape, estimate_training
from slimspeech.training.trainer import UpdateTrainer
from slimspeech.training.updates import split

LORA = LoraSettings(r=4, alpha=8, dropout=0.0, rslora=True, target_modules="all-linear")


def batch_of(base, rows=None):
    return Collator(base.processor, base.prompt)(base.rows if rows is None else rows)


def own_loss(model, batch, tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    trainer = UpdateTrainer(micro_batch=4, model=model, args=arguments)
    return trainer.compute_loss(model, batch)


def test_loss_is_the_models_own(base, tmp_path):
    batch = batch_of(base)
    with torch.no_grad():
        assert torch.allclose(
            own_loss(base.model, batch, tmp_path), base.model(**batch).loss, rtol=1e-5
        )


def test_parts_of_a_batch_are_as_if_collated_alone(base):
    parts = split(batch_of(base), 2, base.model.config)
    for number, part in enumerate(parts):
        alone = batch_of(base, base.rows[2 * number : 2 * number + 2])
        assert part.keys() == alone.keys()
        assert all(torch.equal(part[name], alone[name]) for name in part)


def test_checkpointing_changes_no_gradient(base, tmp_path):
    gradients = []
    for checkpointing in (False, True):
        model = deepcopy(base.model).train()
        model.set_attn_implementation("eager")
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        own_loss(model, batch_of(base, base.rows[:2]), tmp_path).backward()
        gradients.append({n: w.grad for n, w in model.named_parameters() if w.grad is not None})
    plain, checkpointed = gradients
    assert plain.keys() == checkpointed.keys()
    assert all(torch.allclose(plain[n], checkpointed[n], atol=1e-6) for n in plain)
    silent = {n for n, w in base.model.named_parameters() if n not in plain}
    deaf = {n for n in silent if base.family.part_of(base.family.stored_name(n)) == "vision"}
    assert {n for n in silent - deaf if "embed_positions" not in n} == set()


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    """An adapter after two steps, on disk, and the model that it was trained on."""
    folder = tmp_path_factory.mktemp("adapter")
    model = load_model(base.directory, torch.bfloat16, quantization=nf4())
    model = add_adapter(model, LORA, seed=0)
    settings = configured(
        TrainingSettings, epochs=1, batch_size=2, learning_rate=1e-2, precision="fp32"
    )
    fine_tune(
        model,
        base.processor,
        base.rows,
        [],
        base.prompt,
        settings,
        seed=0,
        workspace=str(folder / "workspace"),
    )
    save_adapter(model, folder / "adapter")
    return folder, model


def test_every_adapted_module_learns_and_no_other(base, adapted):
    _, model = adapted
    learnt = {
        name.split(".lora_B.")[0].removeprefix("base_model.model.")
        for name, weight in model.named_parameters()
        if ".lora_B." in name and weight.any()
    }
    plain = load_for_inference(base.directory, "fp32")
    assert learnt == set(adapted_layers(plain))
    weights = sum(w.numel() for n, w in model.named_parameters() if "lora_" in n)
    assert weights == count_adapter(read_config(base.directory), LORA.r)


def test_adapter_merges_and_packs(base, adapted, tmp_path):
    folder, _ = adapted
    merge_adapter(base.directory, folder / "adapter", tmp_path / "merged")
    pack(tmp_path / "merged", tmp_path / "packed")
    model = load_for_inference(tmp_path / "packed", "bf16")
    four_bit = sum(isinstance(module, Linear4bit) for module in model.modules())
    assert four_bit >= len(adapted_layers(base.model))


def test_memory_is_estimated_from_the_shape(base):
    shape = ModelShape.read(base.directory)
    assert shape.weights == sum(weight.numel() for weight in base.model.parameters())
    settings = configured(TrainingSettings, batch_size=2)
    short, long = (
        estimate_training(shape, settings, None, seconds=seconds).activations for seconds in (1, 29)
    )
    assert (short == long) == bool(base.family.padded_to)
