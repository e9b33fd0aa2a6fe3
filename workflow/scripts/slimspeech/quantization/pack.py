"""The student as a user gets it: quantised once, from bfloat16, in a directory of its own.

Weights are read and written one at a time: packing a model of 7B takes less than 4 GB of memory.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import PretrainedConfig

from slimspeech import families
from slimspeech.artifacts import read_json, write_json
from slimspeech.errors import InputError
from slimspeech.models.adapters import read_matrices, require_adapter
from slimspeech.models.checkpoints import SHARD_BYTES, rewrite
from slimspeech.models.loading import device, read_config
from slimspeech.models.nf4_embedding import MARK
from slimspeech.models.shapes import is_tied, shapes
from slimspeech.models.validation.directory import ADAPTER_CONFIG
from slimspeech.models.validation.weights import ADAPTER_WEIGHTS, BLOCK
from slimspeech.quantization.nf4 import formats, nf4, stored
from slimspeech.quantization.predicted_size import four_bit_weights, predicted_bytes


def pack(
    directory: str | Path,
    packed: str | Path,
    quantization: str | Mapping[str, str] = "nf4",
    limit: int = SHARD_BYTES,
    memory: float = math.inf,
    without: Sequence[str] = (),
    adapter: str | Path | None = None,
) -> None:
    """Write a model in the formats asked for (see quantization.formats), the rest in bfloat16.

    from_pretrained loads the result by itself, unless the embedding is 4-bit: then the directory
    holds a loader, load_student.py, and config.json says `embedding_quantization`.
    limit: bytes of a file of weights. memory: bytes it may take to try the result. without: parts
    that are left out. adapter: one that was trained on the 4-bit form and stays beside it, in
    bfloat16; from_pretrained loads it too where peft is installed. Raises InputError as rewrite()
    does, for an embedding that does not divide into blocks or is the output head too, for parts
    that the model cannot do without, and for an adapter as merge_adapter() does.
    """
    config = read_config(directory)
    _leave_out(directory, config, without)
    four_bit = set(four_bit_weights(config, quantization))
    needed = sum(predicted_bytes(config, quantization).values())
    _check_formats(directory, config, formats(quantization))
    if formats(quantization)["embedding"] == "nf4":
        setattr(config, MARK, "nf4")

    def change(name: str, weight: Tensor) -> dict[str, Tensor]:
        if name not in four_bit:
            return {name: weight}
        return {key: tensor.cpu() for key, tensor in stored(name, weight.to(device())).items()}

    finish = None
    if adapter:
        if not four_bit:
            raise InputError(
                f"{directory}: an adapter stays beside 4-bit weights, and no part is to be nf4; "
                "merge it, or change the student's quantization"
            )
        matrices = _read_adapter(config, adapter)
        needed += sum(2 * tensor.numel() for tensor in matrices.values())
        finish = partial(_write_adapter, adapter, matrices)
    form = nf4(quantization, families.of(config)) if four_bit else None
    names = {name: name for name in shapes(config)}
    options = {"needed": needed, "limit": limit, "memory": memory, "finish": finish}
    rewrite(directory, packed, config, change, quantization=form, names=names, **options)


def _check_formats(
    directory: str | Path, config: PretrainedConfig, chosen: Mapping[str, str]
) -> None:
    """Raises InputError for formats that the model's embedding cannot have."""
    if is_tied(config) and "nf4" in (chosen["embedding"], chosen["head"]):
        raise InputError(
            f"{directory}: its embedding is its output head too, which transformers loads in "
            "bfloat16 alone; leave embedding and head out of the student's quantization"
        )
    if chosen["embedding"] == "nf4" and config.text_config.hidden_size % BLOCK:
        raise InputError(
            f"{directory}: its embedding is {config.text_config.hidden_size} wide and 4 bits "
            f"take a multiple of {BLOCK}; leave embedding out of the student's quantization"
        )


def _read_adapter(config: PretrainedConfig, adapter: str | Path) -> dict[str, Tensor]:
    """Its matrices in bfloat16; raises InputError if they do not fit the model."""
    require_adapter(config, adapter)
    return {name: tensor.bfloat16() for name, tensor in read_matrices(adapter).items()}


def _write_adapter(source: str | Path, matrices: Mapping[str, Tensor], directory: Path) -> None:
    """Beside a packed model; the settings without the path of the model that it was trained on."""
    settings = read_json(Path(source, ADAPTER_CONFIG))
    write_json(directory / ADAPTER_CONFIG, settings | {"base_model_name_or_path": None})
    save_file(dict(matrices), directory / ADAPTER_WEIGHTS, metadata={"format": "pt"})


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
