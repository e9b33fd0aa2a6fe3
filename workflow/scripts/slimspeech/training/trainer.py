"""transformers' Trainer, in our order of data, with the head on answers alone, and halving its
micro-batch when memory runs out."""

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from slimspeech.errors import InputError
from slimspeech.models.collation import IGNORED
from slimspeech.models.decoder import head
from slimspeech.models.memory import free_memory
from slimspeech.training.ranks import ALONE, Ranks
from slimspeech.training.updates import (
    Batch,
    LengthGroupedBatches,
    Parts,
    divisors,
    smaller,
    split,
)

log = logging.getLogger(__name__)


class LogAtCheckpoints(TrainerCallback):
    """A point of the curve at each checkpoint: the losses since the last point are not kept in it,
    and a training that goes on from there would log another mean."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        control.should_log |= control.should_save


class SameSeeds(TrainerCallback):
    """Of several processes, each draws its own numbers for its clips, and all the same ones for the
    rounding of weights, which would else drift apart."""

    def __init__(self, ranks: Ranks):
        self.ranks = ranks

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        torch.manual_seed(hash((args.seed, state.global_step, 1 + self.ranks.number)))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        torch.manual_seed(hash((args.seed, state.global_step, 0)))


class UpdateTrainer(Trainer):
    """Is given all clips of an update at once, and computes them in micro-batches.

    An update is then computed whole or not at all, so that one that runs out of memory can be
    tried again in smaller micro-batches, with weights, optimiser and order of data as they were.
    """

    def __init__(
        self,
        *,
        micro_batch: int,
        args: TrainingArguments,
        ranks: Ranks = ALONE,
        whole: Parts | None = None,
        **arguments: Any,
    ):
        """whole: collates validation data, of which no process has only a share."""
        # One GPU of those in sight: over several the Trainer would make each update larger.
        args._n_gpu = min(args.n_gpu, 1)
        self.ranks = ranks
        super().__init__(args=args, **arguments)
        self.add_callback(LogAtCheckpoints)
        if ranks.several:
            self.add_callback(SameSeeds(ranks))
        self.whole = whole or self.data_collator
        self.micro_batch = micro_batch

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, list],
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The mean loss of the micro-batches; their mean gradient is left in the weights.

        Raises InputError if one clip alone is too much.
        """
        loss = None
        while loss is None:
            try:
                loss = self._compute(model, inputs)
            except RuntimeError as error:
                if not ran_out_of_memory(error):
                    raise
            if loss is None:  # outside of the handler, whose error still holds the activations
                self._halve()
                model.zero_grad(set_to_none=True)
                free_memory()
        return self._together(model, loss) if self.ranks.several else loss

    def _together(self, model: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
        """Add up the gradients and the losses of all processes."""
        self.ranks.add_up_gradients(model.parameters())
        return self.ranks.total(loss)

    def _compute(self, model: torch.nn.Module, inputs: dict[str, list]) -> torch.Tensor:
        """training_step() of this process's clips."""
        losses = []
        for part, divisor in self._pieces(inputs):
            self.current_gradient_accumulation_steps = divisor  # what a loss is divided by
            losses.append(super().training_step(model, part))
        return sum(losses) if losses else torch.zeros((), device=self.args.device)

    def _pieces(self, inputs: dict[str, list]) -> list[tuple[Batch, float]]:
        """Micro-batches, and what the loss of each is divided by."""
        config = self.model.config
        pieces = [split(batch, self.micro_batch, config) for batch in inputs["parts"]]
        if not self.ranks.several:
            parts = [part for parts in pieces for part in parts]
            return [(part, len(parts)) for part in parts]
        return [
            (part, divisor)
            for parts, share in zip(pieces, inputs["shares"], strict=True)
            for part, divisor in zip(parts, divisors(parts, share), strict=True)
        ]

    def _halve(self) -> None:
        if self.micro_batch == 1:
            raise InputError(
                "out of memory with one clip at a time; set gradient_checkpointing: true, for a "
                "full stage precision: bf16_stochastic, or leave out the longest clips"
            )
        before, self.micro_batch = self.micro_batch, smaller(self.micro_batch)
        log.warning(
            "step %d: out of memory with %d clips at once, going on with %d; the updates keep "
            "their clips",
            *(self.state.global_step + 1, before, self.micro_batch),
        )

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, dict]:
        """The model's own loss, but the output head runs on the answers alone.

        Most positions are audio and prompt, whose logits the loss would leave out.
        """
        plain = model.get_base_model() if isinstance(model, PeftModel) else model
        logits, tokens = self._answer_logits(plain, inputs)
        loss = torch.nn.functional.cross_entropy(logits.float(), tokens)
        return (loss, {}) if return_outputs else loss

    def _answer_logits(
        self, model: PreTrainedModel, inputs: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.accelerator.autocast():
            return answer_logits(model, inputs)

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, list[Batch]], *options: Any, **named: Any
    ) -> tuple:
        [batch] = inputs["parts"]  # an evaluation collates one micro-batch at a time
        return super().prediction_step(model, batch, *options, **named)

    def get_eval_dataloader(self, eval_dataset: Dataset | None = None) -> DataLoader:
        usual, self.data_collator = self.data_collator, self.whole
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = usual

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        if self.ranks.first:
            super()._save_checkpoint(*arguments, **options)
        self.ranks.wait()

    def is_world_process_zero(self) -> bool:
        """Whether this process shows how far the training is."""
        return self.ranks.first

    def floating_point_ops(self, inputs: dict) -> int:
        """Not counted; the library's count wants other inputs and would warn."""
        return 0

    def _load_from_checkpoint(self, checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Put a checkpoint's weights into the model.

        A checkpoint has the names of the published files, which differ from the module's; only
        from_pretrained translates them. The Trainer's own loading finds no weight and only warns.
        """
        model = model or self.model
        if isinstance(model, PeftModel):  # adapters are stored under their own names
            super()._load_from_checkpoint(checkpoint, model)
        else:
            stored = type(model).from_pretrained(checkpoint, dtype=model.dtype)
            model.load_state_dict(stored.state_dict())

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthGroupedSampler:
        rows = train_dataset or self.train_dataset
        return LengthGroupedBatches(
            self.args.train_batch_size, list(rows["length"]), self.args.seed
        )


def answer_logits(model: PreTrainedModel, inputs: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, vocabulary) of the N tokens of the answers, and these tokens (N,)."""
    inputs = dict(inputs)
    labels = inputs.pop("labels")[:, 1:]
    answers = labels != IGNORED
    hidden = model.model(**inputs, use_cache=False).last_hidden_state
    return head(model, hidden[:, :-1][answers]), labels[answers]


def ran_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)


def without_compiler() -> AbstractContextManager:
    """torchao compiles its optimiser, which a CPU need not have a compiler for."""
    if torch.cuda.is_available():
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
