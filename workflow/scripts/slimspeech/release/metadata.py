"""A student as it is given away: its files, its story (slimspeech.json), a model card, hashes."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from slimspeech.artifacts import read_json, write_directory, write_json, write_text
from slimspeech.errors import InputError
from slimspeech.systems import BASE, TEACHER

FORMAT = 1
FACTS = "slimspeech.json"
CARD = "README.md"
HASHES = "sha256.txt"

SCORE_KEYS = ("score", "low", "high", "retention", "retention_low", "retention_high")
PACKAGES = ("bitsandbytes", "peft", "safetensors", "torch", "transformers")
# Where the base models of this project are: what is known of them without a Hub.
MINI_FOLDERS = (Path("resources/mini"), Path("results/mini_base"))
MINI_BASE = "mini base model of slimspeech"


@dataclass(frozen=True)
class Measurements:
    """What was measured, by system; empty or None where nothing was.

    sizes: size.json; costs: cost.json; comparison: comparison.json.
    """

    sizes: Mapping[str, Mapping[str, Any]]
    costs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None


def describe(
    student: str,
    pair: str,
    config: Mapping[str, Any],
    layers: Mapping[str, Any],
    measured: Measurements,
    corpora: Sequence[Mapping[str, Any]],
    packed: str | Path,
) -> dict[str, Any]:
    """What slimspeech.json holds, as docs/outputs.md lists it.

    config: the parts of the experiment's that the student was made by. layers: of
    compose_layers(). corpora: corpus.json. packed: the student's directory.
    """
    base, revision = base_model(config["base"], config["release"])
    comparison = measured.comparison
    scored = comparison["systems"] if comparison else {}
    shown = [name for name in (BASE, TEACHER, student) if name in scored]
    return {
        "format": FORMAT,
        "pair": pair,
        "prompt": config["prompt"],
        "languages": config["languages"],
        "generation": {"max_new_tokens": config["generation"]["max_new_tokens"]},
        "experiment": config["experiment"],
        "system": student,
        "base_model": base,
        "base_revision": revision,
        "layers": {**layers, "chosen_on": config["search_split"]},
        "size": measured.sizes[student],
        "scores": {name: _scores(scored[name]) for name in shown} or None,
        "signatures": comparison["signatures"] if comparison else None,
        "cost": measured.costs.get(student),
        "recipe": config["recipe"],
        "corpora": [corpus | {"path": Path(corpus["path"]).name} for corpus in corpora],
        "software": {name: importlib.metadata.version(name) for name in PACKAGES},
        "clip_seconds": _clip_seconds(packed),
        "test": {key: comparison[key] for key in ("segments", "resamples")} if comparison else None,
        "others": {
            name: {"size": size, "cost": measured.costs.get(name)}
            for name, size in measured.sizes.items()
            if name != student
        },
        "teacher": config["teacher"],
        "data_split": config["data_split"],
        "release": config["release"],
    }


def base_model(base: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, str | None]:
    """Name and revision: what the config says, else of the Hub if fetched from there."""
    folder = Path(base["model"])
    if release["base_model"]:
        return release["base_model"], None
    if "hub" in base and folder.parent == Path("results/models"):
        return base["hub"]["repository"], base["hub"]["revision"]
    if any(folder.is_relative_to(mini) for mini in MINI_FOLDERS):
        return MINI_BASE, None
    return folder.name, None


def compose_layers(
    searched: Mapping[str, Any], stages: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Layers by their index in the teacher, after a search and the stages that pruned further.

    searched: layers.json of the search; stages: (part, layers.json) of each stage of method
    `prune`, numbered in the model that it started from. `encoder` is null unless it was pruned.
    """
    decoder = {key: list(searched[key]) for key in ("kept", "removed")}
    encoder: dict[str, list[int]] | None = None
    for part, found in stages:
        if part == "decoder":
            decoder = _translated(decoder, found)
        else:
            everything = range(len(found["kept"]) + len(found["removed"]))
            encoder = _translated(encoder or {"kept": [*everything], "removed": []}, found)
    return {**decoder, "encoder": encoder}


def used_corpora(
    corpora: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any] | None
) -> list[Mapping[str, Any]]:
    """Of corpus.json, what a system was trained on: out-of-domain data only if its recipe says."""
    stages = recipe["stages"] if recipe else []
    more = any(stage.get("data", {}).get("out_of_domain") for stage in stages)
    return [corpus for corpus in corpora if corpus["role"] == "gold" or more]


def write_release(
    packed: str | Path,
    release: str | Path,
    facts: Mapping[str, Any],
    card: str,
    hashes: str,
) -> None:
    """Write a release: links to the files of a packed student, and what tells of it.

    hashes: of the packed files, as `sha256sum` writes them with any path before the names. The
    card is not among the hashes, so that it may be edited.
    """

    def write(partial: Path) -> None:
        lines = []
        for line in hashes.splitlines():
            digest, path = line.split(maxsplit=1)
            name = Path(path.lstrip("*")).relative_to(packed).as_posix()
            _link(Path(packed, name), partial / name)
            lines.append(f"{digest}  {name}\n")
        write_json(partial / FACTS, facts)
        digest = sha256((partial / FACTS).read_bytes()).hexdigest()
        write_text(partial / HASHES, "".join(sorted([*lines, f"{digest}  {FACTS}\n"], key=_name)))
        write_text(partial / CARD, card)

    write_directory(release, write)


def _link(source: Path, target: Path) -> None:
    """A hard link, which takes no room, or a copy where the file system has none."""
    if not source.is_file():
        raise InputError(f"{source}: not there, though its hash is; pack the student again")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _name(line: str) -> str:
    return line.split(maxsplit=1)[1]


def _translated(before: Mapping[str, list[int]], found: Mapping[str, Any]) -> dict[str, list[int]]:
    kept = before["kept"]
    return {
        "kept": [kept[layer] for layer in found["kept"]],
        "removed": before["removed"] + [kept[layer] for layer in found["removed"]],
    }


def _scores(metrics: Mapping[str, Mapping[str, Any] | None]) -> dict[str, dict[str, Any]]:
    return {
        metric: {key: found[key] for key in SCORE_KEYS}
        for metric, found in metrics.items()
        if found
    }


def _clip_seconds(packed: str | Path) -> float:
    """The longest clip that the model hears."""
    extractor = read_json(Path(packed, "processor_config.json"))["feature_extractor"]
    return extractor["n_samples"] / extractor["sampling_rate"]
