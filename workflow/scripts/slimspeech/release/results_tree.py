"""What a results folder tells of a model directory in it: its pair, its system, its story.

The keys are those of slimspeech.json in a release (docs/outputs.md); what was not measured is None.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimspeech import systems
from slimspeech.artifacts import read_json
from slimspeech.errors import InputError
from slimspeech.release import metadata
from slimspeech.systems import BASE, TEACHER


@dataclass(frozen=True)
class Place:
    """Where in the results a model directory is.

    experiment: the folder with the experiment's config.json. system: as under evaluation/, or None
    for what is never scored, such as the model of a stage.
    """

    experiment: Path
    config: Mapping[str, Any]
    pair: str
    system: str | None

    @property
    def folder(self) -> Path:
        return self.experiment / self.pair


def locate(directory: str | Path) -> Place | None:
    """Where a model directory is, by the nearest folder above with an experiment's config.json.

    None outside of such a folder, and in it outside of a pair. Raises InputError if that
    config.json is no JSON.
    """
    named, real = Path(os.path.abspath(directory)), Path(directory).resolve()
    for path in dict.fromkeys([named, real]):  # a link may lead into the results, or out of them
        for folder in path.parents:
            config = _read(folder / "config.json")
            if not isinstance(config, dict) or not isinstance(config.get("pairs"), list):
                continue
            pair, *rest = path.relative_to(folder).parts
            if {"experiment", "prompt"} <= config.keys() and pair in config["pairs"]:
                return Place(folder, config, pair, systems.system_at(config, "/".join(rest)))
    return None


def facts(place: Place) -> dict[str, Any]:
    """The keys of slimspeech.json, from the files that are there.

    Raises InputError if the experiment's config.json or a measurement is that of another version.
    """
    try:
        return _facts(place)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{place.experiment}: its config.json or its results are of another version "
            f"({type(error).__name__}: {error}); run the experiment again, or move the model to "
            "another folder"
        ) from error


def _facts(place: Place) -> dict[str, Any]:
    config, system = place.config, place.system
    comparison = _read(place.folder / "evaluation" / "comparison.json") or {}
    measured = comparison.get("systems", {})
    evaluation = place.folder / "evaluation" / (system or "")
    named = config.get("release", {"base_model": None})  # an older config.json has none
    base, revision = metadata.base_model(config["base"], named)
    return {
        "format": metadata.FORMAT,
        "pair": place.pair,
        "prompt": dict(config["prompt"]),
        "languages": config["languages"],
        "generation": {"max_new_tokens": config["generation"]["max_new_tokens"]},
        "experiment": config["experiment"],
        "system": system,
        "base_model": base,
        "base_revision": revision,
        "layers": _layers(place),
        "size": _read(evaluation / "size.json") if system else None,
        "scores": {
            name: {
                metric: {key: found.get(key) for key in metadata.SCORE_KEYS}
                for metric, found in measured[name].items()
                if found
            }
            for name in dict.fromkeys([system, TEACHER, BASE])
            if name in measured
        },
        "signatures": comparison.get("signatures", {}),
        "cost": _read(evaluation / "cost.json") if system else None,
        "recipe": _recipe(place),
        "corpora": _read(place.experiment / "data" / "corpus.json"),
        "software": None,
    }


def _recipe(place: Place) -> dict[str, Any] | None:
    if place.system is None:
        return None
    recipe = systems.recipe(place.config, place.system)
    if recipe and recipe.get("budget"):
        choice = _read(_at(place, systems.budget_file(place.system)))
        return systems.chosen_recipe(recipe, choice) if choice else recipe
    return recipe


def _layers(place: Place) -> dict[str, Any] | None:
    """Kept and removed layers of the teacher, as far as searches have written them."""
    if place.system is None:
        return None
    search_file, stage_files = systems.layer_files(place.config, place.system)
    searched = _read(_at(place, search_file))
    pruned = [(part, _read(_at(place, file))) for part, file in stage_files]
    if searched is None or any(layers is None for _, layers in pruned):
        return None
    return metadata.compose_layers(searched, pruned)


def _at(place: Place, pattern: str) -> Path:
    return place.folder / pattern.removeprefix(f"{systems.PAIR}/")


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None
