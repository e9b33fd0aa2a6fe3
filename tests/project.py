"""A copy of the workflow in a temporary folder, and Snakemake run in it as a user would."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from configs import make_base, read_config

REPOSITORY = Path(__file__).parents[1]
BASE = REPOSITORY / "resources" / "mini" / "base"


@functools.cache
def server() -> subprocess.Popen:
    """The process of snakemake_server.py, for as long as this one lives."""
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("snakemake_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_in_server(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess:
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "environment": environment,
            "output": output.name,
        }
        server().stdin.write(json.dumps(request) + "\n")
        server().stdin.flush()
        status = int(server().stdout.readline())
        return subprocess.CompletedProcess(arguments, status, output.read())


@dataclass(frozen=True)
class Project:
    root: Path

    def snakemake(
        self, *arguments: str, python: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess:
        """Run Snakemake here. python: options of Python itself, which cost a process of its own."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
        if not python:
            return run_in_server(arguments, self.root, environment)
        return subprocess.run(
            [sys.executable, *python, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def succeed(self, *arguments: str) -> str:
        """The output of a run that must succeed."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def default_config(self) -> dict[str, Any]:
        return read_config()

    def write_config(self, config: dict[str, Any]) -> str:
        path = self.root / "changed.yaml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        return str(path)

    def plan(
        self, *targets: str, config: dict[str, Any] | None = None, configs: tuple[str, ...] = ()
    ) -> dict[str, int]:
        """Jobs by rule that a dry-run announces, without `all`. configs: paths, in place of one."""
        files = [self.write_config(config)] if config else configs
        chosen = ["--configfile", *files] if files else []
        text = self.succeed(*targets, *chosen, "--dry-run", "--quiet", "rules")
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total ", text, re.M | re.S)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return {rule: int(count) for rule, count in rows if rule != "all"}


def make_project(root: Path) -> Project:
    """The tracked parts of the repository; of the base model only what planning reads."""
    for name in ("config", "envs", "profiles", "workflow"):
        shutil.copytree(
            REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "Snakefile", root)
    make_base(root)
    return Project(root)


def finish(project: Project, config: dict[str, Any] | None = None) -> Project:
    """As if a config, or the default, had run: all results exist and are empty."""
    chosen = ["--configfile", project.write_config(config)] if config else []
    summary = project.succeed("--summary", *chosen).splitlines()
    first = next(i for i, line in enumerate(summary) if line.startswith("output_file\t"))
    for line in summary[first + 1 :]:
        path = project.root / line.split("\t")[0]
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
    project.succeed("--touch", "--forceall", "--cores", "1", *chosen)
    return project
