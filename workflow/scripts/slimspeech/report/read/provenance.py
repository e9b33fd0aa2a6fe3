"""Where the results come from: code, versions, machine, students' hashes, time and memory."""

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
    """What the jobs of one rule took together; memory is of the hungriest, in bytes."""

    rule: str
    jobs: int
    seconds: float
    longest: float
    memory: float | None
    file: str


@dataclass(frozen=True)
class Commit:
    """The code at the time of the report. `changed`: tracked files differ from the commit."""

    sha: str
    changed: bool


def rule_costs(reader: Reader, experiment: Experiment) -> list[RuleCost]:
    """Of every rule with benchmark files, the longest first."""
    places = {f"{experiment.folder}/benchmarks": "benchmarks"}
    places |= {
        f"{experiment.folder}/{p.code}/benchmarks": "{pair}/benchmarks" for p in experiment.pairs
    }
    jobs: dict[tuple[str, str], list[dict]] = {}
    for place, shown in places.items():
        for path in reader.glob(f"{place}/**/*.jsonl"):
            rule = Path(path).relative_to(place).parts[0].removesuffix(".jsonl")
            jobs.setdefault((rule, f"{shown}/{rule}*"), []).extend(reader.jsonl(path))
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
    """Snakemake writes "NA" or null for a job that was too short to look at, and means MiB."""
    known = [value for value in megabytes if isinstance(value, (int, float))]
    return max(known) * 2**20 if known else None


def student_hashes(reader: Reader, experiment: Experiment) -> list[dict[str, str]]:
    """Rows of pair, student, file and sha256, of students whose hashes were taken."""
    rows = []
    for pair in experiment.pairs:
        for student in experiment.config["students"]:
            path = f"{experiment.folder}/{pair.code}/students/{student}/sha256.txt"
            if not reader.exists(path):
                continue
            for line in (reader.root / path).read_text(encoding="utf-8").splitlines():
                sha256, name = line.split(maxsplit=1)
                file = f"{pair.code}/students/{student}/sha256.txt"
                rows.append({"name": name.lstrip("*"), "sha256": sha256, "file": file})
    return rows


def commit(root: Path) -> Commit | None:
    """None where the project is no git repository, or git is not installed."""
    sha = _git(root, "rev-parse", "HEAD")
    if sha is None:
        return None
    return Commit(sha.strip(), changed=bool(_git(root, "status", "--porcelain", "-uno")))


def _git(root: Path, *arguments: str) -> str | None:
    # A folder inside another's repository is not that repository.
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def versions(root: Path) -> list[dict[str, str | None]]:
    """Rows of package, pin (of envs/*.yaml) and what is installed where the report is written."""
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
    """Where the report was written."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
