"""A real Slurm on this machine, each node with two made-up GPUs, for as long as a test needs it.

Debian: apt-get install slurm-wlm munge. Run as root. Sockets, keys and spools are in one folder.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

# Arguments of Snakemake: as a user's, but that it asks after its jobs more often.
BY_SLURM = (
    *("--profile", "profiles/slurm"),
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--max-status-checks-per-second", "10"),
    *("--latency-wait", "5"),
)
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# Memory and cores are what the rules ask for, not what the machine has: the jobs are small.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=600
KillWait=5
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} "
    "RealMemory=200000 Gres=gpu:2 State=UNKNOWN"
)


@dataclass(frozen=True)
class Cluster:
    folder: Path
    environment: dict[str, str]

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Slurm's commands, and what is started meanwhile, speak to this cluster."""
        with mock.patch.dict(os.environ, self.environment):
            yield

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints; subprocess.CalledProcessError if it fails."""
        with self.in_use():
            return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def completed(self) -> list[str]:
        """Slurm's own record, a line for each time that a job ended."""
        return (self.folder / "completed.txt").read_text().splitlines()


def why_not() -> str | None:
    """Why no cluster can be started here."""
    # Debian puts daemons where only root's PATH looks.
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"no {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "only root may start Slurm's daemons"


@contextmanager
def slurm_cluster(folder: Path, cores: int, nodes: int = 1) -> Iterator[Cluster]:
    """Jobs of the partition `urgent` preempt those of `main`, which go back into the queue.

    nodes: each a slurmd of this machine with so many cores.
    Raises RuntimeError if Slurm does not start.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    controller, *daemons = _free_ports(1 + nodes)
    names = [f"node{number}" for number in range(1, 1 + nodes)]
    lines = [
        NODE.format(name=name, host=host, port=port, cores=cores)
        for name, port in zip(names, daemons, strict=True)
    ]
    places = {"host": host, "folder": folder, "controller": controller}
    (folder / "slurm.conf").write_text(CONFIG.format(nodes="\n".join(lines), **places))
    # Any device file passes for a GPU.
    gpus = [f"Name=gpu File={device}" for device in ("/dev/zero", "/dev/full")]
    (folder / "gres.conf").write_text("\n".join(gpus) + "\n")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    # The plugin takes SLURM_CONF from the environment of job steps, since a cluster's configuration
    # is where Slurm looks by itself.
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(
        f'#!/bin/sh\nSLURM_CONF="{folder}/slurm.conf" exec "{shutil.which("srun")}" "$@"\n'
    )
    srun.chmod(0o755)
    path = os.pathsep.join([str(srun.parent), _path()])
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    commands = [
        [
            "munged",
            "--foreground",
            "--force",
            f"--socket={folder}/munge.socket",
            f"--key-file={key}",
            f"--pid-file={folder}/munge.pid",
            f"--log-file={folder}/munge.log",
            f"--seed-file={folder}/munge.seed",
        ],
        ["slurmctld", "-D", "-i"],
        *(["slurmd", "-D", "-N", name] for name in names),
    ]
    running = []
    try:
        for number, command in enumerate(commands):
            with open(folder / f"{number}-{command[0]}.out", "wb") as log:
                running.append(
                    subprocess.Popen(
                        command, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT
                    )
                )
            time.sleep(0.5)
        _wait_until_idle(folder, environment)
        yield Cluster(folder, environment)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    state = ""
    for _ in range(60):
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        state = done.stdout.strip() or done.stderr.strip()
        if state == "idle":
            return
        time.sleep(0.5)
    logs = "".join(path.read_text(errors="replace")[-1500:] for path in folder.glob("*.log"))
    raise RuntimeError(f"Slurm did not start: {state}\n{logs}")
