"""What pip installs: the library with all that it reads, and no more."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from project import REPOSITORY

ROOT = REPOSITORY
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LIBRARY = ROOT / "workflow" / "scripts" / "slimspeech"
EXTRAS = PROJECT["optional-dependencies"]

spec = importlib.util.spec_from_file_location("list_pins", ROOT / "envs" / "list_pins.py")
list_pins = importlib.util.module_from_spec(spec)
spec.loader.exec_module(list_pins)


def versions(pins):
    return dict(pin.split("==") for pin in pins)


def test_the_pins_are_of_versions_that_pip_would_take():
    pinned = versions(list_pins.pins(ROOT / "envs"))
    for line in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]:
        requirement = Requirement(line)
        if requirement.name in pinned:
            assert pinned[requirement.name] in requirement.specifier, line


def test_the_environment_of_the_command_line_has_what_pip_installs():
    pinned = versions(list_pins.pins_of(ROOT / "envs" / "cli.yaml"))
    wanted = {
        Requirement(line).name
        for line in [*PROJECT["dependencies"], *chain.from_iterable(EXTRAS.values())]
    }
    assert set(pinned) == wanted


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(LIBRARY, source / LIBRARY.relative_to(ROOT), ignore=ignore)
    # What lies beside the library must not get in.
    (source / "workflow" / "scripts" / "translate_segments.py").write_text("raise SystemExit")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(build, check=True, stdin=subprocess.DEVNULL)
    [found] = folder.glob("*.whl")
    return found


def test_the_wheel_has_every_file_of_the_library_and_no_other(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    ours = {
        path.relative_to(LIBRARY.parent).as_posix()
        for path in LIBRARY.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == ours
    assert any(name.endswith(".j2") for name in packed)


def test_it_runs_where_it_is_installed(wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    target = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [target / "bin" / "slimspeech", "--version"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("slimspeech ")
    # All of what the command line imports is found there too, and not in the checkout.
    code = (
        "import slimspeech, slimspeech.release.deployment, slimspeech.report.page as page\n"
        "print(slimspeech.__file__, (page.TEMPLATES / 'page.html.j2').is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{target / 'slimspeech' / '__init__.py'} True\n"


def test_the_command_of_a_checkout_runs_its_own_library(tmp_path):
    """From anywhere, and though another library is said to be first."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "envs" / "slimspeech", folder)
    (folder / "python").symlink_to(sys.executable)
    library = tmp_path / "workflow" / "scripts" / "slimspeech"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    (library / "__main__.py").write_text("print('this one')")
    done = subprocess.run(
        [folder / "slimspeech"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "this one\n", done.stderr
