"""How a stage trains. The names are those of the keys in config."""

from dataclasses import dataclass

import torch

from slimspeech.errors import InputError
from slimspeech.models.loading import device
from slimspeech.models.precision import resolve_precision

PRECISIONS = ("auto", "bf16", "bf16_stochastic", "fp32")


@dataclass(frozen=True)
class TrainingSettings:
    """One stage of training.

    precision: "fp32"; "bf16" for fp32 weights and bf16 autocast; "bf16_stochastic" for bf16
        weights that are rounded up or down at random, with 8-bit optimiser states; "auto" for
        bf16 where the device computes it itself, else fp32.
    checkpoint_steps: steps between checkpoints to resume from after a kill; 0 for none.
    keep: the weights of the "last" step, or those of the epoch with the "best" validation loss.
    gpus: processes that share the clips of each update, one a GPU.
    nodes: machines of a cluster that the processes are spread over evenly.
    shard: whether they share weights, gradients and optimiser states too (FSDP).
    """

    epochs: float
    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    scheduler: str
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    precision: str
    gradient_checkpointing: bool
    checkpoint_steps: int
    keep: str
    gpus: int
    nodes: int
    shard: bool

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}")

    @property
    def compute_precision(self) -> str:
        """The precision on this machine: "auto" is decided."""
        return resolve_precision(self.precision, device())

    @property
    def weights(self) -> torch.dtype:
        """What the weights are held in while all of them are trained."""
        return torch.bfloat16 if self.precision == "bf16_stochastic" else torch.float32


@dataclass(frozen=True)
class LoraSettings:
    """A LoRA adapter, with rank, scale and dropout of the paper (section 4).

    target_modules: "all-linear" for every linear layer of audio tower, projector and decoder, or a
        pattern of module names. The paper's code says all-linear, but gives adapters of the audio
        tower no gradient.
    """

    r: int
    alpha: int
    dropout: float
    rslora: bool
    target_modules: str

    def __post_init__(self):
        if self.r < 1:
            raise InputError(f"LoRA rank must be positive, not {self.r}")
