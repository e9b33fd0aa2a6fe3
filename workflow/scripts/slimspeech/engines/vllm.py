"""Run vLLM on a file of requests. This runs in vLLM's own environment."""

import importlib.metadata
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from slimspeech.artifacts import Row
from slimspeech.engines import MODEL
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

# The line of vLLM's log that says why it ended: the last one that names an error.
REASON = re.compile(r"\b((?:\w+\.)*\w*(?:Error|Exception): .+)")
DEAD = "EngineCore encountered an issue"  # in place of answers, after which vLLM ends with code 0
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
TRIED = "0.32"  # the version that docs/publish.md is about
SETTINGS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "4",  # GB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the job has a number of threads, not certain cores
}


def run_batch(
    model: str | Path, requests: str | Path, answers: str | Path, precision: str, log: str | Path
) -> Row:
    """Let vLLM answer a batch, and return what ran: engine, version, device and dtype.

    precision: "bf16" or "fp32". log: where this process and vLLM write to. Raises
    InputError with vLLM's reason if it does not start or ends early.
    """
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.launchers.run_batch"),
        *("-i", str(requests), "-o", str(answers)),
        *("--model", str(model), "--served-model-name", MODEL),
        *("--dtype", DTYPES[precision], "--enforce-eager"),
    ]
    start = Path(log).stat().st_size
    code = subprocess.run(command, env=SETTINGS | os.environ).returncode
    if code or not Path(answers).exists() or DEAD in Path(answers).read_text("utf-8"):
        written = Path(log).read_bytes()[start:].decode(errors="replace")
        raise InputError(f"{model}: vLLM does not run it: {reason(written, code)}")
    return describe(precision)


def describe(precision: str) -> Row:
    """What runs: engine, version, device and dtype. Warns of a version that was not tried."""
    [distribution, *_] = importlib.metadata.packages_distributions()["vllm"]
    version = importlib.metadata.version(distribution)
    warn_of_version(version)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {"engine": "vLLM", "version": version, "device": name, "dtype": DTYPES[precision]}


def warn_of_version(version: str) -> None:
    if not version.startswith(f"{TRIED}."):
        logger.warning("vLLM %s was not tried, only %s; look at the parity file", version, TRIED)


def reason(log: str, code: int | None) -> str:
    """Why vLLM ended, in one sentence. code: None if it has not ended."""
    if code in (-9, 137):
        return "it was killed, probably because memory ran out; give the job more"
    told_after = ("Engine core init", DEAD)
    lines = [m[1] for m in REASON.finditer(log) if not any(words in m[1] for words in told_after)]
    if lines:
        return lines[-1][:300]
    return "it does not answer" if code is None else f"it ended with code {code}"
