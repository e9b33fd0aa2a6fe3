"""What trainings ask for, and what can be wrong with their settings: a part of config_checks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from slimspeech.gpu import VISIBLE, installed, visible

Config = Mapping[str, Any]


def problems(config: Config) -> Iterator[str]:
    """What the schema cannot find in trainings, a sentence each. config: with its defaults."""
    for key, training, method in trainings(config):
        yield from _training_problems(key, training, method)
        if training["keep"] == "best" and not has_validation(config):
            yield (
                f"{key}.keep: the best epoch is that of the lowest validation loss and "
                "data.split sets no validation data aside; give data.split.validation_size, or "
                "keep: last"
            )


def gpu_problems(config: Config, limit: int | None, local: bool) -> Iterator[str]:
    """Trainings that ask for more GPUs than the run has.

    config: with its defaults. limit: of the run; None where it has none. local: whether jobs run on
    this machine. One without a GPU trains on its CPU.
    """
    if local:
        for key, training, _ in trainings(config):
            if (nodes := training["nodes"]) > 1:
                yield f"{key}.nodes: {nodes} nodes are of SLURM (--profile profiles/slurm); set 1"
    several = [(key, training["gpus"]) for key, training, _ in trainings(config)]
    several = [(key, gpus) for key, gpus in several if gpus > 1]
    if several and limit is None and local:
        limit = len(visible(installed(), os.environ.get(VISIBLE))) or None
    for key, gpus in several:
        if limit is not None and gpus > limit:
            yield (
                f"{key}.gpus: {gpus} GPUs and this run has {limit}; lower it, or give the run more "
                "(--resources gpu=N)"
            )


def resources(training: Config) -> dict[str, int | str]:
    """The resources of a training: its GPUs, and on several nodes of SLURM a task for each.

    `mpi` says that the rule starts the tasks by itself. The executor for SLURM refuses a
    tasks_per_node below 2, and would make of `tasks` those of each GPU.
    """
    gpus, nodes = training["gpus"], training["nodes"]
    if nodes == 1:
        return {"gpu": gpus, "nodes": 1}
    each = gpus // nodes
    tasks = {"tasks_per_node": each} if each > 1 else {"tasks": nodes}
    return {"gpu": gpus, "nodes": nodes, "mpi": "srun", "tasks_per_gpu": 0} | tasks


def trainings(config: Config) -> Iterator[tuple[str, Config, str]]:
    """The settings of every training that runs, each with its key and its method."""
    if not config["teacher"]["model"]:
        yield "teacher.training", config["teacher"]["training"], "full"
    for student, recipe in config["students"].items():
        for number, stage in enumerate(recipe["stages"]):
            if stage["method"] != "prune":
                key = f"students.{student}.stages.{number}.training"
                yield key, stage["training"], stage["method"]


def has_validation(config: Config) -> bool:
    """Whether the split sets validation data aside."""
    split = config["data"]["split"]
    by_talks = split["method"] == "talks" and split["validation_talks"]
    return bool(split["method"] == "given" or split["validation_size"] or by_talks)


def _training_problems(key: str, training: Config, method: str) -> Iterator[str]:
    """A precision or GPUs that the method cannot use."""
    gpus, clips = training["gpus"], training["batch_size"] * training["gradient_accumulation"]
    if gpus % training["nodes"]:
        yield f"{key}.nodes: {gpus} GPUs are not spread evenly over {training['nodes']} nodes"
    if method == "qlora" and training["precision"] == "bf16_stochastic":
        yield f"{key}.precision: bf16_stochastic is for full stages; give a qlora stage bf16"
    if gpus > clips:
        yield (
            f"{key}.gpus: {gpus} GPUs share the {clips} clips of an update; lower it, or raise "
            "batch_size or gradient_accumulation"
        )
    if not training["shard"]:
        return
    if method == "qlora":
        yield f"{key}.shard: 4-bit weights are not shared; leave it out"
    if method == "full" and gpus == 1:
        yield f"{key}.shard: one GPU has no other to share with; raise gpus or leave it out"
    if training["keep"] == "best":
        yield f"{key}.keep: best is not supported with shard; set keep: last"
    if method == "full" and training["precision"] == "bf16_stochastic":
        yield f"{key}.precision: bf16_stochastic was not tried with shard; set bf16"
