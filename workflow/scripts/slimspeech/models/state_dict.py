"""The size of a model as the organisers of the IWSLT compression track measure it.

Their script writes `torch.save(model.state_dict())` to a file and prints its size in GiB
(https://github.com/hlt-mt/iwslt-modelcompression, 2027/gemma_size.py).
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from slimspeech.models.loading import load_model, read_config


class _Counter:
    """A file that keeps only the number of bytes written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        count = memoryview(data).nbytes
        self.bytes += count
        return count

    def flush(self) -> None:
        """Nothing is kept back."""


def state_dict_bytes(directory: str | Path) -> int:
    """Bytes of the file that `torch.save` would write of a model in the dtype of its config.

    Nothing is written. A file's name is in it many times, so a file with another name differs by
    some bytes for each tensor. Raises InputError as load_model().
    """
    dtype = read_config(directory).dtype or torch.float32
    return saved_bytes(load_model(directory, dtype, hardware=torch.device("cpu")))


def saved_bytes(model: PreTrainedModel) -> int:
    """As state_dict_bytes(), of a model in memory."""
    counter = _Counter()
    torch.save(model.state_dict(), counter)
    return counter.bytes
