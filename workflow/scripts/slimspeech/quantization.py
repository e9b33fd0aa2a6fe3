"""4-bit NF4: train on it, merge adapters that were trained on it, and pack the student once."""

from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from slimspeech.errors import InputError
from slimspeech.qwen2audio import load_model, load_processor, save_model


def nf4() -> BitsAndBytesConfig:
    """The paper's 4-bit: NF4, double quantisation, bfloat16 compute (section 4).

    Every linear layer but the output head: audio tower, projector and decoder.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def quantised_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The layers that nf4() turns into 4 bits, by name: all linear ones but the output head."""
    head = model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


@torch.no_grad()
def round_to_nf4(model: PreTrainedModel) -> None:
    """Replace each weight, in place, by what its 4-bit form stands for."""
    for layer in quantised_layers(model).values():
        packed, state = bnb.quantize_4bit(
            layer.weight.data, quant_type="nf4", compress_statistics=True
        )
        layer.weight.data = bnb.dequantize_4bit(packed, state).to(layer.weight.dtype)


def merge_adapter(model: PreTrainedModel, adapter: str | Path) -> PreTrainedModel:
    """The full-precision model with an adapter that was trained on its 4-bit form.

    The base is first rounded to what the adapter saw: of the ways to merge, this stays closest to
    the model that was trained. Raises InputError if adapter weights are missing or left over.
    """
    round_to_nf4(model)
    merged = PeftModel.from_pretrained(model, adapter)
    _check_adapter(merged, adapter)
    return merged.merge_and_unload()


def pack(directory: str, packed: str, quantization: str) -> None:
    """Write the student as a user gets it: a directory that from_pretrained loads by itself.

    quantization: "nf4", applied once, here; or "none", which keeps bfloat16.
    """
    model = load_model(directory, torch.bfloat16, nf4() if quantization == "nf4" else None)
    save_model(model, load_processor(directory), packed)


def _check_adapter(model: PeftModel, directory: str | Path) -> None:
    """peft only warns when adapter keys do not fit; it leaves zeros or drops what is over."""
    with safe_open(Path(directory, "adapter_model.safetensors"), framework="pt") as tensors:
        stored = set(tensors.keys())
    strangers = sorted(stored ^ get_peft_model_state_dict(model).keys())
    if strangers:
        raise InputError(
            f"{directory}: {len(strangers)} adapter matrices do not fit the model, such as "
            f"{strangers[0]}; the adapter was made for another model, train it on this one"
        )
    idle = [
        name
        for name, weight in model.named_parameters()
        if "lora_B" in name and not torch.any(weight)
    ]
    if idle:
        raise InputError(
            f"{directory}: {len(idle)} adapter matrices are zero, such as {idle[0]}; the adapter "
            "never trained: check that the stage has data and a learning rate"
        )
