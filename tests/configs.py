"""Configs for tests: the default one, changes of it, and what the schema makes of them."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import validate

REPOSITORY = Path(__file__).parents[1]
SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
TEACHER_LAYERS = 12


def read_config(name: str = "config/config.yaml") -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def change(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The config with the value at a path such as "students/A/stages/0/data"."""
    config = deepcopy(config)
    *folders, key = path.split("/")
    node: Any = config
    for folder in folders:
        node = node[int(folder) if isinstance(node, list) else folder]
    node[int(key) if isinstance(node, list) else key] = value
    return config


def fill(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its defaults, as the rules see it."""
    config = deepcopy(config)
    validate(config, schema=str(SCHEMA))
    return config


def make_base(root: Path) -> None:
    """What planning looks at of the mini base model."""
    base = root / "resources" / "mini" / "base"
    base.mkdir(parents=True)
    config = {"text_config": {"num_hidden_layers": TEACHER_LAYERS}}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (base / "model.safetensors").touch()
