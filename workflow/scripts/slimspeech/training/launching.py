"""Starts the processes of a training: on this machine, or on several nodes of a SLURM job."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from slimspeech.errors import InputError
from slimspeech.processes import end_with_parent, free_port
from slimspeech.training.ranks import OutOfMemory

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parents[2]
# What a process says that lost another one in the middle of a sum, or that the launcher ended then.
LOST = (
    "DistBackendError",
    "DistNetworkError",
    "Connection closed",
    "Connection reset",
    "gloo",
    "SIGTERM",
)


def run_here(module: str, arguments: Sequence[str], count: int) -> None:
    """Run a Python module in so many processes of this machine. One that ends early ends all.

    Raises InputError for fewer GPUs, unless there is none: then the processes share the CPU. Raises
    what the first process raised that failed by itself.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # slow to import
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if torch.cuda.is_available() and torch.cuda.device_count() < count:
        raise InputError(
            f"training.gpus is {count} and the job sees {torch.cuda.device_count()}; lower it, or "
            "tell Snakemake of more (--resources gpu=N)"
        )
    os.environ["PYTHONPATH"] = _path()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        virtual_local_rank=torch.cuda.is_available(),
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        raise cause(error.failures) from None


def run_on_nodes(
    module: str, arguments: Sequence[str], count: int, nodes: int, cpus: int, folder: Path
) -> None:
    """run_here() on several nodes of the SLURM job on whose first node this process is.

    module: runs as slimspeech.training.slurm_task says. cpus: for each process. folder: that all
    nodes see, for the errors of the processes.
    Raises InputError outside of a job of SLURM.
    """
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise InputError(
            f"training.nodes is {nodes} and this is no job of SLURM; run with --profile "
            "profiles/slurm, or set nodes: 1"
        )
    meeting = {"MASTER_ADDR": socket.gethostname(), "MASTER_PORT": str(free_port(""))}
    command = [
        *("srun", f"--nodes={nodes}", f"--ntasks={count}", f"--ntasks-per-node={count // nodes}"),
        *(f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1", "--export=ALL"),
        *(sys.executable, "-m", "slimspeech.training.slurm_task", str(folder), module, *arguments),
    ]
    log.info("%d processes on %d nodes: %s", count, nodes, " ".join(command[:7]))
    # Batch jobs end as a whole; srun that someone runs by hand ends with this process.
    done = subprocess.run(
        command,
        env=os.environ | meeting | {"PYTHONPATH": _path()},
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: end_with_parent(signal.SIGTERM),
    )
    if done.returncode:
        raise _cause_on_nodes(folder, count, done.returncode)


def cause(failures: Mapping[int, Any]) -> Exception:
    """The error of the process that failed by itself; others fail because they lost it.

    failures: by the number of the process, as torch reports them.
    """
    messages = {}
    for number, failure in failures.items():
        message = failure.message
        messages[number] = message["message"] if isinstance(message, dict) else message
    own = [n for n, text in messages.items() if not any(word in text for word in LOST)]
    number = min(own or messages, key=lambda n: (failures[n].timestamp, n))
    name, _, text = messages[number].partition(": ")
    for kind in (InputError, OutOfMemory):
        if name == kind.__name__:
            return kind(text)
    return RuntimeError(f"process {number} of {len(failures)} failed: {messages[number]}")


def _cause_on_nodes(folder: Path, count: int, code: int) -> Exception:
    """cause(), from what the processes have written. code: that of srun."""
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure  # slow to import

    files = {number: folder / f"{number}.json" for number in range(count)}
    failures = {
        number: ProcessFailure(0, 0, code, str(file))
        for number, file in files.items()
        if file.exists()
    }
    if not failures:
        return RuntimeError(f"srun ended with {code}; what SLURM says of it is above")
    found = cause(failures)
    if isinstance(found, RuntimeError) and any(word in str(found) for word in LOST):
        silent = [str(number) for number in files if number not in failures]
        if silent:  # as a process that the system killed
            return RuntimeError(f"process {', '.join(silent)} ended without an error of its own")
    return found


def _path() -> str:
    """PYTHONPATH of a process that imports slimspeech."""
    return os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])])
