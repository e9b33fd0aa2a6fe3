"""The student as a user gets it: quantised once, from bfloat16, in a directory of its own.

Weights are read and written one at a time: packing a model of 7B takes less than 4 GB of memory.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from slimspeech.errors import InputError
from slimspeech.models.checkpoints import SHARD_BYTES, rewrite
from slimspeech.models.nf4_embedding import MARK
from slimspeech.models.qwen2audio import device, read_config
from slimspeech.models.validation.weights import BLOCK
from slimspeech.quantization.nf4 import formats, nf4, stored
from slimspeech.quantization.predicted_size import four_bit_weights, predicted_bytes


def pack(
    directory: str | Path,
    packed: str | Path,
    quantization: str | Mapping[str, str] = "nf4",
    limit: int = SHARD_BYTES,
    memory: float = math.inf,
) -> None:
    """Write a model in the formats asked for (see quantization.formats), the rest in bfloat16.

    from_pretrained loads the result by itself, unless the embedding is 4-bit: then the directory
    holds a loader, load_student.py, and config.json says `embedding_quantization`.
    limit: bytes of a file of weights. memory: bytes it may take to try the result. Raises
    InputError as rewrite() does, and for an embedding that does not divide into blocks.
    """
    config = read_config(directory)
    four_bit = set(four_bit_weights(config, quantization))
    needed = sum(predicted_bytes(config, quantization).values())
    if formats(quantization)["embedding"] == "nf4":
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

    form = nf4(quantization) if four_bit else None
    sizes = {"needed": needed, "limit": limit, "memory": memory}
    rewrite(directory, packed, config, change, quantization=form, **sizes)
