"""Processes that train one model together, one a GPU.

Each computes some of every update's clips. Their gradients are added up before the optimiser's
step, so that all take the same step, that of one process with all the clips. transformers and
accelerate do not know of it: to them each process is alone, so that data and order stay the same.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from slimspeech.models.loading import device

PATIENCE = timedelta(hours=2)  # the others wait while the first process writes a checkpoint
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")  # what accelerate looks at


@dataclass(frozen=True)
class Ranks:
    """One of so many processes; it alone has this number."""

    number: int
    count: int

    @classmethod
    def join(cls) -> "Ranks":
        """Meet the other processes that torchrun started."""
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        for name in VARIABLES:
            os.environ.pop(name, None)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def several(self) -> bool:
        return self.count > 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.number == 0

    def own(self, clips: int) -> range:
        """Which of so many clips are this process's: as many whole micro-batches as can be."""
        return range(clips * self.number // self.count, clips * (self.number + 1) // self.count)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.several:
            dist.barrier()

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes. In place."""
        if self.several:
            dist.all_reduce(value)
        return value

    def highest(self, value: int) -> int:
        """The largest of all processes' numbers."""
        values = torch.tensor(value, device=device())
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return int(values)

    def add_up_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Leave the sum of all processes' gradients in every process.

        A process without clips in an update has no gradients, and takes part all the same.
        """
        trained = [weight for weight in weights if weight.requires_grad]
        used = [weight.grad is not None for weight in trained]
        anywhere = torch.tensor(used, dtype=torch.int32, device=device())
        dist.all_reduce(anywhere, op=dist.ReduceOp.MAX)
        running = []
        for weight, is_used in zip(trained, anywhere.tolist(), strict=True):
            if is_used:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
                running.append(dist.all_reduce(weight.grad, async_op=True))
        for sum_of_one in running:
            sum_of_one.wait()


class OutOfMemory(Exception):
    """A micro-batch is too large where a process cannot try again alone; its argument is a size
    to go on with, in clips."""


ALONE = Ranks(0, 1)
