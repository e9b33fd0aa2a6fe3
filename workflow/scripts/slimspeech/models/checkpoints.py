"""Model directories read and written tensor by tensor, so that the model never lies in memory.

Names of tensors are those in the files of Qwen2-Audio, which are not those of the modules.
"""

import contextlib
import ctypes
import logging
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
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
from slimspeech.models import nf4_embedding, qwen2audio
from slimspeech.models.generation_config import write_generation_config
from slimspeech.models.qwen2audio import read_config
from slimspeech.models.shapes import shapes
from slimspeech.models.validation.directory import INDEX, LOADER, check_directory
from slimspeech.models.validation.weights import require_weights

logger = logging.getLogger(__name__)

SHARD_BYTES = 10**9  # a larger tensor (the embedding of the 7B) is a file of its own
ROOM_TO_RUN = 2 * 10**9  # bytes beside the weights, to run one prompt

Change = Callable[[str, Tensor], Mapping[str, Tensor]]


class Checkpoint:
    """The tensors of a directory by name, each read when it is asked for."""

    def __init__(self, directory: str | Path):
        """Raises InputError if there is no model, or a file of it is missing or damaged."""
        self.directory = Path(directory)
        self._stored = check_directory(self.directory)

    def require(self, expected: Mapping[str, Sequence[int]]) -> None:
        """Raises InputError unless every expected tensor is there in its shape."""
        require_weights(self.directory, self._stored, expected, packed=False)
        if strangers := sorted(self._stored.keys() - expected.keys()):
            logger.warning(
                "%s: %d tensors are not the model's and are left out, such as %s",
                self.directory,
                len(strangers),
                strangers[0],
            )

    def read(self, name: str, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        """Raises InputError if a number of the tensor is not finite."""
        # The file is opened for this tensor alone: what was read of an open one stays in memory.
        path = self._stored[name].path
        with safe_open(path, framework="pt") as file:
            tensor = file.get_tensor(name).to(dtype)
        if not all(map(torch.isfinite, torch.aminmax(tensor))):
            raise InputError(f"{path}: {name} holds values that are not numbers; make it again")
        return tensor


class ShardWriter:
    """Writes tensors in the order they come, in files of at most `limit` bytes.

    What memory it takes is one file. A checkpoint of one file is called model.safetensors, one of
    several has an index, as transformers writes them.
    """

    def __init__(self, directory: Path, limit: int = SHARD_BYTES):
        self.directory = directory
        self.limit = limit
        self._shards: list[list[str]] = []
        self._waiting: dict[str, Tensor] = {}
        self._bytes = self._total = 0

    def add(self, name: str, tensor: Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        if self._waiting and self._bytes + size > self.limit:
            self._flush()
        self._waiting[name] = tensor.contiguous()
        self._bytes += size
        self._total += size

    def finish(self) -> None:
        self._flush()
        count = len(self._shards)
        names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
        if count == 1:
            names = ["model.safetensors"]
        for number, name in enumerate(names):
            self._path(number).rename(self.directory / name)
        if count > 1:
            files = {
                tensor: name
                for name, shard in zip(names, self._shards, strict=True)
                for tensor in shard
            }
            index = {"metadata": {"total_size": self._total}, "weight_map": files}
            write_json(self.directory / INDEX, index)

    def _path(self, number: int) -> Path:
        return self.directory / f"shard-{number}.safetensors"

    def _flush(self) -> None:
        save_file(self._waiting, self._path(len(self._shards)), metadata={"format": "pt"})
        self._shards.append(list(self._waiting))
        self._waiting, self._bytes = {}, 0


def rewrite(
    source: str | Path,
    target: str | Path,
    config: PretrainedConfig,
    change: Change,
    *,
    needed: int,
    quantization: BitsAndBytesConfig | None = None,
    names: Mapping[str, str] | None = None,
    limit: int = SHARD_BYTES,
    memory: float = math.inf,
) -> None:
    """Write a directory from another, tensor by tensor, in bfloat16.

    config: that of the target, but for its quantization. names: from tensors of the target to
    those of the source, where they differ or some are left out. change: what is written for a
    tensor, by its name in the target. needed: bytes that the disk must have.
    Every tensor is held against the shape that its config asks for, and for being finite; the
    result is loaded and run as in save_model() where the memory for it is free and no more than
    `memory`, in bytes, and not otherwise.
    Raises InputError if tensors are missing, misshapen or not finite, or if the disk is too small.
    """
    original = read_config(source)
    if hasattr(original, "quantization_config"):
        raise InputError(f"{source}: quantised already; give the bfloat16 model it was made from")
    checkpoint = Checkpoint(source)
    expected = shapes(original)
    checkpoint.require(expected)
    names = names or {name: name for name in expected}
    if quantization:
        config.quantization_config = quantization
    require_space(Path(target).parent, needed, f"the model {Path(target).name}")

    def write(partial: Path) -> None:
        return_freed_memory()
        writer = ShardWriter(partial, limit)
        for name, old in tqdm(names.items(), desc=f"Write {Path(target).name}"):
            for written, tensor in change(name, checkpoint.read(old)).items():
                writer.add(written, tensor)
        writer.finish()
        write_rest(source, partial, config)
        try_if_it_fits(partial, memory)

    write_directory(target, write)


def return_freed_memory() -> None:
    """Have the C library hand every freed tensor of a megabyte or more back to the system.

    glibc raises that limit to 32 MB by itself, and then keeps gigabytes of holes between tensors
    that came and went: packing the 7B took twice the memory. Other C libraries are left alone.
    """
    if sys.platform == "linux":
        mmap_threshold = -3  # M_MMAP_THRESHOLD of malloc.h
        with contextlib.suppress(AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(mmap_threshold, 2**20)


def as_it_is(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """The change that changes nothing."""
    return {name: tensor}


def write_rest(source: str | Path, directory: Path, config: PretrainedConfig) -> None:
    """Everything of a model but its weights: config (bfloat16), processor, settings."""
    write_config(config, directory)
    processor = qwen2audio.load_processor(source)
    processor.save_pretrained(directory)
    write_generation_config(source, directory, processor)
    if hasattr(config, nf4_embedding.MARK):
        shutil.copy(nf4_embedding.__file__, directory / LOADER)


def write_config(config: PretrainedConfig, directory: Path) -> None:
    """Write config.json of a model in bfloat16."""
    for part in (config, config.text_config, config.audio_config):
        part.dtype = torch.bfloat16
    config.save_pretrained(directory)


def try_if_it_fits(directory: Path, memory: float = math.inf) -> None:
    """Load a directory and run a prompt through it, if the free memory and `memory` hold it."""
    needed = memory_to_run(directory)
    allowed = min(psutil.virtual_memory().available, memory)
    if allowed >= needed:
        qwen2audio.try_model(directory)
    else:
        logger.warning(
            "names, shapes and numbers are checked, but no prompt was run: the model takes "
            "%.1f GB and the job has %.1f GB of memory",
            needed / 1e9,
            allowed / 1e9,
        )


def memory_to_run(directory: Path) -> int:
    """Bytes to load a model and run a prompt; of a 4-bit one as if it were in bfloat16, since it
    takes more than its files: 9 to 12 GB for 3.5 to 5.4 GB of a 7B."""
    weights = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
    config = read_config(directory)
    if hasattr(config, "quantization_config"):
        weights = max(weights, sum(2 * shape.numel() for shape in shapes(config).values()))
    return weights + ROOM_TO_RUN
