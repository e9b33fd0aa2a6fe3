"""The origin of the results: code, versions, machine, hashes of students, time and memory."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from slimspeech.report.read.files import Reader
from slimspeech.report.results import Experiment


@dataclass(frozen=True)
class RuleCost:
    """The jobs of one rule. seconds: in total; longest: one job; memory: the largest, in bytes."""

    rule: str
    jobs: int
    seconds: float
    longest: float
    memory: float | None
    file: str


@dataclass(frozen=True)
class Commit:
    """The code when the report was written. changed: tracked files differ from the commit."""

    sha: str
    changed: bool


def rule_costs(reader: Reader, experiment: Experiment) -> list[RuleCost]:
    """One entry per rule with benchmark files, the longest first."""
    folders = {f"{experiment.folder}/benchmarks": "benchmarks"}
    folders |= {
        f"{experiment.folder}/{p.code}/benchmarks": "{pair}/benchmarks" for p in experiment.pairs
    }
    jobs: dict[tuple[str, str], list[dict]] = {}
    for folder, label in folders.items():
        for path in reader.glob(f"{folder}/**/*.jsonl"):
            rule = Path(path).relative_to(folder).parts[0].removesuffix(".jsonl")
            jobs.setdefault((rule, f"{label}/{rule}*"), []).extend(reader.jsonl(path))
    costs = [
        RuleCost(
            rule=rule,
            jobs=len(rows),
            seconds=sum(row["s"] for row in rows),
            longest=max(row["s"] for row in rows),
            memory=_largest(row.get("max_rss") for row in rows),
            file=file,
        )
        for (rule, file), rows in jobs.items()
        if rows
    ]
    return sorted(costs, key=lambda cost: -cost.seconds)


def _largest(megabytes: Iterable[float | str | None]) -> float | None:
    """Bytes. Snakemake writes MiB, and "NA" or null for a job too short to measure."""
    measured = [value for value in megabytes if isinstance(value, (int, float))]
    return max(measured) * 2**20 if measured else None


def student_hashes(reader: Reader, experiment: Experiment) -> list[dict[str, str]]:
    """Rows of name and sha256, of the files of students with hashes."""
    rows = []
    for pair in experiment.pairs:
        for student in experiment.config["students"]:
            path = f"{experiment.folder}/{pair.code}/students/{student}/sha256.txt"
            if reader.exists(path):
                for line in (reader.root / path).read_text(encoding="utf-8").splitlines():
                    sha256, name = line.split(maxsplit=1)
                    rows.append({"name": name, "sha256": sha256})
    return rows


def commit(root: Path) -> Commit | None:
    """None if the project is not a git repository, or git is not installed."""
    if not (root / ".git").exists():  # git would also find a repository around the project
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        text = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return Commit(text.removesuffix("-dirty"), changed=text.endswith("-dirty"))


def versions(root: Path) -> list[dict[str, str | None]]:
    """Rows of package, pin (of envs/*.yaml) and version installed where the report is written."""
    pins: dict[str, str] = {}
    for path in sorted((root / "envs").glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]:
            if isinstance(entry, dict):
                pins |= dict(pin.split("==") for pin in entry["pip"])
    return [
        {"package": name, "pin": pin, "installed": _installed(name)}
        for name, pin in sorted(pins.items())
    ]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> str:
    """The machine that writes the report."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
