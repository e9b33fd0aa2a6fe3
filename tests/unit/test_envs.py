"""The environment files and the lock of the virtual environment have one set of versions."""

import importlib.util
from pathlib import Path

import pytest

ENVS = Path(__file__).parents[2] / "envs"
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
