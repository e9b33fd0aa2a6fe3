"""kill -9 at random moments: every file is complete afterwards, and the next run finishes."""

import base64
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_record import counted
from project import Project
from smoke_project import RUN, hashes, smoke_project

pytestmark = pytest.mark.slow

SHORT = "results/smoke/en-de/distillation/summary.json"
KINDS = ("job", "driver", "node")
SCRIPT = ".snakemake/scripts"


def start(project: Project, *targets: str) -> subprocess.Popen:
    """Snakemake, in a process group of its own."""
    log = open(project.root / "snakemake.log", "ab")  # noqa: SIM115 (the process writes to it)
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *targets, *RUN],
        cwd=project.root,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Whoever was started in the background by a shell ignores ctrl-C, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def members(group: int) -> dict[int, str]:
    """The command lines of a process group, by process."""
    commands = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[2]) == group and status[0] != "Z":
                commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue
    return commands


def jobs_of(process: subprocess.Popen) -> list[int]:
    return [pid for pid, command in members(process.pid).items() if SCRIPT in command]


def kill(process: subprocess.Popen, what: str, generator: random.Random) -> None:
    """what: "job" (a script), "driver" (Snakemake alone; its jobs go on for a while) or "node"."""
    if what == "node":
        os.killpg(process.pid, signal.SIGKILL)
    elif what == "driver":
        process.kill()
    else:
        while not (jobs := jobs_of(process)) and process.poll() is None:
            time.sleep(0.05)
        if jobs:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(generator.choice(jobs), signal.SIGKILL)
    process.wait()
    while members(process.pid):  # jobs that go on without Snakemake would disturb the next run
        time.sleep(0.1)


def partial_files(project: Project, whole: dict[str, str]) -> list[str]:
    """Files unlike the undisturbed run's that Snakemake does not list as incomplete."""
    markers = project.root / ".snakemake" / "incomplete"
    known = tuple(
        base64.b64decode(path.name).decode().removeprefix("results/smoke/")
        for path in markers.glob("*")
    )
    return [
        name
        for name, value in hashes(project).items()
        if name in whole and value != whole[name] and not name.startswith(known or "\0")
    ]


def disturb(
    project: Project, whole: dict[str, str], kills: int, longest: float, *targets: str
) -> list[str]:
    """Kill and resume so many times, then finish. Returns what was killed, one word a kill.

    A kill comes at most `longest` seconds after the first job has begun.
    """
    generator = random.Random(0)
    killed: list[str] = []
    while len(killed) < kills:
        process = start(project, *targets)
        while process.poll() is None and not jobs_of(process):
            time.sleep(0.05)
        try:
            process.wait(generator.uniform(0, longest))
            if process.returncode == 0:
                break  # all is made
        except subprocess.TimeoutExpired:
            killed.append(KINDS[len(killed) % 3])
            kill(process, killed[-1], generator)
        assert partial_files(project, whole) == []
        project.succeed("--unlock", *RUN[2:])
    project.succeed(*targets, *RUN)
    return killed


def test_kills_leave_what_an_undisturbed_run_makes(tmp_path, smoke_hashes):
    """One kill of each kind before the pseudo-labels are done, or $KILLS kills up to the report."""
    if "KILLS" in os.environ:
        number, longest, targets = int(os.environ["KILLS"]), 14, ()
    else:
        number, longest, targets = len(KINDS), 3, (SHORT,)
    killed: list[str] = []
    with contextlib.ExitStack() as counts:
        for name in ("a job", "Snakemake", "both at once"):
            counts.enter_context(counted(f"kill -9 of {name}", number // len(KINDS)))
        for attempt in range(4):
            project = smoke_project(tmp_path / f"disturbed{attempt}")
            killed += disturb(project, smoke_hashes, number - len(killed), longest, *targets)
            results = hashes(project)
            assert results == {name: smoke_hashes[name] for name in results}
            if len(killed) == number:
                break
        assert len(killed) == number
