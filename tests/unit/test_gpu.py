"""Several jobs on a machine with made-up GPUs: which process sees which."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import REPOSITORY

from slimspeech.gpu import installed, take, take_some, visible

SCRIPTS = REPOSITORY / "workflow" / "scripts"
TWO = (
    "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aa11)\nGPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bb22)\n"
)
CUT_UP = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aa11)
  MIG 3g.40gb     Device  0: (UUID: MIG-cc33)
  MIG 3g.40gb     Device  1: (UUID: MIG-dd44)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bb22)
"""
# A job: it says what it sees, and works until it is told to end.
JOB = (
    "import os; from slimspeech.gpu import take_some; take_some(os.environ);"
    "print(os.environ.get('CUDA_VISIBLE_DEVICES')); input()"
)


class Machine:
    def __init__(self, folder: Path, listed: str):
        driver = folder / "bin" / "nvidia-smi"
        driver.parent.mkdir()
        driver.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\n")
        driver.chmod(0o755)
        path = os.pathsep.join([str(driver.parent), os.environ["PATH"]])
        self.environment = {"PATH": path, "TMPDIR": str(folder), "PYTHONPATH": str(SCRIPTS)}
        self.jobs: list[subprocess.Popen] = []

    def start(self, **variables: str) -> tuple[subprocess.Popen, str]:
        """A job, and the GPU that it sees."""
        job = subprocess.Popen(
            [sys.executable, "-c", JOB],
            env=self.environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.jobs.append(job)
        return job, job.stdout.readline().strip()

    def count(self, **variables: str) -> str:
        command = [sys.executable, SCRIPTS / "slimspeech" / "gpu.py"]
        return subprocess.check_output(command, env=self.environment | variables, text=True).strip()

    def stop(self) -> None:
        for job in self.jobs:
            job.kill()
            job.communicate()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, TWO)
    yield machine
    machine.stop()


def test_each_job_has_a_gpu_to_itself_as_long_as_there_are_any(machine):
    assert [machine.start()[1] for _ in range(2)] == ["GPU-aa11", "GPU-bb22"]


def test_more_jobs_than_gpus_are_spread_over_them(machine):
    seen = [machine.start()[1] for _ in range(4)]
    assert sorted(seen) == ["GPU-aa11", "GPU-aa11", "GPU-bb22", "GPU-bb22"]


def test_a_job_takes_as_many_as_it_asks_for(machine, monkeypatch):
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)  # where TMPDIR is remembered
    for count in (2, 3):
        environment = {}
        take_some(environment, count)
        assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-aa11,GPU-bb22"


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_a_gpu_is_free_again_when_its_job_has_ended(how, machine):
    (first, gpu), _ = machine.start(), machine.start()
    if how:
        first.send_signal(how)
        first.wait()
    else:
        first.communicate("\n")
    assert machine.start()[1] == gpu


def test_jobs_choose_within_what_they_are_allowed(machine):
    allowed = {"CUDA_VISIBLE_DEVICES": "1"}
    assert [machine.start(**allowed)[1], machine.start()[1]] == ["1", "GPU-aa11"]
    assert machine.start(CUDA_VISIBLE_DEVICES="")[1] == ""


def test_gpus_are_counted_for_make(machine):
    assert machine.count() == "2"
    assert machine.count(CUDA_VISIBLE_DEVICES="1") == "1"
    assert machine.count(PATH="/nowhere") == "1"


def test_without_a_driver_nothing_changes(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    environment = {}
    take_some(environment)
    assert environment == {}


def test_parts_of_a_card_stand_for_it(tmp_path, monkeypatch):
    machine = Machine(tmp_path, CUT_UP)
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    assert installed() == ["MIG-cc33", "MIG-dd44", "GPU-bb22"]


@pytest.mark.parametrize(
    "chosen, names",
    [
        (None, {"GPU-a": "GPU-a", "GPU-b": "GPU-b"}),
        ("1, 0", {"GPU-b": "1", "GPU-a": "0"}),
        ("GPU-b", {"GPU-b": "GPU-b"}),
        ("0,-1,1", {"GPU-a": "0"}),
        ("7", {"7": "7"}),
        ("", {}),
    ],
)
def test_what_the_variable_allows(chosen, names):
    assert visible(["GPU-a", "GPU-b"], chosen) == names


def test_a_folder_where_no_lock_can_be_set_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "missing"))
    monkeypatch.setattr("slimspeech.gpu.installed", lambda: ["GPU-a"])
    environment = {}
    take_some(environment)
    assert environment == {}


def test_no_gpu_is_none(tmp_path):
    assert take({}, tmp_path / "locks") is None
