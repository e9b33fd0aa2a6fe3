"""The epoch with the lowest validation loss, for `keep: best`."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)


class BestEpoch(TrainerCallback):
    """Writes the trained weights to the workspace whenever the validation loss is the lowest yet.

    On disk they survive a kill, as the checkpoints do, and take no memory of the training.
    """

    def __init__(self, workspace: str | Path, writes: bool):
        """writes: whether it is this process that writes the file."""
        self.writes = writes
        self.path = Path(workspace, "best.safetensors")
        self.loss = float("inf")
        self.step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Of a training that is resumed, the evaluations before."""
        for entry in state.log_history:
            if entry.get("eval_loss", self.loss) < self.loss:
                self.loss, self.step = entry["eval_loss"], entry["step"]

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        metrics: dict[str, float],
        **rest: Any,
    ) -> None:
        if metrics["eval_loss"] >= self.loss:
            return
        self.loss, self.step = metrics["eval_loss"], state.global_step
        if not self.writes:
            return
        weights = {n: w.detach() for n, w in model.named_parameters() if w.requires_grad}
        partial = self.path.with_suffix(".partial")
        save_file(weights, partial)
        os.replace(partial, self.path)

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Put the weights of that epoch into the model."""
        weights = load_file(self.path)
        for name, weight in model.named_parameters():
            if name in weights:
                weight.copy_(weights[name])
        log.info("kept the weights of step %d, validation loss %.4f", self.step, self.loss)
