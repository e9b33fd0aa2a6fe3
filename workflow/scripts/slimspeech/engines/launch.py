"""Start vLLM's server on this machine, for as long as it is needed."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx2

from slimspeech.engines import MODEL
from slimspeech.engines.vllm import DTYPES, SETTINGS, reason, warn_of_version
from slimspeech.errors import InputError
from slimspeech.processes import end_with_parent, free_port

logger = logging.getLogger(__name__)

# That of a checkout, made by `make .venv-vllm/installed`.
PYTHON = Path(__file__).resolve().parents[4] / ".venv-vllm" / "bin" / "python"
START_SECONDS = 900
STOP_SECONDS = 30


@contextmanager
def vllm_server(export: str | Path, precision: str, python: str | None = None) -> Iterator[str]:
    """The URL of a server with an exported model, on the loopback, until the context is closed.

    precision: "bf16" or "fp32". python: the interpreter of vLLM's environment; None: that of the
    checkout, or this one. Raises InputError if vLLM is not installed, or does not run the model.
    """
    if not (Path(export) / "config.json").is_file():
        raise InputError(
            f"{export}: no model there; give --export the folder of an export, such as "
            "results/…/students/A/export/int8 (docs/publish.md)"
        )
    port = free_port("127.0.0.1")
    command = [
        *(_interpreter(python), "-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--model", str(export), "--served-model-name", MODEL),
        *("--dtype", DTYPES[precision], "--enforce-eager"),
    ]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env=SETTINGS | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # If this program is killed, the engine must not stay with its gigabytes.
            preexec_fn=partial(end_with_parent, signal.SIGTERM),
        )
        try:
            logger.info("starting vLLM with %s, which takes a minute or more", export)
            if not _is_ready(process, url):
                log.seek(0)
                why = reason(log.read().decode(errors="replace"), process.poll())
                raise InputError(f"{export}: vLLM does not run it: {why}")
            warn_of_version(httpx2.get(f"{url}/version", timeout=5).json()["version"])
            yield url
        finally:
            _stop(process)


def _interpreter(python: str | None) -> str:
    """Raises InputError if vLLM is not installed."""
    if python is not None:
        if path := shutil.which(python):
            return path
        raise InputError(f"--engine-python {python}: no such program; give vLLM's interpreter")
    if (PYTHON.parents[1] / "installed").is_file():
        return str(PYTHON)
    if find_spec("vllm") is not None:
        return sys.executable
    raise InputError(
        "--engine vllm: vLLM is not installed; run `make .venv-vllm/installed` where slimspeech "
        "was cloned, or name the interpreter of its environment with --engine-python"
    )


def _is_ready(process: subprocess.Popen, url: str) -> bool:
    """Whether the server answers; False if it ended, or has not answered in START_SECONDS."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx2.get(f"{url}/health", timeout=5).status_code == 200:
                return True
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    return False


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
