"""4-bit NF4: the form that adapters are trained on, and the tensors it is stored as."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import bitsandbytes.functional as bnb
import torch
from bitsandbytes.functional import QuantState
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.models.validation.weights import BLOCK

PARTS = ("audio_tower", "projector", "decoder", "embedding", "head", "vision")
# What the names nf4 and none mean, by part. The output head's is bitsandbytes' own default.
NAMED = {
    "nf4": dict.fromkeys(PARTS, "nf4") | {"embedding": "none", "head": "none"},
    "none": dict.fromkeys(PARTS, "none"),
}
HEAD = "lm_head"
CHUNK = 2**24  # weights quantised at a time; a multiple of BLOCK


def formats(quantization: str | Mapping[str, str]) -> dict[str, str]:
    """By part of the model, "nf4" or "none" (bfloat16).

    quantization: "nf4" (all but embedding and head), "none", or what differs from nf4, by part.
    Raises InputError for anything else.
    """
    named = NAMED.get(quantization) if isinstance(quantization, str) else NAMED["nf4"]
    changes = {} if isinstance(quantization, str) else dict(quantization)
    if named is None or changes.keys() - set(PARTS) or set(changes.values()) - {"nf4", "none"}:
        raise InputError(
            f"quantization is nf4, none, or one of these for each of {', '.join(PARTS)}; "
            f"not {quantization!r}"
        )
    return named | changes


def nf4(
    quantization: str | Mapping[str, str] = "nf4", family: Family | None = None
) -> BitsAndBytesConfig:
    """The paper's 4-bit: NF4, double quantisation, bfloat16 compute (section 4).

    By default every linear layer but the output head: audio tower, projector and decoder. The
    embedding is no linear layer and not for transformers to quantise; see nf4_embedding.
    family: of the model, if `quantization` leaves more parts alone than the head.
    """
    chosen = formats(quantization)
    modules = family.modules if family else {"head": HEAD}
    left = [module for part, module in modules.items() if chosen[part] == "none"]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        # None leaves the output head alone, a list exactly what it names
        llm_int8_skip_modules=None if left == [HEAD] else left,
    )


def quantised_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The layers that nf4() turns into 4 bits, by name: all linear ones but the output head."""
    head = model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


def quantise(weight: Tensor) -> tuple[Tensor, QuantState]:
    """What bitsandbytes makes of a weight, bit by bit, in a fraction of its memory.

    Blocks do not depend on each other, so the weight is taken in pieces, and the scales of all
    blocks are quantised together in the end.
    """
    pieces = [
        bnb.quantize_4bit(piece, quant_type="nf4") for piece in weight.reshape(-1).split(CHUNK)
    ]
    scales = torch.cat([state.absmax for _, state in pieces])
    offset = scales.mean()
    packed_scales, outer = bnb.quantize_blockwise(scales - offset, blocksize=256)
    state = QuantState(
        absmax=packed_scales,
        shape=weight.shape,
        dtype=weight.dtype,
        blocksize=BLOCK,
        code=pieces[0][1].code,
        quant_type="nf4",
        offset=offset,
        state2=outer,
    )
    return torch.cat([packed for packed, _ in pieces]), state


def stored(name: str, weight: Tensor) -> dict[str, Tensor]:
    """A weight's 4-bit form as tensors by name, as bitsandbytes and transformers write it."""
    packed, state = quantise(weight)
    side: dict[str, Any] = state.as_dict(packed=True)
    return {name: packed, **{f"{name}.{key}": tensor for key, tensor in side.items()}}


def round_to_nf4(weight: Tensor) -> Tensor:
    """What the 4-bit form of a weight stands for, in the weight's dtype."""
    return bnb.dequantize_4bit(*quantise(weight)).to(weight.dtype)


@contextmanager
def rounded(model: PreTrainedModel, names: Collection[str]) -> Iterator[None]:
    """The model with some weights, by their names in the files, as a packed model has them.

    They are restored afterwards; until then the model takes the memory of these weights twice.
    """
    family = families.of(model.config)
    weights = [
        weight for name, weight in model.named_parameters() if family.stored_name(name) in names
    ]
    whole = [weight.data for weight in weights]
    try:
        for weight in weights:
            weight.data = round_to_nf4(weight.data.bfloat16()).to(weight.dtype)
        yield
    finally:
        for weight, data in zip(weights, whole, strict=True):
            weight.data = data
