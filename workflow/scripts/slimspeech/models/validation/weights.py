"""Whether the weights in the files are those that a config asks for, before any memory is taken.

transformers makes up what is missing, in the size that the config says, and bitsandbytes unpacks 4
bits by what lies beside them; both are held against the files' headers here.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimspeech.errors import InputError
from slimspeech.models.validation.safetensors import Stored

QUANT_STATE = ".quant_state.bitsandbytes__nf4"
BLOCK, OUTER_BLOCK = 64, 256  # weights to a scale; in double quantisation scales to one of theirs
LONGEST_STATE = 4096  # bytes
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class State:
    """How a weight of a shape was made 4 bits: the first block size is of weights to a scale, the
    nested one of scales to a scale of theirs, if they have any."""

    quant_type: str
    blocksize: int
    nested_blocksize: int | None
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


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
    if packed and name + QUANT_STATE in stored:
        return _fits_packed(stored, name, shape)
    return stored[name].shape == shape and stored[name].dtype.startswith(("F", "BF"))


def _fits_packed(stored: Mapping[str, Stored], name: str, shape: tuple[int, ...]) -> bool:
    """Two weights to a byte, a scale to a block: fp32, or 8 bits with scales of their own."""
    state = read_state(stored[name + QUANT_STATE])
    weights = math.prod(shape)
    blocks = math.ceil(weights / BLOCK)
    sizes = {"": ("U8", math.ceil(weights / 2)), ".quant_map": ("F32", 16)}
    if state == State("nf4", BLOCK, None, shape):
        sizes |= {".absmax": ("F32", blocks)}
    elif state == State("nf4", BLOCK, OUTER_BLOCK, shape):
        sizes |= {
            ".absmax": ("U8", blocks),
            ".nested_absmax": ("F32", math.ceil(blocks / OUTER_BLOCK)),
            ".nested_quant_map": ("F32", 256),
        }
    else:
        return False
    return all(
        name + end in stored
        and (stored[name + end].dtype, stored[name + end].count) == (dtype, count)
        for end, (dtype, count) in sizes.items()
    )


def read_state(tensor: Stored) -> State | None:
    """What bitsandbytes keeps in a tensor of bytes, as JSON; None if it is none."""
    if tensor.dtype != "U8" or tensor.count > LONGEST_STATE:
        return None
    try:
        found = json.loads(tensor.read())
        nested = any(key.startswith("nested_") for key in found)
        state = State(
            quant_type=str(found["quant_type"]),
            blocksize=int(found["blocksize"]),
            nested_blocksize=int(found["nested_blocksize"]) if nested else None,
            shape=tuple(map(int, found["shape"])),
        )
        offset = float(found["nested_offset"]) if nested else 0.0
        known = found["dtype"] in DTYPES and (not nested or found["nested_dtype"] == "float32")
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError):
        return None
    sound = known and math.isfinite(offset) and min(state.shape, default=0) > 0
    return state if sound else None
