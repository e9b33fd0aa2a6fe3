"""Read and write model directories tensor by tensor, without holding the model in memory.

Names of tensors are those in the files, which can differ from those of the modules.
"""

import contextlib
import ctypes
import logging
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import BitsAndBytesConfig, PretrainedConfig

from slimspeech.artifacts import require_space, write_directory, write_json
from slimspeech.errors import InputError
from slimspeech.models import loading, nf4_embedding
from slimspeech.models.generation_config import write_generation_config
from slimspeech.models.loading import publish_config, read_config
from slimspeech.models.shapes import shapes
from slimspeech.models.validation.directory import LOADER
from slimspeech.models.validation.weights import (
    INDEX,
    SINGLE,
    Stored,
    read_weights,
    require_weights,
)

logger = logging.getLogger(__name__)

SHARD_BYTES = 10**9  # a larger tensor (the embedding of the 7B) is a file of its own
BYTES_TO_RUN = 2 * 10**9  # beside the weights, to run one prompt

Change = Callable[[str, Tensor], Mapping[str, Tensor]]


class ShardWriter:
    """Writes tensors in the order they come, in files of at most `limit` bytes.

    It holds one file in memory. As transformers does, it names a single file model.safetensors
    and writes an index for several.
    """

    def __init__(self, directory: Path, limit: int = SHARD_BYTES):
        self.directory = directory
        self.limit = limit
        self._shards: list[list[str]] = []
        self._tensors: dict[str, Tensor] = {}  # of the next file
        self._bytes = self._total = 0

    def add(self, name: str, tensor: Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        if self._tensors and self._bytes + size > self.limit:
            self._flush()
        self._tensors[name] = tensor.contiguous()
        self._bytes += size
        self._total += size

    def finish(self) -> None:
        self._flush()
        count, files = len(self._shards), {}
        for number, tensors in enumerate(self._shards, start=1):
            name = SINGLE if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
            self._path(number).rename(self.directory / name)
            files |= dict.fromkeys(tensors, name)
        if count > 1:
            index = {"metadata": {"total_size": self._total}, "weight_map": files}
            write_json(self.directory / INDEX, index)

    def _path(self, number: int) -> Path:
        return self.directory / f"shard-{number}.safetensors"

    def _flush(self) -> None:
        self._shards.append(list(self._tensors))
        save_file(self._tensors, self._path(len(self._shards)), metadata={"format": "pt"})
        self._tensors, self._bytes = {}, 0


def unchanged(name: str, tensor: Tensor) -> dict[str, Tensor]:
    return {name: tensor}


def rewrite(
    source: str | Path,
    target: str | Path,
    config: PretrainedConfig,
    change: Change = unchanged,
    *,
    needed: int,
    quantization: BitsAndBytesConfig | None = None,
    names: Mapping[str, str] | None = None,
    limit: int = SHARD_BYTES,
    memory: float = math.inf,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write a model directory from another, tensor by tensor, in bfloat16.

    config: that of the target, but for its quantization. change: the tensors to write for a
    tensor, by its name in the target. needed: bytes that must be free on the disk. names: from
    tensors of the target to those of the source; by default all, under the same names. limit:
    bytes of a file. memory: bytes that the job may take. finish: changes the other files, such as
    the tokenizer's. The result is loaded and run as in save_model() if `memory` and the free memory
    suffice.
    Raises InputError if tensors are missing, misshapen or not finite, or if the disk is too small.
    """
    original = read_config(source)
    if hasattr(original, "quantization_config"):
        raise InputError(f"{source}: quantised already; give the bfloat16 model it was made from")
    tensors, expected = read_weights(source), shapes(original)
    require_weights(source, tensors, expected, packed=False)
    if others := sorted(tensors.keys() - expected.keys()):
        logger.warning(
            "%s: %d tensors are not the model's and are left out, such as %s",
            source,
            len(others),
            others[0],
        )
    names = names or {name: name for name in expected}
    if quantization:
        config.quantization_config = quantization
    require_space(Path(target).parent, needed, f"the model {Path(target).name}")

    def write(partial: Path) -> None:
        return_freed_memory()
        writer = ShardWriter(partial, limit)
        for name, source_name in tqdm(names.items(), desc=f"Write {Path(target).name}"):
            tensor = read_tensor(tensors[source_name])
            for target_name, changed in change(name, tensor).items():
                writer.add(target_name, changed)
        writer.finish()
        write_rest(source, original, partial, config)
        if finish:
            finish(partial)
        try_if_it_fits(partial, config, memory)

    write_directory(target, write)


def read_tensor(stored: Stored) -> Tensor:
    """In bfloat16. Raises InputError if a value is not finite."""
    # The file is opened for this tensor alone: tensors read from an open file stay in memory.
    with safe_open(stored.path, framework="pt") as file:
        tensor = file.get_tensor(stored.name).to(torch.bfloat16)
    if not all(map(torch.isfinite, torch.aminmax(tensor))):
        raise InputError(
            f"{stored.path}: {stored.name} holds values that are not numbers; make it again"
        )
    return tensor


def return_freed_memory() -> None:
    """Make glibc return every freed tensor of a megabyte or more to the system.

    By itself, glibc raises that limit to 32 MB and keeps gigabytes of freed memory: packing the
    7B took twice the memory.
    """
    if sys.platform == "linux":
        mmap_threshold = -3  # M_MMAP_THRESHOLD of malloc.h
        with contextlib.suppress(AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(mmap_threshold, 2**20)


def write_rest(
    source: str | Path, original: PretrainedConfig, directory: Path, config: PretrainedConfig
) -> None:
    """Write all of a model but its weights: config (bfloat16), processor, generation settings.

    original: the config of the source.
    """
    write_config(config, directory)
    processor = loading.load_processor(source, original)
    processor.save_pretrained(directory)
    write_generation_config(source, directory, processor)
    if hasattr(config, nf4_embedding.MARK):
        shutil.copy(nf4_embedding.__file__, directory / LOADER)


def write_config(config: PretrainedConfig, directory: Path) -> None:
    """Write config.json of a model in bfloat16."""
    for part in (config, *(getattr(config, name) for name in config.sub_configs)):
        if part is not None:
            part.dtype = torch.bfloat16
    config.save_pretrained(directory)
    publish_config(directory)


def try_if_it_fits(directory: Path, config: PretrainedConfig, memory: float = math.inf) -> None:
    """Load a directory and run a prompt, if the free memory and `memory`, in bytes, suffice."""
    needed = memory_to_run(directory, config)
    allowed = min(psutil.virtual_memory().available, memory)
    if allowed >= needed:
        loading.try_model(directory)
    else:
        logger.warning(
            "names, shapes and numbers are checked, but no prompt was run: the model takes "
            "%.1f GB and the job has %.1f GB of memory",
            needed / 1e9,
            allowed / 1e9,
        )


def memory_to_run(directory: Path, config: PretrainedConfig) -> int:
    """Bytes to load a model and run a prompt. A 4-bit model counts as bfloat16, because it takes
    more than its files: a 7B of 3.5 to 5.4 GB took 9 to 12 GB."""
    weights = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
    if hasattr(config, "quantization_config"):
        weights = max(weights, sum(2 * shape.numel() for shape in shapes(config).values()))
    return weights + BYTES_TO_RUN
