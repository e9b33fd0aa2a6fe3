"""Merge a LoRA adapter into the weights that it was trained on, one matrix at a time."""

import math
from pathlib import Path

from peft.tuners.lora import Linear
from torch import Tensor
from transformers import PretrainedConfig

from slimspeech import families
from slimspeech.models.adapters import read_matrices, require_adapter
from slimspeech.models.checkpoints import Change, rewrite
from slimspeech.models.loading import device, read_config
from slimspeech.quantization.nf4 import round_to_nf4
from slimspeech.quantization.predicted_size import four_bit_weights, predicted_bytes

PREFIX = "base_model.model."


def merge_adapter(
    model: str | Path,
    adapter: str | Path,
    merged: str | Path,
    memory: float = math.inf,
    into: str = "rounded",
) -> None:
    """Write the bfloat16 model with an adapter that was trained on its 4-bit form.

    into: the weights that the adapter is added to. "rounded": what the 4-bit weights stand for, on
    which it was trained; in bfloat16 this is closest to the model that was trained. But packing
    rounds again, back to the same values where the adapter moves a weight by less than half a step
    of NF4: a small adapter is lost. "original": the weights before rounding. Packing then rounds
    once, and small shifts move some of the weights to the next value, so that their sum is kept.
    memory: bytes it may take to try the result. Raises InputError as rewrite() does, if adapter
    matrices are missing, left over, misshapen or zero, and for adapters that are more than LoRA's
    two matrices a layer.
    """
    config = read_config(model)
    needed = sum(predicted_bytes(config, "none").values())
    change = adding(config, adapter, into)
    rewrite(model, merged, config, change, needed=needed, memory=memory)


def adding(config: PretrainedConfig, adapter: str | Path, into: str = "rounded") -> Change:
    """The change of a model's tensors that merge_adapter() makes, for checkpoints.rewrite()."""
    rounded = set(four_bit_weights(config, "nf4")) if into == "rounded" else set()
    low_rank = _low_rank(config, adapter)

    def change(name: str, weight: Tensor) -> dict[str, Tensor]:
        if name in rounded:
            weight = round_to_nf4(weight.to(device()))
        if name in low_rank:
            a, b, scaling = low_rank[name]
            weight = weight.to(device())
            weight += (b.to(device()) @ a.to(device())) * scaling  # in fp32, rounded once
        return {name: weight.cpu()}

    return change


def _low_rank(
    config: PretrainedConfig, directory: str | Path
) -> dict[str, tuple[Tensor, Tensor, float]]:
    """By name of the weight that it belongs to: A (r, in), B (out, r) in fp32, and the scaling."""
    model, matrices = require_adapter(config, directory), read_matrices(directory)
    family = families.of(config)
    return {
        family.stored_name(f"{name.removeprefix(PREFIX)}.weight"): (
            matrices[f"{name}.lora_A.weight"].float(),
            matrices[f"{name}.lora_B.weight"].float(),
            layer.scaling["default"],
        )
        for name, layer in model.named_modules()
        if isinstance(layer, Linear)
    }
