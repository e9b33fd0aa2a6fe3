"""transformers' Trainer, in our order of data, with the head on answers alone, and halving its
micro-batch when memory runs out."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from datasets import Dataset
from peft import PeftModel
from transformers import (
    PretrainedConfig,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.models.decoder import head
from slimspeech.models.memory import free_memory

log = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]
TEXT = ("input_ids", "attention_mask", "labels")  # all else in a batch are the clips' features


class LengthGroupedBatches(LengthGroupedSampler):
    """transformers' batches of like length, but in random order.

    The library's own order runs from long to short clips through every fifty batches. The order
    depends on seed and epoch alone, so that resumed training goes on with the same data.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int):
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        indices = list(super().__iter__())
        batches = [
            indices[start : start + self.batch_size]
            for start in range(0, len(indices), self.batch_size)
        ]
        # A last batch that is not full stays last, or all behind it would be cut elsewhere.
        full = len(indices) // self.batch_size
        order = torch.randperm(full, generator=self.generator).tolist()
        for number in [*order, *range(full, len(batches))]:
            yield from batches[number]


class Parts:
    """Collates the rows of an update in micro-batches: {"parts": [batch, …]}."""

    def __init__(self, collator: Collator, size: int):
        self.collator = collator
        self.size = size

    def __call__(self, rows: list[dict]) -> dict[str, list[Batch]]:
        starts = range(0, len(rows), self.size)
        return {"parts": [dict(self.collator(rows[at : at + self.size])) for at in starts]}


class LogAtCheckpoints(TrainerCallback):
    """A point of the curve at each checkpoint: the losses since the last point are not kept in it,
    and a training that goes on from there would log another mean."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        control.should_log |= control.should_save


class UpdateTrainer(Trainer):
    """Is given all clips of an update at once, and computes them in micro-batches.

    An update is then computed whole or not at all, so that one that runs out of memory can be
    tried again in smaller micro-batches, with weights, optimiser and order of data as they were.
    """

    def __init__(self, *, micro_batch: int, args: TrainingArguments, **arguments: Any):
        # One GPU of those in sight: over several the Trainer would make each update larger.
        args._n_gpu = min(args.n_gpu, 1)
        super().__init__(args=args, **arguments)
        self.add_callback(LogAtCheckpoints)
        self.micro_batch = micro_batch

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, list[Batch]],
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The mean loss of the micro-batches; their mean gradient is left in the weights.

        Raises InputError if one clip alone is too much.
        """
        while True:
            batches, config = inputs["parts"], self.model.config
            parts = [part for batch in batches for part in split(batch, self.micro_batch, config)]
            self.current_gradient_accumulation_steps = len(parts)  # what a loss is divided by
            try:
                return sum(super(UpdateTrainer, self).training_step(model, part) for part in parts)
            except RuntimeError as error:
                if not ran_out_of_memory(error):
                    raise
            # Outside of the handler, whose error still holds the activations.
            self._halve()
            model.zero_grad(set_to_none=True)
            free_memory()

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
        plain = self.accelerator.unwrap_model(model)
        if plain is not model:  # spread over several devices: their hooks sit on the whole model
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if isinstance(plain, PeftModel):
            plain = plain.get_base_model()
        inputs = dict(inputs)
        labels = inputs.pop("labels")[:, 1:]
        answers = labels != IGNORED
        with self.accelerator.autocast():
            hidden = plain.model(**inputs, use_cache=False).last_hidden_state
            logits = head(plain, hidden[:, :-1][answers])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[answers])
        return (loss, {}) if return_outputs else loss

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, list[Batch]], *options: Any, **named: Any
    ) -> tuple:
        [batch] = inputs["parts"]  # an evaluation collates one micro-batch at a time
        return super().prediction_step(model, batch, *options, **named)

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


def split(batch: Batch, size: int, config: PretrainedConfig) -> list[Batch]:
    """A collated batch in parts of at most `size` clips, each as if collated by itself.

    config: of the model.
    """
    count, family = len(batch["labels"]), families.of(config)
    if count <= size:
        return [batch]
    clips = _clips(batch, config)
    parts = []
    for start in range(0, count, size):
        part = {name: batch[name][start : start + size] for name in TEXT}
        length = int(part["attention_mask"].sum(-1).max())
        part = {name: values[:, :length] for name, values in part.items()}
        parts.append(part | family.join(clips[start : start + size]))
    return parts


def _clips(batch: Batch, config: PretrainedConfig) -> list[Batch]:
    """The features of each clip of a batch."""
    family = families.of(config)
    tokens = (batch["input_ids"] == config.audio_token_id).sum(-1).tolist()
    rows = [family.rows(count) for count in tokens]
    features = {name: values.split(rows) for name, values in batch.items() if name not in TEXT}
    return [
        dict(zip(features, parts, strict=True)) for parts in zip(*features.values(), strict=True)
    ]


def smaller(size: int) -> int:
    """Half as many clips, or fewer if only so all parts are of one size."""
    return next(count for count in range(size // 2, 0, -1) if size % count == 0)


def ran_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)


def without_compiler() -> AbstractContextManager:
    """torchao compiles its optimiser, which a CPU need not have a compiler for."""
    if torch.cuda.is_available():
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
