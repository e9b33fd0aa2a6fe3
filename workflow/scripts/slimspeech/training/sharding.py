"""A training of all weights that is spread over processes: FSDP, as torch has it.

Each process holds a share of the weights, gradients and optimiser states. The weights of a layer
are whole in every process only while it computes.
"""

import math
from contextlib import nullcontext
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.distributed.checkpoint as checkpoints
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.trainer_utils import rotate_checkpoints

from slimspeech.models.loading import device, load_model
from slimspeech.training.ranks import OutOfMemory, Ranks
from slimspeech.training.trainer import UpdateTrainer, answer_logits
from slimspeech.training.updates import Batch

WEIGHTS, SCHEDULER, STATE = "sharded", "scheduler.pt", "trainer_state.json"


def load_share(directory: str, dtype: torch.dtype, ranks: Ranks) -> PreTrainedModel:
    """This process's share of a model. One after the other: the CPU's memory holds it once."""
    mesh, model = init_device_mesh(device().type, (ranks.count,)), None
    for number in range(ranks.count):
        if number == ranks.number:
            model = load_model(directory, dtype, hardware=torch.device("cpu"))
            _shard(model, mesh)
        ranks.wait()
    return model


def _shard(model: PreTrainedModel, mesh: DeviceMesh) -> None:
    """Leave a share of a model in the CPU's memory, on the GPU. In place.

    Layer by layer, so that no GPU ever holds more than its share and a layer.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleList) and len(module) > 1:
            for layer in module:
                fully_shard(layer, mesh=mesh)
    model.answer_logits = MethodType(answer_logits, model)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "answer_logits")


def whole(model: PreTrainedModel, directory: str, ranks: Ranks) -> PreTrainedModel | None:
    """The model in one piece, in bfloat16 and the CPU's memory, in the first process alone.

    directory: of the model that it was before it was trained. All processes must call it.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(model, options=options)
    if not ranks.first:
        return None
    model = load_model(directory, torch.bfloat16, hardware=torch.device("cpu"))
    model.load_state_dict(weights)
    return model


class ShardedTrainer(UpdateTrainer):
    """Trains a model that shard() has spread.

    Processes wait for each other in every layer, so all compute as many micro-batches.
    """

    def _pieces(self, inputs: dict[str, list]) -> list[tuple[Batch, float]]:
        """Those of UpdateTrainer, and one that does not count where another process has more."""
        pieces = super()._pieces(inputs)
        missing = self.ranks.highest(len(pieces)) - len(pieces)
        pieces += [(pieces[0][0], math.inf)] * missing
        # FSDP leaves the mean over processes of the gradients, of which the sum is wanted.
        return [(part, divisor / self.ranks.count) for part, divisor in pieces]

    def _together(self, model: nn.Module, loss: Tensor) -> Tensor:
        return self.ranks.total(loss) / self.ranks.count

    def _halve(self) -> None:
        super()._halve()
        raise OutOfMemory(self.micro_batch)  # the others wait in a layer and cannot follow

    def _answer_logits(self, model: PreTrainedModel, inputs: Batch) -> tuple[Tensor, Tensor]:
        # A cache would keep a copy of every layer that autocast has seen.
        autocast = nullcontext()
        if self.args.bf16:
            kind = self.args.device.type
            autocast = torch.autocast(kind, torch.bfloat16, cache_enabled=False)
        with autocast:
            return model.answer_logits(inputs)

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        norm = super()._clip_grad_norm(model)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _save_checkpoint(self, *_: Any, **__: Any) -> None:
        """Each process writes its share; the first one the rest, the state of the training last."""
        folder = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        weights, optimizer = get_state_dict(self.model, self.optimizer)
        checkpoints.save({"model": weights, "optimizer": optimizer}, checkpoint_id=folder / WEIGHTS)
        if self.ranks.first:
            torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULER)
            self.state.save_to_json(str(folder / STATE))
            rotate_checkpoints(self.args.output_dir, save_total_limit=1)
        self.ranks.wait()

    def _load_from_checkpoint(self, checkpoint: str, model: nn.Module | None = None) -> None:
        """Weights are loaded with the states of the optimiser."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Seeds go by the step."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        weights, optimizer = get_state_dict(self.model, self.optimizer)
        state = {"model": weights, "optimizer": optimizer}
        checkpoints.load(state, checkpoint_id=Path(checkpoint) / WEIGHTS)
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER))
