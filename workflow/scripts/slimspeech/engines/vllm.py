"""Run vLLM on a file of requests. This runs in vLLM's own environment."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from slimspeech.artifacts import Row
from slimspeech.engines import MODEL
from slimspeech.errors import InputError

# The line of vLLM's log that says why it ended: the last one that names an error.
REASON = re.compile(r"\b((?:\w+\.)*\w*(?:Error|Exception): .+)")
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
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
    hardware = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[precision]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.launchers.run_batch"),
        *("-i", str(requests), "-o", str(answers)),
        *("--model", str(model), "--served-model-name", MODEL),
        *("--dtype", dtype, "--enforce-eager"),
    ]
    start = Path(log).stat().st_size
    code = subprocess.run(command, env=SETTINGS | os.environ).returncode
    if code or not Path(answers).exists():
        written = Path(log).read_bytes()[start:].decode(errors="replace")
        raise InputError(f"{model}: vLLM does not run it: {reason(written, code)}")
    [distribution, *_] = importlib.metadata.packages_distributions()["vllm"]
    name = torch.cuda.get_device_name() if hardware.type == "cuda" else "CPU"
    version = importlib.metadata.version(distribution)
    return {"engine": "vLLM", "version": version, "device": name, "dtype": dtype}


def reason(log: str, code: int) -> str:
    """Why vLLM ended, in one sentence."""
    if code in (-9, 137):
        return "it was killed, probably because memory ran out; give the job more"
    lines = [match[1] for match in REASON.finditer(log) if "Engine core init" not in match[1]]
    return lines[-1][:300] if lines else f"it ended with code {code}; the log says more"
