"""What can be wrong with the recipes of students: a part of config_checks."""

from collections.abc import Iterator, Mapping
from typing import Any

from slimspeech import systems

Config = Mapping[str, Any]


def problems(config: Config) -> Iterator[str]:
    """What the schema cannot find in `students`, a sentence each. config: with its defaults."""
    yield from _budget_problems(config)
    yield from _recipe_problems(config)


def _budget_problems(config: Config) -> Iterator[str]:
    """What a budget alone can choose, without one; and a budget with nothing to choose."""
    for name, student in config["students"].items():
        key, budget = f"students.{name}", student["budget"]
        several = len(systems.vocabulary_sizes(config, name)) > 1
        if systems.is_open(config, name) and not budget:
            yield f"{key}.layers_removed: auto is for a student with a budget; give a number"
        if several and not budget:
            yield f"{key}.vocabulary.size: a list is for a student with a budget; give one size"
        if systems.is_open(config, name) and not config["pruning"]["iterations"]:
            yield (
                f"{key}.layers_removed: auto takes layers in the order of a search and "
                "pruning.iterations is 0; raise that or give a number"
            )
        if budget and student["merge"] == "keep":
            yield (
                f"{key}.budget: an adapter that stays beside the packed weights is not counted; "
                "change merge to rounded or original"
            )
        fixed = not systems.is_open(config, name) and not several
        if budget and fixed and student["quantization"] == "none":
            yield (
                f"{key}.budget: layers, vocabulary and quantization are all given, so there is "
                "nothing to choose; remove quantization or the budget"
            )


def _recipe_problems(config: Config) -> Iterator[str]:
    """Stages without data, or with data that is not configured."""
    for student, recipe in config["students"].items():
        if recipe["merge"] == "keep":
            yield from _keep_problems(config, student)
        for number, stage in enumerate(recipe["stages"]):
            key = f"students.{student}.stages.{number}"
            if stage["method"] == "prune":
                continue
            parts = [part for part in systems.DATA_PARTS if stage["data"].get(part)]
            if not parts:
                yield f"{key}.data: all factors are 0; raise one"
            if "out_of_domain" in parts and "out_of_domain" not in config["data"]:
                yield f"{key}.data: out_of_domain is not configured; add data.out_of_domain"


def _keep_problems(config: Config, student: str) -> Iterator[str]:
    """No adapter to keep, and no 4-bit weights to keep it beside."""
    key = f"students.{student}.merge"
    if not systems.kept_adapter(config, student):
        yield (
            f"{key}: keep is for the adapter of a last stage of method qlora, and there is none; "
            "leave merge out"
        )
    if config["students"][student]["quantization"] == "none":
        yield (
            f"{key}: keep leaves the adapter beside the 4-bit weights that it was trained on, and "
            "quantization is none; leave quantization out, or choose original"
        )
