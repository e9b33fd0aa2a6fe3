"""The header of a safetensors file, read and checked without the library that will map the file.

A file is 8 bytes with the length of the header, the header in JSON, and the tensors' bytes. The
header says of each tensor where its bytes lie; what it says is held against the file.
"""

import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError

LONGEST = 10**8  # bytes of a header, the format's own limit
MOST_TENSORS = 10**6
# Bytes of one number. Stranger types are of no model here.
WIDTHS = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "F32": 4,
    "I64": 8,
    "F64": 8,
}


@dataclass(frozen=True)
class Stored:
    """A tensor as a file holds it: its bytes are those from `start` to `end` of the file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start)


def read_header(path: Path, name: str | None = None) -> dict[str, Stored]:
    """Every tensor of a file by name; no tensor is read.

    name: what messages call the file, if not by its path. Raises InputError if it is cut or
    overlong, if the header is no JSON or names a tensor twice, and if type, shape and place of a
    tensor do not fit each other, the other tensors or the file.
    """
    try:
        return _read(path)
    except (ValueError, RecursionError) as error:  # the first line; json's errors may have more
        reason = str(error).split("\n")[0][:200]
        problem = (
            f"{name or path}: not a whole safetensors file ({reason}); make or download it again"
        )
        raise InputError(problem) from error


def _read(path: Path) -> dict[str, Stored]:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise ValueError(f"it has {size} bytes")
        [length] = struct.unpack("<Q", first)
        if length > min(LONGEST, size - 8):
            raise ValueError(f"its header would have {length} bytes and the file has {size}")
        header = json.loads(file.read(length), object_pairs_hook=_without_repeats)
    if not isinstance(header, dict):
        raise ValueError("its header names no tensors")
    header.pop("__metadata__", None)
    if len(header) > MOST_TENSORS:
        raise ValueError(f"its header names {len(header)} tensors")
    found = {name: _stored(path, name, entry, 8 + length) for name, entry in header.items()}
    place = 8 + length
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != place:
            raise ValueError(f"{name[:100]} begins at byte {tensor.start} and not at {place}")
        place = tensor.end
    if place != size:
        raise ValueError(f"its tensors end at byte {place} and the file at {size}")
    return found


def _stored(path: Path, name: str, entry: Any, offset: int) -> Stored:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name[:100]} is not described by dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise ValueError(f"{name[:100]} is of the type {str(dtype)[:40]}")
    if not _are_counts(shape) or not _are_counts(place) or len(place) != 2:
        raise ValueError(f"{name[:100]} has a shape or a place that is none")
    tensor = Stored(path, dtype, tuple(shape), offset + place[0], offset + place[1])
    if tensor.end - tensor.start != tensor.count * WIDTHS[dtype]:
        raise ValueError(f"{name[:100]} has {place[1] - place[0]} bytes, which is not its shape's")
    return tensor


def _are_counts(values: Any) -> bool:
    """Whether it is a list of numbers that count something; a shape has eight at most."""
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is in its header twice")
    return found
