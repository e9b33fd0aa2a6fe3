"""Settings of the library as a config gives them: the defaults stand in its schema alone."""

from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

import yaml
from project import REPOSITORY

Settings = TypeVar("Settings")

# Where the schema describes the keys of each class.
SECTIONS = {
    "CheckSettings": "evaluation/checks",
    "CostSettings": "evaluation/cost",
    "DataSettings": "data",
    "DistillationSettings": "distillation",
    "GenerationSettings": "generation",
    "LoraSettings": "lora",
    "SearchSettings": "pruning",
    "SplitSettings": "data/split",
    "TrainingSettings": "training",
}


@cache
def defaults(section: str) -> dict[str, Any]:
    """The defaults of the keys of a section of the config, such as "evaluation/cost"."""
    path = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in section.split("/"):
        schema = schema["properties"].get(key) or schema["$defs"][key]
    return {
        key: value["default"] for key, value in schema["properties"].items() if "default" in value
    }


def configured(settings: type[Settings], *values: Any, **changes: Any) -> Settings:
    """Settings of a class with some values; the others are the defaults of the schema."""
    names = [field.name for field in fields(settings)]
    given = dict(zip(names, values, strict=False)) | changes
    known = defaults(SECTIONS[settings.__name__])
    return settings(**{name: known[name] for name in names if name in known} | given)
