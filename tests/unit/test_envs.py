"""The environment files and the lock of the virtual environment have one set of versions."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ENVS = Path(__file__).parents[2] / "envs"
SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
spec = importlib.util.spec_from_file_location("list_pins", ENVS / "list_pins.py")
list_pins = importlib.util.module_from_spec(spec)
spec.loader.exec_module(list_pins)


def test_every_pin_is_in_the_lock():
    locked = {line.lower() for line in (ENVS / "venv.lock").read_text().splitlines()}
    assert [pin for pin in list_pins.pins(ENVS) if pin.lower() not in locked] == []


def test_environments_that_disagree_are_refused(tmp_path):
    for name, version in (("a", "1.0"), ("b", "1.1")):
        text = f"dependencies:\n  - python=3.11\n  - pip:\n      - torch=={version}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ValueError, match="torch==1.1"):
        list_pins.pins(tmp_path)


# Packages are not always imported by the name they are installed by.
INSTALLED_AS = {"yaml": "pyyaml", "comet": "unbabel-comet", "huggingface_hub": "huggingface-hub"}


def imports(file: Path, seen: set[Path]) -> set[str]:
    """The packages that a file imports, itself or through modules of ours, at whatever depth."""
    seen.add(file)
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    packages = set()
    for name in names:
        module = SCRIPTS.joinpath(*name.split(".")).with_suffix(".py")
        if module not in seen and module.is_file():
            packages |= imports(module, seen)
        elif not name.startswith("slimspeech"):
            packages.add(name.split(".")[0])
    return packages - sys.stdlib_module_names


def test_the_environment_of_comet_is_locked_and_holds_what_its_scripts_import():
    pinned = list_pins.pins_of(ENVS / "comet.yaml")
    locked = {line.lower() for line in (ENVS / "comet.lock").read_text().splitlines()}
    assert [pin for pin in pinned if pin.lower() not in locked] == []
    names = {pin.split("==")[0] for pin in pinned}
    for script in ("fetch_comet.py", "score_comet.py"):
        found = imports(SCRIPTS / script, set())
        assert "torch" in found
        assert {INSTALLED_AS.get(name, name) for name in found} <= names


def test_comet_is_kept_from_the_other_environments():
    assert not any(pin.startswith("unbabel-comet") for pin in list_pins.pins(ENVS))
