"""A few updates of each kind of training in the config: seconds a clip, memory, its forecast."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import full_size
import harness
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from gpu_checks.lines import Lines
from gpu_checks.subject import Subject
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.cost import peak_memory, reset_peak_memory
from slimspeech.models.shapes import skeleton
from slimspeech.training.fine_tuning import add_adapter, fine_tune
from slimspeech.training.gpu_memory import (
    PAPER_LORA,
    ModelShape,
    TrainingMemory,
    estimate_training,
)
from slimspeech.training.settings import LoraSettings, TrainingSettings

ANSWER = "Das ist ein Satz, so lang wie einer aus einem Vortrag. " * 2
SHARE = 0.9  # of the memory, for the forecast
UPDATES = 4


@dataclass(frozen=True)
class Kind:
    """A kind of training. lora: None where all weights are trained."""

    training: TrainingSettings
    lora: LoraSettings | None

    @property
    def name(self) -> str:
        method = f"full, {self.training.compute_precision}" if self.lora is None else "qlora"
        saving = ", checkpointing" if self.training.gradient_checkpointing else ""
        return f"{method}, batches of {self.training.batch_size}{saving}"

    def key(self) -> dict[str, Any]:
        """What tells the kinds apart in the lines."""
        return {
            "method": "full" if self.lora is None else "qlora",
            "precision": self.training.compute_precision,
            "checkpointing": self.training.gradient_checkpointing,
            "batch_size": self.training.batch_size,
        }

    def forecast(self, shape: ModelShape, seconds: float) -> TrainingMemory:
        return estimate_training(shape, self.training, self.lora, seconds=seconds)


def kind_of(stage: dict[str, Any]) -> Kind:
    """stage: a stage of a student, or `training` of a teacher."""
    settings = {"epochs": 1, "checkpoint_steps": 0, "keep": "last"}
    training = TrainingSettings(**stage["training"] | settings)
    return Kind(training, LoraSettings(**stage["lora"]) if stage.get("method") == "qlora" else None)


def kinds_of(config: dict[str, Any]) -> Iterator[Kind]:
    """The two kinds of training that fit most cards, then those of an experiment."""
    plain = kind_of(config["teacher"])
    yield Kind(replace(plain.training, precision="bf16_stochastic"), None)
    yield Kind(replace(plain.training, precision="bf16"), PAPER_LORA)
    if config["teacher"]["model"] is None:
        yield plain
    for student in config["students"].values():
        for stage in student["stages"]:
            if stage["method"] != "prune":
                yield kind_of(stage)


def check(subject: Subject, lines: Lines) -> None:
    kinds = list({kind.name: kind for kind in kinds_of(subject.config)}.values())
    for kind in kinds[: 2 if subject.quick or subject.tiny else None]:
        with lines.attempt(kind.name):
            # An update is measured whole, on one GPU.
            alone = {"gradient_accumulation": 1, "gpus": 1, "nodes": 1, "shard": False}
            training = replace(kind.training, **alone)
            if subject.tiny:
                training = replace(training, batch_size=1)
            measure(subject, replace(kind, training=training), lines)
        gc.collect()
        torch.cuda.empty_cache()


def measure(subject: Subject, kind: Kind, lines: Lines) -> None:
    updates = 1 if subject.tiny else UPDATES
    batch = kind.training.batch_size
    rows = [row | {"target": ANSWER} for row in subject.clips((1 + updates) * batch)]
    forecast = forecasts(subject, kind, max(row["duration"] for row in rows))
    try:
        layers = subject.fitting_layers(forecast, SHARE)
    except InputError as error:
        lines.skipped(kind.name, str(error))
        return
    model = prepare(subject, kind, layers)
    train(subject, model, kind, rows[:batch])  # also compiles the optimiser
    reset_peak_memory()
    _, once = harness.timed(lambda: train(subject, model, kind, rows[:batch]))
    _, often = harness.timed(lambda: train(subject, model, kind, rows))
    seconds = (often - once) / (updates * batch)
    peak = peak_memory() if subject.has_gpu else None
    measured = f"peak {peak / 1e9:.2f} GB, " if peak else ""
    lines.measured(
        kind.name,
        f"{seconds:.3f} s a clip; {measured}forecast {forecast(layers) / 1e9:.2f} GB"
        + subject.of_all(layers),
        **kind.key(),
        layers=layers,
        seconds_per_clip=seconds,
        forecast_bytes=forecast(layers),
        peak_bytes=peak,
    )


def forecasts(subject: Subject, kind: Kind, seconds: float) -> Callable[[int], float]:
    """The forecast in bytes by layers. It is linear in them, so two shapes are enough."""
    few, all_layers = subject.layers // 2, subject.layers

    def of(layers: int) -> int:
        shape = ModelShape.of(skeleton(subject.with_layers(layers)))
        return kind.forecast(shape, seconds).total

    low, high = of(few), of(all_layers)
    return lambda layers: low + (high - low) * (layers - few) / (all_layers - few)


def prepare(subject: Subject, kind: Kind, layers: int) -> PreTrainedModel | PeftModel:
    if kind.lora is not None:
        model = full_size.to_four_bits(subject.make(layers, torch.bfloat16))
        return add_adapter(model, kind.lora, seed=0)
    return subject.make(layers, kind.training.weights)


def train(subject: Subject, model: Any, kind: Kind, rows: list[Row]) -> None:
    fine_tune(
        model,
        subject.base.processor,
        rows,
        [],
        subject.prompt,
        kind.training,
        seed=0,
        workspace=str(subject.folder / "workspace"),
    )
