"""What a model directory weighs, read from the headers of its safetensors files.

Nothing is loaded, so a 7B model is measured in milliseconds.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimspeech.artifacts import read_json
from slimspeech.errors import InputError
from slimspeech.models.validation.directory import check_directory
from slimspeech.models.validation.safetensors import Stored
from slimspeech.models.validation.weights import QUANT_STATE, read_state

# What bitsandbytes stores beside a 4-bit weight, by the ending of its name.
SIDE_TENSORS = (".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", QUANT_STATE)

# The beginning of a tensor's name, and the part of the model it belongs to.
PARTS = {
    "base_model.": "adapter",
    "audio_tower.": "audio_tower",
    "multi_modal_projector.": "projector",
    "language_model.model.embed_tokens.": "embedding",
    "language_model.model.": "decoder",
    "language_model.lm_head.": "head",
}


def measure_size(directory: str | Path) -> dict[str, Any]:
    """True weights, decoder layers, bytes of the weight files, and both by part of the model.

    A 4-bit weight counts as the weights it stands for, not as its packed bytes (counting those is
    how a model of 6.78 B weights comes to be called "4.12B"). `bytes` is the files' size, as in
    the paper's tables; tokenizer and configs are left out. Raises InputError for a directory
    without a model or a damaged file.
    """
    directory = Path(directory)
    tensors = check_directory(directory)
    weights: Counter[str] = Counter()
    stored: Counter[str] = Counter()
    dtypes: dict[str, set[str]] = defaultdict(set)
    for name, tensor in tensors.items():
        count, dtype = _true_weights(name, tensors)
        part = part_of(name)
        weights[part] += count
        stored[part] += tensor.end - tensor.start
        if count:
            dtypes[part].add(dtype)
    config = read_json(directory / "config.json")
    quantization = config.get("quantization_config") or {}
    return {
        "weights": weights.total(),
        "decoder_layers": _decoder_layers(tensors),
        "bytes": sum(file.stat().st_size for file in directory.glob("*.safetensors")),
        "quantization": quantization.get("bnb_4bit_quant_type", "none"),
        "dtypes_by_part": {part: sorted(found) for part, found in sorted(dtypes.items())},
        "weights_by_part": dict(sorted(weights.items())),
        "bytes_by_part": dict(sorted(stored.items())),
    }


def _true_weights(name: str, tensors: Mapping[str, Stored]) -> tuple[int, str]:
    """The weights that a tensor stands for, none beside a 4-bit one, and their dtype.

    The dtype is "nf4", or as the file says: "BF16", "F32".
    """
    tensor = tensors[name]
    if name.endswith(SIDE_TENSORS):
        return 0, tensor.dtype
    if name + QUANT_STATE not in tensors:
        return tensor.count, tensor.dtype
    state = read_state(tensors[name + QUANT_STATE])
    if not state or math.ceil(state.count / 2) != tensor.count:
        raise InputError(f"{tensor.path}: {name} is not the 4 bits it is called; make it again")
    return state.count, state.quant_type


def part_of(name: str) -> str:
    """The part of the model that a stored tensor belongs to."""
    for beginning, part in PARTS.items():
        if name.startswith(beginning):
            return part
    return "other"


def _decoder_layers(names: Iterable[str]) -> int:
    beginning = "language_model.model.layers."
    inside = (name.removeprefix(beginning) for name in names if name.startswith(beginning))
    return len({name.split(".")[0] for name in inside})
