"""Fine-tuning, full or with adapters on 4-bit weights. Teacher, students and mini base share it."""

import math
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from slimspeech.artifacts import Row, read_json, write_json
from slimspeech.collation import IGNORED, Collator, window_seconds
from slimspeech.encoder import allow_short
from slimspeech.errors import InputError
from slimspeech.prompts import Prompt

AUDIO_TOKENS_PER_SECOND = 25


@dataclass(frozen=True)
class TrainingSettings:
    """One stage of training. Defaults are the paper's (section 4) where it names one.

    checkpoint_steps: steps between checkpoints to resume from after a kill; 0 for none.
    """

    epochs: float
    learning_rate: float
    batch_size: int = 4
    gradient_accumulation: int = 1
    scheduler: str = "cosine"
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    precision: str = "bf16"
    gradient_checkpointing: bool = False
    checkpoint_steps: int = 0

    def __post_init__(self):
        if self.precision not in ("bf16", "fp32"):
            raise InputError(f"precision is bf16 or fp32, not {self.precision!r}")


@dataclass(frozen=True)
class LoraSettings:
    """Adapter on every linear layer of audio tower, projector and decoder (paper, section 4)."""

    r: int = 64
    alpha: int = 128
    dropout: float = 0.0
    rslora: bool = True
    target_modules: str = "all-linear"

    def __post_init__(self):
        if self.r < 1:
            raise InputError(f"LoRA rank must be positive, not {self.r}")


def add_adapter(model: PreTrainedModel, lora: LoraSettings, seed: int) -> PeftModel:
    """A fresh adapter, in fp32, on a model whose linear layers are 4-bit."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            # On some CPUs the first evaluation would repack the weights into a form that can only
            # be read, and training could not go on after it.
            layer.support_avx512bf16_for_cpu = False
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return get_peft_model(
        model,
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            use_rslora=lora.rslora,
            target_modules=lora.target_modules,
            bias="none",
            task_type="CAUSAL_LM",
        ),
    )


class _LengthGroupedBatches(LengthGroupedSampler):
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


class _Trainer(Trainer):
    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
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
            logits = plain.lm_head(hidden[:, :-1][answers])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[answers])
        return (loss, {}) if return_outputs else loss

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
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return _LengthGroupedBatches(size, list(rows["length"]), self.args.seed)


def fine_tune(
    model: PreTrainedModel | PeftModel,
    processor: ProcessorMixin,
    rows: list[Row],
    validation: list[Row],
    prompt: Prompt,
    settings: TrainingSettings,
    *,
    seed: int,
    workspace: str,
    workers: int = 0,
) -> list[dict[str, float]]:
    """Train the model in place on gold or distilled rows; the loss is on the answers alone.

    workspace: directory for checkpoints. One of the same model, rows, prompt, settings and seed is
        resumed from, in the same data order; any other is thrown away. It is removed at the end.
    Returns the curve: dicts with step, epoch and loss or eval_loss (on `validation`, each epoch).
    Raises InputError if there is nothing to train on or a clip is longer than the model reads,
    RuntimeError if the loss stops being a number.
    """
    if not rows:
        raise InputError("no training rows; check the manifests and the data mix in config")
    window = window_seconds(processor)
    for row in rows + validation:
        if row["duration"] > window:
            raise InputError(
                f"segment {row['id']} lasts {row['duration']} s and the model reads {window:g} s; "
                "its translation would not match the audio that is heard: leave it out of training"
            )
    checkpointing = settings.gradient_checkpointing
    allow_short(model.get_base_model() if isinstance(model, PeftModel) else model)
    if not torch.cuda.is_available():
        # torch's fused attention is slow backwards on the CPU
        model.set_attn_implementation("eager")
    trainer = _Trainer(
        model=model,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(validation) if validation else None,
        data_collator=Collator(processor, prompt),
        args=TrainingArguments(
            output_dir=workspace,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation,
            lr_scheduler_type=settings.scheduler,
            warmup_steps=settings.warmup_ratio,  # a fraction below 1 is a share of all steps
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            bf16=settings.precision == "bf16",
            use_cpu=not torch.cuda.is_available(),
            activation_checkpointing=checkpointing,
            # The reentrant kind leaves the audio tower's adapters without gradient, silently.
            activation_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
            remove_unused_columns=False,  # the collator reads manifest rows
            dataloader_num_workers=workers,
            eval_strategy="epoch" if validation else "no",
            prediction_loss_only=True,
            save_strategy="steps" if settings.checkpoint_steps else "no",
            save_steps=settings.checkpoint_steps or 1,
            save_total_limit=1,
            logging_steps=10,
            logging_nan_inf_filter=False,  # or a broken loss would be logged as the mean before it
            report_to="none",
            seed=seed,
        ),
    )
    # Qwen2-Audio averages the loss over its own batch and ignores the token count the Trainer
    # offers; left on, accumulation would add up the averages instead of averaging them.
    trainer.model_accepts_loss_kwargs = False
    key = _key(model, rows, prompt, settings, seed)
    result = trainer.train(resume_from_checkpoint=_checkpoint(workspace, key))
    shutil.rmtree(workspace)
    curve = [
        {key: entry[key] for key in ("step", "epoch", "loss", "eval_loss") if key in entry}
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]
    losses = [entry.get("loss", entry.get("eval_loss")) for entry in curve]
    # The mean over all steps too: the last few may come after the last entry of the curve.
    if not all(map(math.isfinite, [result.training_loss, *losses])):
        raise RuntimeError("the loss is not a number; lower learning_rate or use precision: fp32")
    return curve


def _key(
    model: PreTrainedModel | PeftModel,
    rows: list[Row],
    prompt: Prompt,
    settings: TrainingSettings,
    seed: int,
) -> Row:
    """What makes a training this very one. Of the weights, a few of each tensor tell."""
    weights = 0
    for name, weight in model.named_parameters():
        plain = weight.detach().as_subclass(torch.Tensor).flatten()  # also of a 4-bit parameter
        few = plain[:: max(1, len(plain) // 16)].float().tolist()
        weights = zlib.crc32(f"{name} {tuple(weight.shape)} {few}".encode(), weights)
    return {
        "model": weights,
        "rows": zlib.crc32(repr(rows).encode()),
        "prompt": asdict(prompt),
        "training": asdict(settings),
        "seed": seed,
    }


def _checkpoint(workspace: str, key: Row) -> str | None:
    """The newest whole checkpoint in the workspace if it is of this very training."""
    mark = Path(workspace, "training.json")
    if not mark.is_file() or read_json(mark) != key:
        shutil.rmtree(workspace, ignore_errors=True)
        write_json(mark, key)
    for checkpoint in Path(workspace).glob("checkpoint-*"):
        if not (checkpoint / "trainer_state.json").is_file():  # written last
            shutil.rmtree(checkpoint)
    return get_last_checkpoint(workspace)


def _dataset(rows: list[Row]) -> Dataset:
    """Rows with the length by which batches are grouped: what the decoder will see, in tokens."""
    columns = ("id", "audio", "pair", "target")
    return Dataset.from_list(
        [
            {key: row[key] for key in columns}
            | {"length": int(row["duration"] * AUDIO_TOKENS_PER_SECOND) + len(row["target"])}
            for row in rows
        ]
    )
