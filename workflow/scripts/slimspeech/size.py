"""What a model directory weighs, read from the headers of its safetensors files.

Nothing is loaded, so a 7B model is measured in milliseconds.
"""

import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from slimspeech.artifacts import read_json
from slimspeech.errors import InputError

# What bitsandbytes stores beside a 4-bit weight, by the ending of its name.
NF4_STATE = ".quant_state.bitsandbytes__nf4"
SIDE_TENSORS = (".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", NF4_STATE)

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
    files = sorted(directory.glob("*.safetensors"))
    if not files or not (directory / "config.json").is_file():
        raise InputError(f"{directory}: no model there (config.json and *.safetensors)")
    weights: Counter[str] = Counter()
    stored: Counter[str] = Counter()
    dtypes: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for file in files:
        for name, count, size, dtype in _tensors(file):
            if name in seen:
                raise InputError(
                    f"{file}: {name} is in another file of the directory too; remove what is left "
                    "of an earlier model"
                )
            seen.add(name)
            part = part_of(name)
            weights[part] += count
            stored[part] += size
            if count:
                dtypes[part].add(dtype)
    config = read_json(directory / "config.json")
    quantization = config.get("quantization_config") or {}
    return {
        "weights": weights.total(),
        "decoder_layers": _decoder_layers(files),
        "bytes": sum(file.stat().st_size for file in files),
        "quantization": quantization.get("bnb_4bit_quant_type", "none"),
        "dtypes_by_part": {part: sorted(found) for part, found in sorted(dtypes.items())},
        "weights_by_part": dict(sorted(weights.items())),
        "bytes_by_part": dict(sorted(stored.items())),
    }


def _open(file: Path) -> Any:
    try:
        return safe_open(file, framework="numpy")
    except SafetensorError as error:
        problem = f"{file}: not a whole safetensors file ({error}); make it again"
        raise InputError(problem) from error


def _tensors(file: Path) -> list[tuple[str, int, int, str]]:
    """Name, true weights, stored bytes and dtype of every tensor; side tensors hold no weights.

    The dtype is "nf4", or as the file says: "BF16", "F32".
    """
    found = []
    with _open(file) as tensors:
        names = set(tensors.keys())
        for name in names:
            tensor = tensors.get_slice(name)
            shape, width = tensor.get_shape(), _bytes_of(tensor.get_dtype())
            size = math.prod(shape) * width
            dtype = tensor.get_dtype()
            if name.endswith(SIDE_TENSORS):
                count = 0
            elif name + NF4_STATE in names:
                state = json.loads(tensors.get_tensor(name + NF4_STATE).tobytes())
                count, dtype = math.prod(state["shape"]), state["quant_type"]
            else:
                count = math.prod(shape)
            found.append((name, count, size, dtype))
    return found


def _bytes_of(dtype: str) -> int:
    """Bytes of one element: "BF16" takes 2, "U8" 1, "F8_E4M3" 1."""
    return int("".join(c for c in dtype.split("_")[0] if c.isdigit())) // 8


def part_of(name: str) -> str:
    """The part of the model that a stored tensor belongs to."""
    for beginning, part in PARTS.items():
        if name.startswith(beginning):
            return part
    return "other"


def _decoder_layers(files: list[Path]) -> int:
    beginning = "language_model.model.layers."
    layers = set()
    for file in files:
        with _open(file) as tensors:
            layers |= {
                name.removeprefix(beginning).split(".")[0]
                for name in tensors.keys()  # noqa: SIM118 (not a mapping)
                if name.startswith(beginning)
            }
    return len(layers)
