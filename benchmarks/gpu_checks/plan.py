"""Hours, euros, disk and memory of a config's stages, from what the steps before have measured.

A stage with fewer layers than were measured takes as much less time as it has fewer weights. The
jobs are laid on 1, 2 and 8 GPUs in the order in which the workflow would run them.
"""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from schedule import Job, makespan

from gpu_checks.amounts import Amounts
from gpu_checks.lines import COMPUTED, MEASURED, Line, Lines
from gpu_checks.subject import Subject
from gpu_checks.training import Kind, kind_of
from slimspeech import systems
from slimspeech.models.shapes import skeleton
from slimspeech.quantization.predicted_size import predicted_bytes
from slimspeech.training.gpu_memory import ModelShape

GPUS = (1, 2, 8)
LONGEST = 30.0  # seconds of a clip, for the peak of a training


@dataclass(frozen=True)
class Stage:
    """A job on a GPU. seconds: None if nothing of its kind was measured. memory: bytes at the peak.
    disk: bytes that stay. shown: the name of its line, which jobs alike share. gpus: that share it.
    """

    name: str
    shown: str
    seconds: float | None
    memory: float
    disk: float
    needs: tuple[str, ...] = ()
    gpus: int = 1


class Rates:
    """What was measured, as rates of the planned model. tried: what was measured."""

    def __init__(self, planned: Subject, tried: Subject, measured: Sequence[Line]):
        self.planned = planned
        self.tried = tried
        self.lines = [line for line in measured if line.status == MEASURED]

    def _of(self, step: str) -> list[dict[str, Any]]:
        return [line.values for line in self.lines if line.step == step and line.values]

    def _scaled(self, seconds: float, measured: int, layers: int) -> float:
        return seconds * self.planned.weights(layers) / self.tried.weights(measured)

    def training(self, kind: Kind, layers: int) -> float | None:
        """Seconds a clip, of the same kind or of the same method."""
        key = kind.key()
        alike = [v for v in self._of("training") if v["method"] == key["method"]]
        alike.sort(key=lambda v: sum(v[name] == value for name, value in key.items()))
        if not alike:
            return None
        return self._scaled(alike[-1]["seconds_per_clip"], alike[-1]["layers"], layers)

    def correction(self, kind: Kind) -> float:
        """Measured peak memory over its forecast; 1 if none was measured."""
        method = kind.key()["method"]
        ratios = [
            values["peak_bytes"] / values["forecast_bytes"]
            for values in self._of("training")
            if values["method"] == method and values["peak_bytes"]
        ]
        return max(ratios, default=1.0)

    def translating(self, four_bits: bool, layers: int) -> float | None:
        """Seconds a clip, in the best batch."""
        alike = [
            v for v in self._of("decoding") if "form" in v and (v["form"] == "nf4") == four_bits
        ]
        if not alike:
            return None
        best = min(alike, key=lambda v: abs(v["layers"] - layers))
        return self._scaled(best["seconds_per_clip"], best["layers"], layers)

    def searching(self, layers: int) -> float | None:
        """Seconds a clip and candidate."""
        for values in self._of("search"):
            if "hypotheses_per_second" in values:
                return self._scaled(1 / values["hypotheses_per_second"], values["layers"], layers)
        return None


class Plan:
    """The stages of a config, of one seed."""

    def __init__(self, subject: Subject, rates: Rates, amounts: Amounts):
        self.subject, self.rates, self.amounts = subject, rates, amounts
        self.config = subject.config
        self.stages: dict[str, Stage] = {}
        self.disk, self.shape = cache(self._disk), cache(self._shape)
        for pair in self.config["pairs"]:
            self._pair(pair)

    def _disk(self, layers: int, quantization: str, tokens: int | None) -> int:
        """Bytes of a model. quantization: in JSON."""
        config = self.subject.with_layers(layers)
        return sum(predicted_bytes(config, json.loads(quantization), tokens).values())

    def _shape(self, layers: int) -> ModelShape:
        return ModelShape.of(skeleton(self.subject.with_layers(layers)))

    def _add(self, stage: Stage) -> str:
        self.stages.setdefault(stage.name, stage)
        return stage.name

    def _pair(self, pair: str) -> None:
        layers, start = self.subject.layers, ()
        if self.config["teacher"]["model"] is None:
            kind, rows = kind_of(self.config["teacher"]), self.amounts.rows({"gold": 1})
            epochs = self.config["teacher"]["training"]["epochs"]
            start = (self._train(pair, "teacher", kind, rows * epochs, layers, ()),)
        distilled = self._translate(pair, "distillation", layers, self.amounts.train, start)
        searches = {name: self._search(pair, name, start) for name in systems.searches(self.config)}
        for system in self.config["evaluation"]["systems"]:
            if system not in self.config["students"]:
                pruned = systems.parse_pruned(self.config, system)
                left = layers - pruned.removed if pruned else layers
                needs = searches.get(pruned.criterion, ()) if pruned else start
                self._translate(pair, f"translate {system}", left, self.amounts.test, needs)
        for student in self.config["students"]:
            self._student(pair, student, (*start, distilled), searches)

    def _student(self, pair: str, name: str, start: tuple, searches: dict[str, tuple]) -> None:
        student = self.config["students"][name]
        removed = systems.student_start(self.config, name)
        layers = self.subject.layers - removed.removed
        needs = (*start, *(searches.get(removed.criterion, ()) if removed.removed else ()))
        # Where a budget chooses, the most that it may choose: the plan is an upper bound.
        tokens = max(systems.vocabulary_sizes(self.config, name), key=lambda size: size or math.inf)
        early = tokens if systems.trimming(self.config, name) == "training" else None
        owners = systems.stage_owners(self.config, name)
        for stage_name, stage in systems.stages(student).items():
            if stage["method"] == "prune":
                layers -= stage["layers"] if stage["part"] == "decoder" else 0
                continue
            clips = stage["training"]["epochs"] * self.amounts.rows(stage["data"])
            label = f"{owners[stage_name]} {stage_name}"
            needs = (self._train(pair, label, kind_of(stage), clips, layers, needs, early),)
        form = student["quantization"]
        size = self.disk(layers, json.dumps(form, sort_keys=True), tokens)
        four_bits = form != "none"
        self._translate(
            pair, f"translate {name}", layers, self.amounts.test, needs, four_bits, size
        )

    def _train(
        self,
        pair: str,
        label: str,
        kind: Kind,
        clips: float,
        layers: int,
        needs: tuple[str, ...],
        tokens: int | None = None,
    ) -> str:
        shape, disk = self.shape(layers), self.disk(layers, '"none"', tokens)
        if kind.lora is not None:
            disk += 4 * kind.lora.r * shape.edges
        rate = self.rates.training(kind, layers)
        seconds = None if rate is None else rate * clips
        memory = kind.forecast(shape, LONGEST).total * self.rates.correction(kind)
        gpus = kind.training.gpus
        return self._add(Stage(f"{pair} {label}", label, seconds, memory, disk, needs, gpus))

    def _translate(
        self,
        pair: str,
        label: str,
        layers: int,
        clips: int,
        needs: tuple[str, ...],
        four_bits: bool = False,
        packed: float = 0,
    ) -> str:
        rate = self.rates.translating(four_bits, layers)
        seconds = None if rate is None else rate * clips
        memory = packed or 2 * self.subject.weights(layers)
        return self._add(Stage(f"{pair} {label}", label, seconds, memory, packed, needs))

    def _search(self, pair: str, criterion: str, start: tuple[str, ...]) -> tuple[str, ...]:
        """The last jobs of a search, one a shard; nothing where layers are removed by a list."""
        if criterion not in systems.MEASURED:
            return start
        needs, pruning = start, self.config["pruning"]
        protected = pruning["protect_first"] + pruning["protect_last"]
        iterations = systems.search_length(self.config, criterion, pair)
        shards = 1 if criterion in systems.ONE_PASS else pruning["shards"]
        for k in range(1, iterations + 1):
            left = self.subject.layers - k + 1
            candidates = left - protected
            if criterion == "shortlist":
                candidates = min(candidates, pruning["shortlist"]["size"])
            if criterion in systems.ONE_PASS:
                candidates = 1
            rate = self.rates.searching(left)
            work = None if rate is None else rate * candidates * self.amounts.searched / shards
            memory = 2 * self.subject.weights(self.subject.layers)
            last = k == iterations and pruning["keep_checkpoints"] != "none"
            disk = 2 * self.subject.weights(left - 1) / shards if last else 0.0
            needs = tuple(
                self._add(
                    Stage(
                        f"{pair} search {criterion} {k}/{shard}",
                        f"search, {criterion}",
                        work,
                        memory,
                        disk,
                        needs,
                    )
                )
                for shard in range(shards)
            )
        return needs


def check(tried: Subject, lines: Lines, measured: Sequence[Line], price: float) -> None:
    """The plan is always that of the true shape. price: euros of a GPU and hour."""
    subject = replace(tried, tiny=False)
    amounts = Amounts.of(subject.config)
    stages = Plan(subject, Rates(subject, tried, measured), amounts).stages.values()
    lines.add("counted", COMPUTED, amounts.text)
    for name in dict.fromkeys(stage.shown for stage in stages):
        add_stage(subject, lines, name, [stage for stage in stages if stage.shown == name])
    disk = 2 * subject.weights(subject.layers) + sum(stage.disk for stage in stages)
    lines.add("disk for all models, with the base", COMPUTED, f"{disk / 1e9:.0f} GB", bytes=disk)
    unknown = dict.fromkeys(stage.shown for stage in stages if stage.seconds is None)
    largest = max(stage.gpus for stage in stages)
    for count in GPUS:
        name = f"the whole run on {count} GPU{'s' * (count > 1)}"
        if unknown:
            lines.skipped(name, f"not measured: {', '.join(unknown)}")
            continue
        if count < largest:
            lines.skipped(name, f"a training asks for {largest} GPUs (training.gpus)")
            continue
        hours = makespan(jobs_of(stages), count) / 3600
        euros = hours * count * price
        text = f"{hours:.1f} h, {euros:.0f} euros at {price:g} an hour and GPU"
        lines.add(name, COMPUTED, text, hours=hours, euros=euros, gpus=count)


def jobs_of(stages: Collection[Stage]) -> dict[str, Job]:
    """A job for each GPU of a stage, as if so many were so many times as fast."""
    parts = {stage.name: [f"{stage.name}, {n}" for n in range(stage.gpus)] for stage in stages}
    return {
        part: Job(
            part,
            stage.seconds / stage.gpus,
            frozenset(need for name in stage.needs for need in parts[name]),
        )
        for stage in stages
        for part in parts[stage.name]
    }


def add_stage(subject: Subject, lines: Lines, name: str, stages: list[Stage]) -> None:
    """A line for the jobs alike of all pairs."""
    memory, disk = max(stage.memory for stage in stages), sum(stage.disk for stage in stages)
    times = [stage.seconds for stage in stages]
    hours = None if None in times else sum(times) / 3600
    text = "time not measured" if hours is None else f"{hours:.2f} h"
    text += f" for all pairs; peak {memory / 1e9:.1f} GB; disk {disk / 1e9:.1f} GB"
    if subject.has_gpu and memory > subject.memory:
        text += f"; DOES NOT FIT the {subject.memory / 1e9:.0f} GB of this card"
    lines.add(name, COMPUTED, text, hours=hours, peak_bytes=memory, disk_bytes=disk)
