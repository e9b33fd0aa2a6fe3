"""The experiment of tests/config/smoke.yaml: a project to run it in, the one run of it that tests
share, and the hashes of its results."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from project import BASE, REPOSITORY, Project, make_project

from slimspeech_mini.corpora import write_archive, write_covost

CANARY = "canary4secrets"
RUN = ("--cores", "2", "--configfile", "smoke.yaml")
# Files that hold times, or are made only on request. Checkpoints are removed at the end.
TIMED = re.compile(
    r"benchmarks/|translation\.json|cost\.json|scores\.(md|tex)$|^scores\.csv|report\.html|plots/|"
    r"checkpoints/|release/(README\.md|slimspeech\.json|sha256\.txt)$|export/|bundle\.tar\.gz"
)


def smoke_project(root: Path) -> Project:
    project = make_project(root)
    shutil.copy(REPOSITORY / "tests" / "config" / "smoke.yaml", project.root)
    shutil.copytree(BASE, project.root / "smoke" / "base")
    write_archive(project.root / "smoke" / "acl6060.zip", 0, {"dev": (10, 8), "eval": (5,)})
    write_covost(project.root / "smoke" / "covost2", 0, size=12)
    write_test_set(project.root / "smoke" / "TV")
    return project


def write_test_set(folder: Path) -> None:
    """A test set as the IWSLT track gives it: two wavs, three segments, two references."""
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000)
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", noise, 16_000)
    (folder / "FILE_ORDER").write_text("b\na\n")
    segments = [("a.wav", 0, 0.5), ("b.wav", 0, 1), ("a.wav", 0.5, 0.5)]
    entry = "- {{wav: {}, offset: {}, duration: {}}}\n"
    (folder / "list.yaml").write_text("".join(entry.format(*segment) for segment in segments))
    (folder / "TV.de.txt").write_text("Guten Morgen.\nVielen Dank.\n")


def hashes(project: Project) -> dict[str, str]:
    """SHA-256 of every file of the results without times, by its path from results/smoke."""
    results = project.root / "results" / "smoke"
    files = {path.relative_to(results).as_posix(): path for path in results.rglob("*")}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(files.items())
        if path.is_file() and not TIMED.search(name)
    }


def finished_smoke_project(factory: pytest.TempPathFactory) -> Project:
    """One run for all workers of a test session, made by the first that asks for it.

    Snakemake's output is in printed.txt, and the hashes of the results in hashes.json.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    project = Project(shared / "smoke")
    hashed = project.root / "hashes.json"
    with FileLock(shared / "smoke.lock"):
        if not hashed.exists():
            smoke_project(project.root)
            with logged_in(shared / "smoke_home"):
                printed = project.succeed(*RUN)
            (project.root / "printed.txt").write_text(printed, encoding="utf-8")
            hashed.write_text(json.dumps(hashes(project)), encoding="utf-8")
    return project


@contextmanager
def logged_in(home: Path) -> Iterator[None]:
    """Secrets in the environment and in the Hub's own file, as a logged-in user has them."""
    home.mkdir()
    (home / "token").write_text(f"hf_file_{CANARY}")
    names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "COMET_API_KEY")
    secrets = {name: f"{name}_{CANARY}" for name in names}
    secrets["HTTPS_PROXY"] = f"http://me:{CANARY}@127.0.0.1:9"
    with mock.patch.dict(os.environ, secrets | {"HF_HOME": str(home)}):
        yield


def leaks(project: Project) -> list[Path]:
    """Files of a project, .snakemake included, with a secret in their names or contents."""
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert any(".snakemake/metadata" in str(path) for path in files)
    # The names of files in .snakemake/metadata are base64, which differs at both ends.
    encoded = base64.b64encode(CANARY.encode()).decode()[2:-4]
    return [
        path
        for path in files
        if CANARY in path.name or encoded in path.name or CANARY.encode() in path.read_bytes()
    ]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_scores(path: Path) -> dict[int, float]:
    with open(path, encoding="utf-8") as file:
        return {int(row["layer"]): float(row["score"]) for row in csv.DictReader(file)}


def read_layer_count(project: Project) -> int:
    config = read_json(project.root / "smoke" / "base" / "config.json")
    return config["text_config"]["num_hidden_layers"]
