"""The exports in real vLLM: offline, and behind its OpenAI server."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import torch
from project import REPOSITORY

from slimspeech.artifacts import read_json, read_jsonl, write_jsonl
from slimspeech.engines.server import Server
from slimspeech.evaluation.parity import describe, require_parity

PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"
SCRIPTS = REPOSITORY / "workflow" / "scripts"
ALONE = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (REPOSITORY / ".venv-vllm" / "installed").is_file(),
        reason="vLLM is not installed: `make .venv-vllm/installed`",
    ),
]


def run(script: str, directory: Path, requests: Path, log: Path, *options: str) -> None:
    """A script of a rule, in vLLM's environment."""
    command = [PYTHON, SCRIPTS / script, "--model", directory, "--requests", requests]
    command += ["--precision", "fp32", "--threads", "1", "--log", log, *options]
    done = subprocess.run(command, env=os.environ | ALONE, cwd=REPOSITORY)
    assert done.returncode == 0, log.read_text()[-3000:]


@pytest.fixture
def asked(requests, tmp_path) -> Path:
    write_jsonl(tmp_path / "requests.jsonl", requests)
    return tmp_path / "requests.jsonl"


@pytest.mark.parametrize(
    ("form", "equal", "threshold"),
    [
        ("bf16", 19, 1),
        ("int8", 5, 30),
        pytest.param(
            *("w4a16", 5, 30),
            marks=pytest.mark.skipif(
                torch.backends.cpu.get_cpu_capability() != "AVX512",
                reason="vLLM multiplies with 4 bits on CPUs with AVX-512 alone",
            ),
        ),
    ],
)
def test_vllm_gives_our_words(form, equal, threshold, exports, asked, compare, tmp_path):
    """All but a word in bfloat16's weights; in 8 and 4 bits more differ, of a model this small."""
    answers, engine = tmp_path / "answers", tmp_path / "engine"
    run(
        *("run_vllm.py", exports[form], asked, tmp_path / "log"),
        *("--answers", answers, "--engine", engine),
    )
    ran = read_json(engine)
    assert ran["engine"] == "vLLM" and ran["version"].startswith("0.32")
    parity = compare(ran, form, read_jsonl(answers))
    print(describe(parity), json.dumps(parity))
    require_parity(parity, threshold)
    assert parity["other_prompts"] == 0
    assert parity["equal"] >= equal


def test_the_cost_of_vllm_is_measured(exports, asked, tmp_path):
    """Of four clips, one after the other and all at once."""
    options = ["--clips", "4", "--repeats", "1", "--batch-sizes", "4", "--cost", tmp_path / "cost"]
    run("measure_engine_cost.py", exports["int8"], asked, tmp_path / "log", *options)
    cost = read_json(tmp_path / "cost")
    assert cost["engine"] == "vLLM" and cost["clips"] == 4
    assert 4 < cost["audio_seconds"] < 24
    assert [batch["batch_size"] for batch in cost["batches"]] == [1, 4]
    assert all(batch["tokens_per_second"]["median"] > 0 for batch in cost["batches"])
    assert sum(batch["best"] for batch in cost["batches"]) == 1


@pytest.fixture(scope="module")
def served(exports) -> Iterator[str]:
    """The URL of vLLM's server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", exports["bf16"], "--served-model-name", "student"]
    command += ["--dtype", "float32", "--enforce-eager"]
    log = exports["bf16"].parent / "server.log"
    alone = ALONE | {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=os.environ | alone, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(900):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                if httpx2.get(f"{url}/health", timeout=5).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_vllms_server_gives_our_words(served, clips, requests, own, prompt):
    server = Server.find(served, seconds=300)
    assert server.model == "student"
    pair, limit = clips[0].pair, requests[0]["body"]["max_tokens"]
    texts = list(server.translate([clip.audio for clip in clips], prompt, pair, limit))
    assert sum(text == row["hypothesis"] for text, row in zip(texts, own, strict=True)) >= 19
