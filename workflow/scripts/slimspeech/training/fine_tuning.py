"""Fine-tuning, full or with adapters on 4-bit weights. Teacher, students and mini base share it."""

import logging
import math
import shutil
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from slimspeech import families
from slimspeech.artifacts import Row, read_json, write_json
from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.models.collation import Collator, window_seconds
from slimspeech.models.four_bit import Linear4bit
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.nf4 import quantised_layers
from slimspeech.training.best_epoch import BestEpoch
from slimspeech.training.ranks import ALONE, Ranks
from slimspeech.training.settings import LoraSettings, TrainingSettings
from slimspeech.training.trainer import UpdateTrainer, without_compiler
from slimspeech.training.updates import Parts

log = logging.getLogger(__name__)

KEPT_FEATURES = 10**9  # bytes: 650 clips of 30 s in 128 mel bins


def add_adapter(model: PreTrainedModel, lora: LoraSettings, seed: int) -> PeftModel:
    """A fresh adapter, in fp32, on a model whose linear layers are 4-bit.

    Parts that hear nothing get none: they have no gradient.
    """
    torch.manual_seed(seed)
    targets = lora.target_modules
    if targets == "all-linear" and families.of(model.config).unused_parts:
        targets = list(adapted_layers(model))
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return get_peft_model(
        model,
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            use_rslora=lora.rslora,
            target_modules=targets,
            bias="none",
            task_type="CAUSAL_LM",
        ),
    )


def adapted_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The linear layers that an adapter is on, by name: all that hear, but not the output head."""
    family = families.of(model.config)
    return {
        name: layer
        for name, layer in quantised_layers(model).items()
        if family.part_of(family.stored_name(f"{name}.weight")) not in family.unused_parts
    }


def expand_four_bit(model: nn.Module) -> None:
    """Let 4-bit layers multiply by weights that are expanded once, and not at every pass. In place.

    The weights are what merge_adapter() rounds to. They take the memory of bfloat16.
    """
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.forward = _expanded(layer)


def _expanded(layer: Linear4bit) -> Callable[[Tensor], Tensor]:
    """Linear4bit.forward, with the weights expanded."""
    dtype = layer.compute_dtype
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)
    bias = None if layer.bias is None else layer.bias.data.to(dtype)

    def forward(x: Tensor) -> Tensor:
        return nn.functional.linear(x.to(dtype), weight, bias).to(x.dtype)

    return forward


def save_adapter(model: PeftModel, directory: str | Path) -> None:
    """save_pretrained(), and the same bytes each time: peft holds the names of modules as a set.

    A pattern becomes the names it stands for: no pattern is run of an adapter that is read.
    """
    model.save_pretrained(directory)
    path = Path(directory, "adapter_config.json")
    config = read_json(path)
    modules = config["target_modules"]
    if isinstance(modules, str):
        inside = model.get_base_model().named_modules()
        modules = [name for name, module in inside if isinstance(module, LoraLayer)]
    write_json(path, config | {"target_modules": sorted(modules)})


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
    ranks: Ranks = ALONE,
    micro_batch: int | None = None,
) -> list[dict[str, float]]:
    """Train the model in place on gold or distilled rows; the loss is on the answers alone.

    workspace: directory for checkpoints. One of the same model, rows, prompt, settings and seed is
        resumed from, in the same data order; any other is thrown away. It is removed at the end.
    ranks: this process and those that train the same model beside it. All end with its weights;
        the first one alone writes to the workspace.
    micro_batch: clips to compute at once, if fewer than settings.batch_size, for want of memory.
    Returns the curve: dicts with step, epoch, loss or eval_loss (on `validation`, each epoch) and
        compute_dtype; with `keep: best`, `kept` marks the epoch whose weights the model has.
    If memory runs out, each update is computed in smaller micro-batches from there on. Segments
    that are longer than the model's window are left out, with a warning that counts them.
    Raises InputError if there is nothing to train or to judge an epoch on, the precision is not
    one for this model, or one clip at a time is too much for the memory, RuntimeError if the loss
    stops being a number.
    """
    window = window_seconds(processor)
    rows = _that_fit(rows, window, "training")
    validation = _that_fit(validation, window, "validation")
    if not rows:
        raise InputError(
            f"no training rows of at most {window:g} s; check the manifests and the data mix in "
            "config"
        )
    if settings.keep == "best" and not validation:
        raise InputError("keep: best needs validation data; set some aside, or keep: last")
    if settings.precision == "bf16_stochastic" and isinstance(model, PeftModel):
        raise InputError("precision: bf16_stochastic trains all weights; give a qlora stage bf16")
    checkpointing = settings.gradient_checkpointing
    family = families.of(model.config)
    family.prepare(model.get_base_model() if isinstance(model, PeftModel) else model)
    precision = settings.compute_precision
    compute_dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.compute_dtype = compute_dtype
    if not torch.cuda.is_available():
        # torch's fused attention is slow backwards on the CPU
        model.set_attn_implementation("eager")
        expand_four_bit(model)
    log.info("training computes in %s (precision: %s)", compute_dtype, settings.precision)
    collator = Collator(processor, prompt, KEPT_FEATURES)
    trainer = _trainer_class(settings)(
        micro_batch=micro_batch or settings.batch_size,
        ranks=ranks,
        whole=Parts(collator, settings.batch_size),
        model=model,
        train_dataset=_dataset(rows, family),
        eval_dataset=_dataset(validation, family) if validation else None,
        data_collator=Parts(collator, settings.batch_size, ranks, always=settings.shard),
        args=TrainingArguments(
            output_dir=workspace,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            # An update's clips at once; the trainer divides them, and averages their losses.
            per_device_train_batch_size=settings.batch_size * settings.gradient_accumulation,
            per_device_eval_batch_size=settings.batch_size,
            lr_scheduler_type=settings.scheduler,
            warmup_steps=settings.warmup_ratio,  # a fraction below 1 is a share of all steps
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            bf16=precision == "bf16",
            **_optimizer(precision),
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
    # The loss is the mean over a micro-batch, without the token count that the Trainer offers; left
    # on, accumulation would add up the means instead of averaging them.
    trainer.model_accepts_loss_kwargs = False
    best = BestEpoch(workspace, writes=ranks.first)
    if settings.keep == "best":
        trainer.add_callback(best)
    key = _key(model, rows, prompt, settings, seed)
    try:
        with without_compiler():
            result = trainer.train(resume_from_checkpoint=_checkpoint(workspace, key, ranks))
    except torch.OutOfMemoryError as error:  # what a smaller micro-batch would not help
        raise InputError(
            f"out of memory in the update itself ({error}); for a full stage set precision: "
            "bf16_stochastic, which holds weights and optimiser in fewer bytes"
        ) from error
    curve = [
        {key: entry[key] for key in ("step", "epoch", "loss", "eval_loss") if key in entry}
        | {"compute_dtype": str(compute_dtype).removeprefix("torch.")}
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]
    losses = [entry.get("loss", entry.get("eval_loss")) for entry in curve]
    # The mean over all steps too: the last few may come after the last entry of the curve.
    if not all(map(math.isfinite, [result.training_loss, *losses])):
        raise RuntimeError("the loss is not a number; lower learning_rate or use precision: fp32")
    ranks.wait()
    if settings.keep == "best":
        best.restore(model)
        ranks.wait()
        for entry in curve:
            if "eval_loss" in entry and entry["step"] == best.step:
                entry["kept"] = True
    if ranks.first:
        shutil.rmtree(workspace)
    return curve


def _trainer_class(settings: TrainingSettings) -> type[UpdateTrainer]:
    if not settings.shard:
        return UpdateTrainer
    from slimspeech.training.sharding import ShardedTrainer  # slow to import

    return ShardedTrainer


def _that_fit(rows: list[Row], window: float, part: str) -> list[Row]:
    """The rows whose audio the model reads whole; the translation of others would not match."""
    fitting = [row for row in rows if row["duration"] <= window]
    if left_out := [row["id"] for row in rows if row["duration"] > window]:
        log.warning(
            "%d of %d segments left out of %s, because the model reads only %g s: %s%s",
            len(left_out),
            len(rows),
            part,
            window,
            ", ".join(left_out[:3]),
            ", …" if len(left_out) > 3 else "",
        )
    return fitting


def _optimizer(precision: str) -> dict[str, Any]:
    """Arguments of the Trainer that choose the optimiser."""
    if precision != "bf16_stochastic":
        return {}
    return {"optim": "adamw_torch_8bit", "optim_args": "bf16_stochastic_round=True"}


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
        share = weight.to_local() if settings.shard else weight
        plain = share.detach().as_subclass(torch.Tensor).flatten()  # also of a 4-bit parameter
        few = plain[:: max(1, len(plain) // 16)].float().tolist()
        weights = zlib.crc32(f"{name} {tuple(weight.shape)} {few}".encode(), weights)
    return {
        "model": weights,
        "rows": zlib.crc32(repr(rows).encode()),
        "prompt": asdict(prompt),
        "training": asdict(settings) | {"precision": settings.compute_precision},
        "seed": seed,
    }


def _checkpoint(workspace: str, key: Row, ranks: Ranks) -> str | None:
    """The newest whole checkpoint in the workspace if it is of this very training."""
    mark = Path(workspace, "training.json")
    if ranks.first:
        if not mark.is_file() or read_json(mark) != key:
            shutil.rmtree(workspace, ignore_errors=True)
            write_json(mark, key)
        for checkpoint in Path(workspace).glob("checkpoint-*"):
            if not (checkpoint / "trainer_state.json").is_file():  # written last
                shutil.rmtree(checkpoint)
    ranks.wait()
    if checkpoint := get_last_checkpoint(workspace):
        log.info("going on from %s", checkpoint)
    return checkpoint


def _dataset(rows: list[Row], family: Family) -> Dataset:
    """Rows with the length by which batches are grouped: what the decoder will see, in tokens."""
    columns = ("id", "audio", "pair", "target")

    def audio_tokens(seconds: float) -> float:
        return family.padded_seconds(seconds) * family.tokens_per_second

    return Dataset.from_list(
        [
            {key: row[key] for key in columns}
            | {"length": int(audio_tokens(row["duration"])) + len(row["target"])}
            for row in rows
        ]
    )
