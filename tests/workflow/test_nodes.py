"""One training on two nodes of a real SLURM, against the same training on one machine."""

import shutil
from pathlib import Path

import pytest
import yaml
from project import Project
from slurm_cluster import BY_SLURM, Cluster
from smoke_project import RUN, smoke_project

pytestmark = pytest.mark.slow

TEACHER = "results/smoke/en-de/teacher"
LOG = "logs/smoke/en-de/train_teacher.log"
WRITTEN = (f"{TEACHER}/model.safetensors", "results/smoke/en-de/curves/teacher.jsonl")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return smoke_project(tmp_path_factory.mktemp("nodes") / "project")


def train(project: Project, *arguments: str, **training: int) -> list[bytes]:
    """The teacher's weights and learning curve."""
    file = project.root / "smoke.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config["teacher"]["training"] = {"epochs": 1, "batch_size": 4, "precision": "fp32"} | training
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.rmtree(project.root / TEACHER, ignore_errors=True)
    project.succeed(TEACHER, *RUN[2:], *arguments)
    return [(project.root / name).read_bytes() for name in WRITTEN]


@pytest.mark.parametrize(("gpus", "shard"), [(2, False), (4, False), (2, True)])
def test_processes_on_two_nodes_train_as_on_one_machine(
    gpus: int, shard: bool, project: Project, two_nodes: Cluster
):
    here = train(project, "--cores", "2", "--resources", f"gpu={gpus}", gpus=gpus, shard=shard)
    with two_nodes.in_use():
        there = train(project, *BY_SLURM, gpus=gpus, nodes=2, shard=shard)
    [job] = two_nodes.completed()[-1:]
    assert "NodeCnt=2 " in job
    assert f"{gpus} processes on 2 nodes: srun" in (project.root / LOG).read_text()
    assert there == here


def test_what_a_process_raises_ends_the_job_and_its_log(project: Project, two_nodes: Cluster):
    """A file that is gone is noticed by the process whose share it is in."""
    project.succeed("results/smoke/data/audio", *RUN)
    [clip] = list((project.root / "results/smoke/data/audio").rglob("*.wav"))[:1]
    sound = clip.read_bytes()
    clip.write_bytes(b"no sound")
    try:
        with two_nodes.in_use(), pytest.raises(AssertionError):
            train(project, *BY_SLURM, gpus=2, nodes=2)
    finally:
        clip.write_bytes(sound)
    last = (project.root / LOG).read_text().strip().splitlines()[-1]
    assert "CRITICAL" in last and f"{clip.name}: not audio" in last
    left = list(Path(project.root, "results/smoke/en-de/checkpoints").rglob("processes-*"))
    assert left == []
