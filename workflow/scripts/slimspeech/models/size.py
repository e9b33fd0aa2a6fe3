"""The size of a model directory, from the headers of its safetensors files.

No weight is loaded, so a 7B model takes milliseconds.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimspeech import families
from slimspeech.artifacts import read_json
from slimspeech.models.validation.directory import check_directory
from slimspeech.models.validation.weights import QUANT_STATE, Stored, read_weights

# Endings of the names of what bitsandbytes stores beside a 4-bit weight.
SIDE_TENSORS = (".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", QUANT_STATE)

ADAPTER = "base_model."  # where the names of an adapter's weights begin


def measure_size(directory: str | Path) -> dict[str, Any]:
    """Number of weights, decoder layers and bytes of the weight files, in all and by part.

    Packed 4-bit weights count as weights, not as bytes (which makes "4.12B" of 6.78 B weights).
    `bytes` is the size of the weight files, as in the paper's tables, without tokenizer and
    configs. Raises InputError for a directory without a model or a damaged file.
    """
    directory = Path(directory)
    check_directory(directory)
    tensors = read_weights(directory)
    config = read_json(directory / "config.json")
    family = families.by_type(config["model_type"])
    weights: Counter[str] = Counter()
    stored: Counter[str] = Counter()
    dtypes: dict[str, set[str]] = defaultdict(set)
    for name, tensor in tensors.items():
        count, dtype = _weights(name, tensors)
        part = "adapter" if name.startswith(ADAPTER) else family.part_of(name)
        weights[part] += count
        stored[part] += tensor.bytes
        if count:
            dtypes[part].add(dtype)
    quantization = config.get("quantization_config") or {}
    return {
        "weights": weights.total(),
        "decoder_layers": len({family.layer_of(name) for name in tensors} - {None}),
        "bytes": sum(file.stat().st_size for file in directory.glob("*.safetensors")),
        "quantization": quantization.get("bnb_4bit_quant_type", "none"),
        "dtypes_by_part": {part: sorted(names) for part, names in sorted(dtypes.items())},
        "weights_by_part": dict(sorted(weights.items())),
        "bytes_by_part": dict(sorted(stored.items())),
    }


def _weights(name: str, tensors: Mapping[str, Stored]) -> tuple[int, str]:
    """Number and dtype ("nf4", "BF16", "F32") of a tensor's weights; 0 for bitsandbytes' own."""
    tensor = tensors[name]
    if name.endswith(SIDE_TENSORS):
        return 0, tensor.dtype
    if name + QUANT_STATE in tensors:
        return 2 * tensor.count, "nf4"  # two to a byte; the layers of a model have even widths
    return tensor.count, tensor.dtype
