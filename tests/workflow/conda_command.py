"""A `conda` that answers what Snakemake asks of it, by the solver and the installer of rattler.

There is no conda on any registry that the tests can reach. This is a stand-in for the command line
alone: what it solves, links and activates is done by py-rattler, and by the environment's own pip.

    python conda_command.py ROOT        # writes ROOT/bin/conda and ROOT/bin/activate
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rattler import VirtualPackage, install, solve
from rattler.platform import Subdir
from rattler.shell import ActivationVariables, Shell, activate

# The conda whose answers these are; Snakemake wants 24.7.1 or later.
VERSION = "24.9.2"
# Where conda-forge is, if not where it always is: what a .condarc would say.
CONDA_FORGE = "CONDA_FORGE_URL"
ACTIVATE = 'eval "$({command} activate "$1")"\n'


def write_commands(root: Path) -> None:
    """What a conda installation has in its bin."""
    command = f'"{sys.executable}" "{Path(__file__).resolve()}" --root "{root}"'
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "conda").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (root / "bin" / "conda").chmod(0o755)
    (root / "bin" / "activate").write_text(ACTIVATE.format(command=command))


async def create(file: Path, prefix: Path, cache: Path) -> None:
    """Solve the environment of a file from its channels and install it; then its pip section."""
    described = yaml.safe_load(file.read_text(encoding="utf-8"))
    places = {"conda-forge": os.environ.get(CONDA_FORGE, "conda-forge")}
    channels = [places.get(name, name) for name in described["channels"] if name != "nodefaults"]
    specs = [entry for entry in described["dependencies"] if isinstance(entry, str)]
    records = await solve(channels, specs, virtual_packages=VirtualPackage.detect())
    await install(records, prefix, cache_dir=cache, show_progress=False)
    for entry in described["dependencies"]:
        if isinstance(entry, dict):
            _install_by_pip(prefix, entry["pip"])


def _install_by_pip(prefix: Path, requirements: list[str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements))
        file.flush()
        pip = [prefix / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement"]
        # As conda does: what the caller's Python sees is not the environment's.
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([*pip, file.name], check=True, env=clean)


def clean(cache: Path) -> None:
    """Remove the archives of packages, which rattler keeps beside what it unpacked."""
    for file in cache.glob("*.tar.bz2"):
        file.unlink()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--version", action="version", version=f"conda {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info").add_argument("--json", action="store_true")
    config = commands.add_parser("config")
    config.add_argument("--get")
    config.add_argument("--json", action="store_true")
    environment = commands.add_parser("env").add_subparsers(required=True).add_parser("create")
    for flag in ("--quiet", "--no-default-packages"):
        environment.add_argument(flag, action="store_true")
    environment.add_argument("--file", type=Path, required=True)
    environment.add_argument("--prefix", type=Path, required=True)
    cleaned = commands.add_parser("clean")
    for flag in ("--yes", "-y", "--tarballs"):
        cleaned.add_argument(flag, action="store_true")
    commands.add_parser("activate").add_argument("prefix", type=Path)
    options = parser.parse_args()
    if options.command == "info":
        print(json.dumps({"conda_prefix": str(options.root), "platform": str(Subdir.current())}))
    elif options.command == "config":
        print(json.dumps({"get": {options.get: "strict"}}))
    elif options.command == "env":
        asyncio.run(create(options.file, options.prefix, options.root / "pkgs"))
    elif options.command == "clean":
        clean(options.root / "pkgs")
    else:
        print(activate(options.prefix, ActivationVariables(), Shell.bash).script)


if __name__ == "__main__":
    main()
