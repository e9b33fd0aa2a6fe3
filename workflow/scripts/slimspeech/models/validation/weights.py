"""What weights a directory holds, and whether they are those that its config asks for.

Only the headers of the files are read. transformers makes up missing weights, in the size that the
config gives, and bitsandbytes unpacks 4 bits by numbers stored beside them without comparing these
with each other; so both are compared here.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.models.validation.directory import read_settings

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
QUANT_STATE = ".quant_state.bitsandbytes__nf4"
BLOCK, OUTER_BLOCK = 64, 256  # weights to a scale; in double quantisation scales to one of theirs
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Stored:
    """A tensor in a file. name: there. dtype: as the file calls it, such as "BF16"."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.count * width(self.dtype)


def width(dtype: str) -> int:
    """Bytes of one number of a type such as "BF16", "F8_E4M3" or "BOOL"."""
    bits = re.search(r"\d+", dtype)
    return int(bits[0]) // 8 if bits else 1


def read_weights(directory: str | Path, name: str | None = None) -> dict[str, Stored]:
    """The tensors of a model directory by the names that files of its family have.

    name: what messages call the directory, if not by its path. Raises InputError if there are
    none, if a file is damaged, if two files hold the same tensor, or if the index names others.
    """
    path, name = Path(directory), name or str(directory)
    tensors: dict[str, Stored] = {}
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise InputError(
            f"{name}: no *.safetensors there; other weight formats can carry code and are "
            "not read, convert the model with save_pretrained"
        )
    for file in files:
        held = read_header(file, f"{name}/{file.name}")
        if repeated := sorted(tensors.keys() & held.keys()):
            raise InputError(
                f"{name}/{file.name}: {repeated[0][:100]} is in another file of the "
                "directory too; remove what is left of an earlier model"
            )
        tensors |= held
    if (path / INDEX).exists():
        _check_index(path, name, tensors)
    return _by_stored_names(path, tensors)


def _by_stored_names(path: Path, tensors: dict[str, Stored]) -> dict[str, Stored]:
    """As they are, or renamed where all names are those of modules.

    `save_file(model.state_dict(), …)` writes those, and transformers reads them too.
    """
    if not (path / "config.json").is_file():
        return tensors
    settings = read_settings(path / "config.json", f"{path}/config.json")
    family = families.FAMILIES.get(str(settings.get("model_type")))
    if family is None or any(name.startswith(tuple(family.stored.values())) for name in tensors):
        return tensors
    return {family.stored_name(name): tensor for name, tensor in tensors.items()}


def read_header(path: Path, name: str | None = None) -> dict[str, Stored]:
    """The tensors of one file by name. Raises InputError if safetensors refuses the file."""
    try:
        with safe_open(path, framework="np") as file:
            slices = {tensor: file.get_slice(tensor) for tensor in file.keys()}  # noqa: SIM118
            return {
                tensor: Stored(path, tensor, held.get_dtype(), tuple(held.get_shape()))
                for tensor, held in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{name or path}: not a whole safetensors file ({str(error)[:200]}); make or download "
            "it again"
        ) from error


def _check_index(path: Path, name: str, tensors: Mapping[str, Stored]) -> None:
    listed = read_settings(path / INDEX, f"{name}/{INDEX}").get("weight_map")
    if not isinstance(listed, dict):
        raise InputError(f"{name}/{INDEX}: has no weight_map; download it again")
    for tensor, file in listed.items():
        if tensor not in tensors or tensors[tensor].path.name != file:
            raise InputError(
                f"{name}/{str(file)[:100]}: missing, or without {tensor[:100]}, though {INDEX} "
                "names it; download the model again"
            )


def require_weights(
    directory: str | Path,
    stored: Mapping[str, Stored],
    expected: Mapping[str, Sequence[int]],
    packed: bool,
) -> None:
    """Raise InputError unless every expected tensor is stored in its shape, or as its 4 bits.

    packed: whether the config says that there are 4-bit weights.
    """
    wrong = [
        name
        for name, shape in expected.items()
        if name not in stored or not _fits(stored, name, tuple(shape), packed)
    ]
    if wrong:
        raise InputError(
            f"{directory}: the weights do not fit the config: {len(wrong)} missing or of another "
            f"shape, such as {wrong[0]}; the checkpoint is incomplete, make or download it again"
        )


def _fits(stored: Mapping[str, Stored], name: str, shape: tuple[int, ...], packed: bool) -> bool:
    if not packed or name + QUANT_STATE not in stored:
        return stored[name].shape == shape and stored[name].dtype.startswith(("F", "BF"))
    state = _read_state(stored[name + QUANT_STATE])
    nested = "nested_blocksize" in state
    return _is_nf4(state, shape, nested) and all(
        name + ending in stored
        and (stored[name + ending].dtype, stored[name + ending].count) == (dtype, count)
        for ending, (dtype, count) in nf4_tensors(shape, nested).items()
    )


def nf4_tensors(shape: Sequence[int], nested: bool = True) -> dict[str, tuple[str, int]]:
    """Type and count of the numbers that bitsandbytes stores for a 4-bit weight, by the ending of
    the tensor's name: two weights to a byte, and a scale to a block.

    nested: in double quantisation the scales are 8 bits and have scales of their own.
    """
    weights = math.prod(shape)
    blocks = math.ceil(weights / BLOCK)
    tensors = {"": ("U8", math.ceil(weights / 2)), ".quant_map": ("F32", 16)}
    if not nested:
        return tensors | {".absmax": ("F32", blocks)}
    return tensors | {
        ".absmax": ("U8", blocks),
        ".nested_absmax": ("F32", math.ceil(blocks / OUTER_BLOCK)),
        ".nested_quant_map": ("F32", 256),
    }


def nf4_state(shape: Sequence[int], nested: bool = True) -> dict[str, Any]:
    """What bitsandbytes stores as JSON beside them. dtype and nested_offset are examples."""
    state = {"quant_type": "nf4", "blocksize": BLOCK, "dtype": "bfloat16", "shape": list(shape)}
    if not nested:
        return state
    return state | {
        "nested_blocksize": OUTER_BLOCK,
        "nested_dtype": "float32",
        "nested_offset": 0.0123456789012345678,
    }


def _read_state(tensor: Stored) -> dict[str, Any]:
    with safe_open(tensor.path, framework="np") as file:
        try:
            state = json.loads(file.get_tensor(tensor.name).tobytes())
        except (ValueError, RecursionError):
            return {}
    return state if isinstance(state, dict) else {}


def _is_nf4(state: dict[str, Any], shape: tuple[int, ...], nested: bool) -> bool:
    dtype, offset = state.get("dtype"), state.get("nested_offset", 0.0)
    varying = {"dtype": dtype} | ({"nested_offset": offset} if nested else {})
    sound = dtype in DTYPES and isinstance(offset, float) and math.isfinite(offset)
    return sound and state == nf4_state(shape, nested) | varying
