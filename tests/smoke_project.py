"""The experiment of tests/config/smoke.yaml, ready to be run, and the hashes of its results."""

import hashlib
import re
import shutil
from pathlib import Path

from project import REPOSITORY, Project, make_project

from slimspeech_mini.corpora import write_archive, write_covost

RUN = ("--cores", "2", "--configfile", "smoke.yaml")
# What holds times, or is made only when asked for; checkpoints are gone at the end.
TIMED = re.compile(
    r"benchmarks/|translation\.json|cost\.json|scores\.(md|tex)$|^scores\.csv|report\.html|plots/|"
    r"checkpoints/|release/(README\.md|slimspeech\.json|sha256\.txt)$|export/|bundle\.tar\.gz"
)


def smoke_project(root: Path, base_model: Path) -> Project:
    project = make_project(root)
    shutil.copy(REPOSITORY / "tests" / "config" / "smoke.yaml", project.root)
    shutil.copytree(base_model, project.root / "smoke" / "base")
    write_archive(project.root / "smoke" / "acl6060.zip", 0, {"dev": (10, 8), "eval": (5,)})
    write_covost(project.root / "smoke" / "covost2", 0, size=12)
    return project


def hashes(project: Project) -> dict[str, str]:
    """SHA-256 of every file of the results that holds no times, by its path from results/smoke."""
    results = project.root / "results" / "smoke"
    files = {path.relative_to(results).as_posix(): path for path in results.rglob("*")}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(files.items())
        if path.is_file() and not TIMED.search(name)
    }
