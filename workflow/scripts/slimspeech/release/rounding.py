"""Round an exported model to whole numbers, as vLLM reads them: compressed-tensors.

The matrices of the decoder's layers become whole numbers with scales. The rest stays bfloat16: the
embedding, the head, the audio encoder and the projector.

int8 (W8A8): numbers from -128 to 127, with one scale per output channel. The engine rounds the
activations itself, with one scale per token.
w4a16: numbers from -8 to 7, with one scale per group of inputs. The activations are not rounded.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from slimspeech import families
from slimspeech.artifacts import read_json, require_space, write_directory, write_json
from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.models.checkpoints import (
    SHARD_BYTES,
    ShardWriter,
    read_tensor,
    return_freed_memory,
)
from slimspeech.models.loading import read_config
from slimspeech.models.shapes import linear_weights, shapes
from slimspeech.models.validation.weights import read_weights, require_weights

# Parts of the largest value of a group that are tried as the largest that can be written. A smaller
# one cuts outliers off and rounds the rest in smaller steps.
PARTS = (1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)


@dataclass(frozen=True)
class Rounding:
    """form: "int8" or "w4a16". group: inputs that share a scale, of w4a16."""

    form: str
    group: int

    @property
    def bits(self) -> int:
        return {"int8": 8, "w4a16": 4}[self.form]

    def settings(self, family: Family) -> dict[str, Any]:
        """quantization_config of config.json."""
        numbers = {"num_bits": self.bits, "type": "int", "symmetric": True}
        stays = {"dynamic": False}
        if self.form == "int8":
            name = "int-quantized"
            weights = numbers | {"strategy": "channel"} | stays
            activations = numbers | {"strategy": "token", "dynamic": True}
        else:
            name = "pack-quantized"
            weights = numbers | {"strategy": "group", "group_size": self.group} | stays
            activations = None
        return {
            "quant_method": "compressed-tensors",
            "format": name,
            "quantization_status": "compressed",
            "config_groups": {
                "group_0": {
                    "format": name,
                    "targets": ["Linear"],
                    "weights": weights,
                    "input_activations": activations,
                }
            },
            "ignore": _not_rounded(family),
        }

    def tensors(self, name: str, weight: Tensor) -> dict[str, Tensor]:
        """What is stored of a matrix (out, in), by the names of its tensors.

        int8: int8 (out, in) and scales, bfloat16 (out, 1). w4a16: int32 (out, in / 8), eight
        numbers from the lowest bits up; scales, bfloat16 (out, in / group); and the shape.
        """
        prefix = name.removesuffix("weight")
        if self.form == "int8":
            codes, scales = rounded(weight, self.bits, weight.shape[1], parts=PARTS[:1])
            return {name: codes, f"{prefix}weight_scale": scales}
        codes, scales = rounded(weight, self.bits, self.group, parts=PARTS)
        return {
            f"{prefix}weight_packed": packed(codes),
            f"{prefix}weight_scale": scales,
            f"{prefix}weight_shape": torch.tensor(weight.shape),
        }


def round_export(
    exported: str | Path, target: str | Path, rounding: Rounding, limit: int = SHARD_BYTES
) -> None:
    """Write an exported bfloat16 model in whole numbers, tensor by tensor.

    limit: bytes of a file of weights. Raises InputError if tensors are missing, misshapen or
    not finite, as those of a quantised model are, if groups do not divide a matrix, or if the disk
    is too small.
    """
    config = read_config(exported)
    family = families.of(config)
    stored, expected = read_weights(exported), shapes(config)
    require_weights(exported, stored, expected, packed=False)
    matrices = {name for name in linear_weights(config) if name.startswith(family.layers)}
    if rounding.form == "w4a16":
        _require_groups({name: expected[name] for name in matrices}, rounding.group)
    shrunk = rounding.bits / 16 + 1 / rounding.group
    needed = sum(stored[name].bytes * (shrunk if name in matrices else 1) for name in expected)
    require_space(Path(target).parent, int(needed), f"the model {Path(target).name}")

    def write(partial: Path) -> None:
        return_freed_memory()
        writer = ShardWriter(partial, limit)
        for name in tqdm(expected, desc=f"Write {Path(target).name}"):
            tensor = read_tensor(stored[name])
            parts = rounding.tensors(name, tensor) if name in matrices else {name: tensor}
            for key, part in parts.items():
                writer.add(key, part)
        writer.finish()
        for file in Path(exported).iterdir():
            if file.is_file() and ".safetensors" not in file.name:
                shutil.copyfile(file, partial / file.name)
        settings = read_json(partial / "config.json")
        quantization = rounding.settings(family)
        write_json(partial / "config.json", settings | {"quantization_config": quantization})

    write_directory(target, write)


def _require_groups(matrices: dict[str, torch.Size], group: int) -> None:
    for name, shape in matrices.items():
        if shape[1] % group:
            raise InputError(
                f"serving.group_size: {group} does not divide the {shape[1]} inputs of {name}; "
                "choose a smaller one"
            )


def _not_rounded(family: Family) -> list[str]:
    """Modules that vLLM must not look for whole numbers in."""
    parts = [part for part in family.modules if part not in ("decoder", "head")]
    modules = [family.modules[part].rpartition(".")[2] for part in parts]
    return [*(f"re:.*{module}.*" for module in modules), "re:.*lm_head$"]


def rounded(
    weight: Tensor, bits: int, group: int, parts: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8 (out, in), with scales, bfloat16 (out, in / group).

    A scale is as compressed-tensors computes it, the largest absolute value of its group over
    2^(bits-1) - 0.5, times that of `parts` which gives the smallest squared error.
    """
    values = weight.float().unflatten(1, (-1, group))
    half = 2 ** (bits - 1)
    full = values.abs().amax(2, keepdim=True) / (half - 0.5)
    best = codes = scales = None
    for part in parts:
        scale = (part * full).to(torch.bfloat16).float()
        # A group of zeros, or of numbers too small for a scale, has a scale of 1.
        scale[scale == 0] = 1
        tried = (values / scale).round().clamp(-half, half - 1)
        error = (tried * scale - values).square().sum(2, keepdim=True)
        if best is None:
            best, codes, scales = error, tried, scale
            continue
        better = error < best
        best = torch.where(better, error, best)
        codes = torch.where(better, tried, codes)
        scales = torch.where(better, scale, scales)
    return codes.flatten(1).to(torch.int8), scales.squeeze(2).to(torch.bfloat16)


def packed(codes: Tensor) -> Tensor:
    """Numbers from -8 to 7, (out, in), as int32 (out, in / 8): each plus 8, in four bits, the first
    in the lowest.
    """
    nibbles = (codes.int() + 8).unflatten(1, (-1, 8))
    return (nibbles << torch.arange(0, 32, 4, dtype=torch.int32)).sum(2, dtype=torch.int32)
