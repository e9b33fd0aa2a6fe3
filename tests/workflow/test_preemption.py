"""A training that a real Slurm stops for a more urgent job and starts again."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from project import Project
from slurm_cluster import BY_SLURM, Cluster
from smoke_project import RUN, smoke_project

pytestmark = pytest.mark.slow

TEACHER = "results/smoke/en-de/teacher"
CURVE = "results/smoke/en-de/curves/teacher.jsonl"
CHECKPOINTS = "results/smoke/en-de/checkpoints/teacher"
TRAINING = {"epochs": 8, "batch_size": 4, "precision": "fp32", "checkpoint_steps": 3}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Checkpoints fall between two entries of the log, which are 10 steps apart."""
    project = smoke_project(tmp_path / "project")
    file = project.root / "smoke.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config["teacher"]["training"] = TRAINING
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return project


def test_a_preempted_training_gives_what_an_undisturbed_one_gives(
    project: Project, cluster: Cluster
):
    project.succeed(TEACHER, *RUN)
    undisturbed = trained(project)
    shutil.rmtree(project.root / TEACHER)

    log = project.root / "snakemake.log"
    with cluster.in_use(), open(log, "wb") as file:
        running = subprocess.Popen(
            [sys.executable, "-m", "snakemake", TEACHER, *RUN[2:], *BY_SLURM],
            cwd=project.root,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: list(project.root.glob(f"{CHECKPOINTS}/*/trainer_state.json")), running)
        [job] = cluster.call("squeue", "--noheader", "--format=%i").split()
        node = ("--partition=urgent", "--cpus-per-task=4", "--output=/dev/null")
        cluster.call("sbatch", *node, "--wrap=true")
        wait_for(lambda: is_held_back(cluster, job), running)
        assert not (project.root / TEACHER).exists()
        # Slurm makes a requeued job wait for two minutes.
        cluster.call("scontrol", "update", f"JobId={job}", "StartTime=now")
        assert running.wait(300) == 0, log.read_text()[-4000:]
    finally:
        running.kill()
        running.wait()

    ends = [line for line in cluster.completed() if line.startswith(f"JobId={job} ")]
    assert ["JobState=PREEMPTED" in ends[0], "JobState=COMPLETED" in ends[1]] == [True, True]
    assert "going on from" in (project.root / "logs/smoke/en-de/train_teacher.log").read_text()
    last = max((project.root / ".snakemake" / "log").glob("*.log"))
    assert last.read_text().count("rule train_teacher:") == 1, "Snakemake itself tries but once"
    assert trained(project) == undisturbed


def trained(project: Project) -> dict[str, bytes]:
    """Every file of the teacher, and its learning curve."""
    files = [project.root / CURVE, *(project.root / TEACHER).iterdir()]
    return {path.name: path.read_bytes() for path in files}


def is_held_back(cluster: Cluster, job: str) -> bool:
    state = cluster.call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T %r")
    return state.strip() == "PENDING BeginTime"


def wait_for(happened: Callable[[], object], running: subprocess.Popen) -> None:
    for _ in range(3000):
        if happened():
            return
        assert running.poll() is None, "the run is over"
        time.sleep(0.1)
    raise AssertionError("not within five minutes")
