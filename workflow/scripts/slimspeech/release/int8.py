"""Round an exported model to 8 bits, as vLLM reads it: compressed-tensors' W8A8.

The matrices of the decoder's layers become whole numbers from -128 to 127, with one scale per
output channel. The engine rounds the activations itself, with one scale per token. The rest stays
bfloat16: the embedding, the head, the audio encoder and the projector.
"""

import shutil
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from slimspeech import families
from slimspeech.artifacts import read_json, require_space, write_directory, write_json
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

LOWEST, HIGHEST = -128, 127
NUMBERS = {"num_bits": 8, "type": "int", "symmetric": True}
FORMAT = "int-quantized"
QUANTIZATION = {
    "quant_method": "compressed-tensors",
    "format": FORMAT,
    "quantization_status": "compressed",
    "config_groups": {
        "group_0": {
            "format": FORMAT,
            "targets": ["Linear"],
            "weights": NUMBERS | {"strategy": "channel", "dynamic": False},
            "input_activations": NUMBERS | {"strategy": "token", "dynamic": True},
        }
    },
}


def round_export(exported: str | Path, target: str | Path, limit: int = SHARD_BYTES) -> None:
    """Write an exported bfloat16 model in 8 bits, tensor by tensor.

    limit: bytes of a file of weights. Raises InputError if tensors are missing, misshapen or
    not finite, as those of a quantised model are, or if the disk is too small.
    """
    config = read_config(exported)
    family = families.of(config)
    stored, expected = read_weights(exported), shapes(config)
    require_weights(exported, stored, expected, packed=False)
    rounded = {name for name in linear_weights(config) if name.startswith(family.layers)}
    needed = sum(stored[name].bytes // (2 if name in rounded else 1) for name in expected)
    require_space(Path(target).parent, needed, f"the model {Path(target).name}")

    def write(partial: Path) -> None:
        return_freed_memory()
        writer = ShardWriter(partial, limit)
        for name in tqdm(expected, desc=f"Write {Path(target).name}"):
            tensor = read_tensor(stored[name])
            parts = rounded_weight(name, tensor) if name in rounded else {name: tensor}
            for key, part in parts.items():
                writer.add(key, part)
        writer.finish()
        for file in Path(exported).iterdir():
            if file.is_file() and ".safetensors" not in file.name:
                shutil.copyfile(file, partial / file.name)
        settings = read_json(partial / "config.json")
        quantization = QUANTIZATION | {"ignore": _not_rounded(family)}
        write_json(partial / "config.json", settings | {"quantization_config": quantization})

    write_directory(target, write)


def _not_rounded(family: Family) -> list[str]:
    """Modules that vLLM must not look for 8-bit weights in."""
    parts = [part for part in family.modules if part not in ("decoder", "head")]
    modules = [family.modules[part].rpartition(".")[2] for part in parts]
    return [*(f"re:.*{module}.*" for module in modules), "re:.*lm_head$"]


def rounded_weight(name: str, weight: Tensor) -> dict[str, Tensor]:
    """The two tensors of a matrix (out, in), by their names.

    int8 (out, in), and the scales of its rows, bfloat16 (out, 1): as compressed-tensors computes
    them, the largest absolute value of a row over 127.5.
    """
    values = weight.float()
    largest = values.abs().amax(1, keepdim=True)
    scale = (largest / ((HIGHEST - LOWEST) / 2)).to(torch.bfloat16)
    # A row of zeros, or of numbers too small for a scale, has a scale of 1.
    scale[scale == 0] = 1
    codes = (values / scale.float()).round().clamp(LOWEST, HIGHEST).to(torch.int8)
    return {name: codes, f"{name.removesuffix('weight')}weight_scale": scale}
