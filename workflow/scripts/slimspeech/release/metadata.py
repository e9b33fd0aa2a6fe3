"""What slimspeech.json says of a student: how to use it, how it was made, what was measured."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slimspeech import families
from slimspeech.artifacts import Row, read_json
from slimspeech.systems import BASE, TEACHER

FORMAT = 1
FACTS = "slimspeech.json"
SCORE_KEYS = ("score", "low", "high", "retention", "retention_low", "retention_high")
VOCABULARY_KEYS = ("tokens", "size", "held_out")
PACKAGES = ("bitsandbytes", "peft", "safetensors", "torch", "transformers")
# Folders of the project's own base models, which are not on the Hub.
MINI_FOLDERS = (Path("resources/mini"), Path("results/mini_base"))
MINI_BASE = "mini base model of slimspeech"


@dataclass(frozen=True)
class Measurements:
    """Contents of size.json and cost.json by system, of comparison.json, vocabulary.json,
    packing.json and each parity.json.

    Without measurements costs and engines are empty and comparison is None; vocabulary is None
    unless it was trimmed, packing unless the last stage trained an adapter.
    """

    sizes: Mapping[str, Row]
    costs: Mapping[str, Row] = field(default_factory=dict)
    comparison: Row | None = None
    vocabulary: Row | None = None
    packing: Row | None = None
    engines: Sequence[Row] = ()


def describe(
    student: str,
    pair: str,
    config: Row,
    layers: Row,
    measured: Measurements,
    corpora: Sequence[Row],
    packed: str | Path,
) -> Row:
    """The content of slimspeech.json; docs/outputs.md lists its keys.

    config: the parts of the experiment's config that made the student. layers: from
    compose_layers(). corpora: content of corpus.json. packed: the student's directory.
    """
    base, revision = base_model(config["base"], config["release"])
    comparison = measured.comparison
    scored = comparison["systems"] if comparison else {}
    model_type = read_json(Path(packed, "config.json"))["model_type"]
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
        "model_type": model_type,
        "layers": {**layers, "chosen_on": config["search_split"]},
        "size": measured.sizes[student],
        "vocabulary": {key: measured.vocabulary[key] for key in VOCABULARY_KEYS}
        if measured.vocabulary
        else None,
        "packing": measured.packing,
        "scores": {
            name: {
                metric: {key: score[key] for key in SCORE_KEYS}
                for metric, score in scored[name].items()
                if score
            }
            for name in (BASE, TEACHER, student)
            if name in scored
        }
        or None,
        "signatures": comparison["signatures"] if comparison else None,
        "cost": measured.costs.get(student),
        "engines": list(measured.engines),
        "recipe": config["recipe"],
        "corpora": [corpus | {"path": Path(corpus["path"]).name} for corpus in corpora],
        "software": {name: importlib.metadata.version(name) for name in PACKAGES},
        "clip_seconds": _clip_seconds(packed, model_type),
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


def _clip_seconds(packed: str | Path, model_type: str) -> float:
    """The longest clip that the model hears at once."""
    if fixed := families.by_type(model_type).window_seconds:
        return fixed
    extractor = read_json(Path(packed, "processor_config.json"))["feature_extractor"]
    return extractor["n_samples"] / extractor["sampling_rate"]


def base_model(base: Row, release: Row) -> tuple[str, str | None]:
    """Name and revision: from `release`, else of the Hub's repository if it came from there."""
    folder = Path(base["model"])
    if release["base_model"]:
        return release["base_model"], None
    if "hub" in base and folder.parent == Path("results/models"):
        return base["hub"]["repository"], base["hub"]["revision"]
    if any(folder.is_relative_to(mini) for mini in MINI_FOLDERS):
        return MINI_BASE, None
    return folder.name, None


def compose_layers(searched: Row, stages: Sequence[tuple[str, Row]]) -> Row:
    """Kept and removed layers by their index in the teacher, after a search and pruning stages.

    searched: layers.json of the search. stages: (part, layers.json) of each stage of method
    `prune`, whose indices are those of the model that the stage started from. `encoder` is None
    unless a stage pruned it.
    """
    decoder = {key: list(searched[key]) for key in ("kept", "removed")}
    encoder: dict[str, list[int]] | None = None
    for part, layers in stages:
        if part == "decoder":
            decoder = _in_teacher(decoder, layers)
        else:
            unpruned = [*range(len(layers["kept"]) + len(layers["removed"]))]
            encoder = _in_teacher(encoder or {"kept": unpruned, "removed": []}, layers)
    return {**decoder, "encoder": encoder}


def used_corpora(corpora: Sequence[Row], recipe: Row | None) -> list[Row]:
    """The entries of corpus.json that a system was trained on.

    These are the gold corpus and, if a stage of the recipe uses it, the out-of-domain corpus.
    """
    stages = recipe["stages"] if recipe else []
    uses_all = any(stage.get("data", {}).get("out_of_domain") for stage in stages)
    return [corpus for corpus in corpora if corpus["role"] == "gold" or uses_all]


def _in_teacher(before: Row, layers: Row) -> dict[str, list[int]]:
    """`before` after a stage that pruned further; the stage's indices count `before["kept"]`."""
    kept = before["kept"]
    return {
        "kept": [kept[layer] for layer in layers["kept"]],
        "removed": before["removed"] + [kept[layer] for layer in layers["removed"]],
    }
