"""Merge a LoRA adapter into the weights that it was trained on, one matrix at a time."""

import math
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import Linear
from safetensors.torch import load_file
from torch import Tensor
from transformers import PretrainedConfig

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.loading import device, read_config, readable
from slimspeech.models.shapes import skeleton
from slimspeech.models.validation.directory import check_adapter
from slimspeech.models.validation.weights import ADAPTER_WEIGHTS, read_header
from slimspeech.quantization.nf4 import round_to_nf4
from slimspeech.quantization.predicted_size import four_bit_weights, predicted_bytes

PREFIX = "base_model.model."
# What plain LoRA may choose. Everything else must be off or peft's default.
CHOSEN = (
    *("base_model_name_or_path", "inference_mode", "lora_alpha", "lora_dropout", "peft_version"),
    *("r", "revision", "target_modules", "task_type", "use_rslora"),
)


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
    rounded = set(four_bit_weights(config, "nf4")) if into == "rounded" else set()
    low_rank = _read_adapter(config, adapter)
    needed = sum(predicted_bytes(config, "none").values())

    def change(name: str, weight: Tensor) -> dict[str, Tensor]:
        if name in rounded:
            weight = round_to_nf4(weight.to(device()))
        if name in low_rank:
            a, b, scaling = low_rank[name]
            weight = weight.to(device())
            weight += (b.to(device()) @ a.to(device())) * scaling  # in fp32, rounded once
        return {name: weight.cpu()}

    rewrite(model, merged, config, change, needed=needed, memory=memory)


def _read_adapter(
    config: PretrainedConfig, directory: str | Path
) -> dict[str, tuple[Tensor, Tensor, float]]:
    """By name of the weight that it belongs to: A (r, in), B (out, r) in fp32, and the scaling."""
    check_adapter(directory)
    read_header(Path(directory, ADAPTER_WEIGHTS))
    with readable(directory, "the adapter's config"):
        settings = LoraConfig.from_pretrained(directory)
    defaults = LoraConfig().to_dict()
    strange = [
        key
        for key, value in settings.to_dict().items()
        if key not in CHOSEN and value and value != defaults.get(key)
    ]
    if isinstance(getattr(settings, "target_modules", None), str):  # a pattern may never end
        strange.append("target_modules")
    if strange:
        raise InputError(
            f"{directory}: {strange[0]} is not as in plain LoRA, and no other adapter can be "
            "merged; train plain LoRA on modules that are named"
        )
    with readable(directory, "the adapter's config"):
        model = get_peft_model(skeleton(config), settings)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    stored = load_file(Path(directory, ADAPTER_WEIGHTS))
    strangers = sorted(stored.keys() ^ expected.keys()) or sorted(
        name for name, tensor in expected.items() if tensor.shape != stored[name].shape
    )
    if strangers:
        raise InputError(
            f"{directory}: {len(strangers)} adapter matrices do not fit the model, such as "
            f"{strangers[0]}; the adapter was made for another model, train it on this one"
        )
    broken = [name for name, tensor in stored.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(
            f"{directory}: {len(broken)} adapter matrices hold values that are not numbers, such "
            f"as {broken[0]}; lower the learning rate and train it again"
        )
    idle = [name for name, tensor in stored.items() if "lora_B" in name and not tensor.any()]
    if idle:
        raise InputError(
            f"{directory}: {len(idle)} adapter matrices are zero, such as {idle[0]}; the adapter "
            "never trained: check that the stage has data and a learning rate"
        )
    family = families.of(config)
    return {
        family.stored_name(f"{name.removeprefix(PREFIX)}.weight"): (
            stored[f"{name}.lora_A.weight"].float(),
            stored[f"{name}.lora_B.weight"].float(),
            layer.scaling["default"],
        )
        for name, layer in model.named_modules()
        if isinstance(layer, Linear)
    }
