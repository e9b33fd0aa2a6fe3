"""The student as a user gets it: quantised once, from bfloat16, in a directory of its own.

Weights are read and written one at a time: packing a model of 7B takes less than 4 GB of memory.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from transformers import PretrainedConfig

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.models.checkpoints import SHARD_BYTES, rewrite
from slimspeech.models.loading import device, read_config
from slimspeech.models.nf4_embedding import MARK
from slimspeech.models.shapes import is_tied, shapes
from slimspeech.models.validation.weights import BLOCK
from slimspeech.quantization.nf4 import formats, nf4, stored
from slimspeech.quantization.predicted_size import four_bit_weights, predicted_bytes


def pack(
    directory: str | Path,
    packed: str | Path,
    quantization: str | Mapping[str, str] = "nf4",
    limit: int = SHARD_BYTES,
    memory: float = math.inf,
    without: Sequence[str] = (),
) -> None:
    """Write a model in the formats asked for (see quantization.formats), the rest in bfloat16.

    from_pretrained loads the result by itself, unless the embedding is 4-bit: then the directory
    holds a loader, load_student.py, and config.json says `embedding_quantization`.
    limit: bytes of a file of weights. memory: bytes it may take to try the result. without: parts
    that are left out. Raises InputError as rewrite() does, for an embedding that does not divide
    into blocks or is the output head too, and for parts that the model cannot do without.
    """
    config = read_config(directory)
    _leave_out(directory, config, without)
    four_bit = set(four_bit_weights(config, quantization))
    needed = sum(predicted_bytes(config, quantization).values())
    chosen = formats(quantization)
    if is_tied(config) and "nf4" in (chosen["embedding"], chosen["head"]):
        raise InputError(
            f"{directory}: its embedding is its output head too, which transformers loads in "
            "bfloat16 alone; leave embedding and head out of the student's quantization"
        )
    if chosen["embedding"] == "nf4":
        if config.text_config.hidden_size % BLOCK:
            raise InputError(
                f"{directory}: its embedding is {config.text_config.hidden_size} wide and 4 bits "
                f"take a multiple of {BLOCK}; leave embedding out of the student's quantization"
            )
        setattr(config, MARK, "nf4")

    def change(name: str, weight: Tensor) -> dict[str, Tensor]:
        if name not in four_bit:
            return {name: weight}
        return {key: tensor.cpu() for key, tensor in stored(name, weight.to(device())).items()}

    form = nf4(quantization, families.of(config)) if four_bit else None
    names = {name: name for name in shapes(config)}
    sizes = {"needed": needed, "limit": limit, "memory": memory}
    rewrite(directory, packed, config, change, quantization=form, names=names, **sizes)


def _leave_out(directory: str | Path, config: PretrainedConfig, parts: Sequence[str]) -> None:
    """Change the config to that of a model without these parts."""
    family = families.of(config)
    for part in parts:
        if part not in family.unused_parts:
            spare = ", ".join(family.unused_parts) or "nothing"
            raise InputError(
                f"{directory}: {family.title} cannot do without {part}; base.without may have "
                f"{spare}"
            )
        setattr(config, family.unused_parts[part], None)
