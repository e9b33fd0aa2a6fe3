"""Reads the files below results/{experiment}. Any file may be absent, so that a failed run has a
report too; an existing file must be valid."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from slimspeech import languages
from slimspeech.evaluation.metrics import search_metric
from slimspeech.report.read.engines import read_engines
from slimspeech.report.read.files import Reader
from slimspeech.report.read.states import state_of
from slimspeech.report.read.system import read_system
from slimspeech.report.results import (
    Curve,
    Experiment,
    Interval,
    Iteration,
    Pair,
    Search,
    System,
)

PARTS = ("train", "validation", "test", "out_of_domain")


def read_experiment(config: Mapping[str, Any], root: str | Path = ".") -> Experiment:
    """The results of the experiment of a config with its defaults; paths are relative to `root`.

    Raises InputError, naming the file, for an unreadable file, and for hypotheses that do not match
    the test manifest.
    """
    reader = Reader(Path(root))
    folder = f"results/{config['experiment']}"
    return Experiment(
        name=config["experiment"],
        folder=folder,
        config=config,
        corpora=reader.json(f"{folder}/data/corpus.json") or [],
        pairs=[_read_pair(reader, config, folder, code) for code in config["pairs"]],
    )


def _read_pair(reader: Reader, config: Mapping[str, Any], experiment: str, code: str) -> Pair:
    folder = f"{experiment}/{code}"
    manifests = {part: reader.jsonl(f"{folder}/data/{part}.jsonl") for part in PARTS}
    segments = manifests["test"] or []
    texts = config["evaluation"].get("texts", {})
    comparison = reader.json(f"{folder}/evaluation/comparison.json")
    metric = search_metric(languages.target_code(code))
    return Pair(
        code=code,
        title=languages.title(code, config.get("languages")),
        metric=metric,
        segments=segments,
        manifests={
            part: {"segments": len(rows), "hours": sum(row["duration"] for row in rows) / 3600}
            for part, rows in manifests.items()
            if rows is not None
        },
        systems=_of_one_measurement(
            [
                read_system(reader, folder, name, segments, comparison, text_only=name in texts)
                or state_of(reader, config, code, name)
                for name in [*config["evaluation"]["systems"], *texts]
            ]
        ),
        searches=_read_searches(reader, config, folder),
        curves=_read_curves(reader, config, folder),
        distillation=reader.json(f"{folder}/distillation/summary.json"),
        sensitivities=reader.json(f"{folder}/sensitivities.json"),
        comparison=[f"{code}/evaluation/comparison.json"] if comparison else [],
        seeds=[row for row in reader.csv(f"{experiment}/seeds.csv") or [] if row["pair"] == code],
        engines=[
            engine
            for name in config["evaluation"]["systems"]
            for engine in read_engines(reader, folder, name, metric, len(segments))
        ],
    )


def _of_one_measurement(systems: list[System]) -> list[System]:
    """Without the speed of systems that were not timed alone, if others were."""
    if not any(system.timed_alone for system in systems):
        return systems
    return [system if system.timed_alone else replace(system, cost=None) for system in systems]


def _read_curves(reader: Reader, config: Mapping[str, Any], folder: str) -> list[Curve]:
    stages = {"teacher": f"{folder}/curves/teacher.jsonl"}
    for student in config["students"]:
        for path in reader.glob(f"{folder}/students/{student}/*/curve.jsonl"):
            stages[f"{student} {path.split('/')[-2]}"] = path
    curves = {stage: (reader.jsonl(path), path) for stage, path in stages.items()}
    return [Curve(stage, rows, path) for stage, (rows, path) in curves.items() if rows]


def _read_searches(reader: Reader, config: Mapping[str, Any], folder: str) -> list[Search]:
    """One search per criterion with a finished removal, that of the config first."""
    paths: dict[str, list[str]] = {}
    for path in reader.glob(f"{folder}/pruning/*/iter_*/layers.json"):
        paths.setdefault(path.split("/")[-3], []).append(path)
    first = config["pruning"]["criterion"]
    start = reader.json(f"{folder}/pruning/iter_00/score.json") or {}
    searches = []
    for criterion in sorted(paths, key=lambda name: (name != first, name)):
        iterations = [_read_iteration(reader, path) for path in paths[criterion]]
        layers = len(iterations[0].kept) + iterations[0].number
        unpruned = start.get("score") if start.get("metric") == iterations[0].metric else None
        searches.append(Search(criterion, iterations, layers, unpruned))
    return searches


def _read_iteration(reader: Reader, path: str) -> Iteration:
    layers = reader.json(path)
    rows = reader.csv(path.replace("layers.json", "scores.csv")) or []
    # Of a race, scores on fewer segments cannot be compared.
    most = max((int(row.get("segments", 0)) for row in rows), default=0)
    low, high = layers.get("interval", (None, None))
    return Iteration(
        number=int(path.split("/")[-2].removeprefix("iter_")),
        layer=layers["removed"][-1],
        scores={
            int(row["layer"]): float(row["score"])
            for row in rows
            if int(row.get("segments", 0)) == most
        },
        kept=layers["kept"],
        metric=layers.get("metric"),
        score=layers.get("score"),
        runner_up=layers.get("runner_up"),
        difference=Interval(layers["difference"], low, high) if "difference" in layers else None,
        shares=layers.get("shares", {}),
        regret=layers.get("regret"),
    )
