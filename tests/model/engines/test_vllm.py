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
from tiny_model import make_row

from slimspeech.artifacts import Row, read_json, read_jsonl, write_jsonl
from slimspeech.data.audio import write_wav
from slimspeech.engines.batch import batch, hypotheses, prompts, read_batch
from slimspeech.engines.server import Server
from slimspeech.evaluation.parity import compare_words, describe, require_parity
from slimspeech.generation.embeddings import Clip, read_clips
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_model, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.release.export import export
from slimspeech.release.int8 import round_export
from slimspeech_mini.speech import speak, voices

PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"
BASE = REPOSITORY / "resources" / "mini" / "base"
PAIR = "en-de"
SENTENCES = [
    f"{subject} {verb} the {thing}."
    for subject in ("We", "The researchers", "My colleagues", "You", "They")
    for verb, thing in (
        ("measure", "language model"),
        ("describe", "translation"),
        ("compare", "results"),
        ("train", "system"),
    )
]
LIMIT = 48
ALONE = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (REPOSITORY / ".venv-vllm" / "installed").is_file(),
        reason="vLLM is not installed: `make .venv-vllm/installed`",
    ),
]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> list[Row]:
    """20 clips. Their references are our own words, so our own score is 100."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for number, (text, voice) in enumerate(zip(SENTENCES, voices(0, len(SENTENCES)), strict=True)):
        audio = speak(text, voice)
        write_wav(folder / f"{number}.wav", audio)
        seconds = len(audio) / 16_000
        rows.append(make_row(f"clip-{number}", f"{folder}/{number}.wav", seconds, PAIR, ""))
    return rows


@pytest.fixture(scope="module")
def own(spoken, prompt) -> list[Row]:
    settings = GenerationSettings(batch_size=20, max_new_tokens=LIMIT, precision="fp32")
    model, processor = load_model(BASE, torch.float32), load_processor(BASE)
    texts = translate(model, processor, spoken, prompt, settings)
    assert len(set(texts)) > 10
    return [{"id": row["id"], "hypothesis": text} for row, text in zip(spoken, texts, strict=True)]


@pytest.fixture(scope="module")
def clips(spoken) -> list[Clip]:
    return read_clips(spoken, load_processor(BASE))


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    export(BASE, folder / "bf16")
    round_export(folder / "bf16", folder / "int8")
    return {form: folder / form for form in ("bf16", "int8")}


def run_offline(directory: Path, clips: list[Clip], prompt: Prompt) -> tuple[Row, list[Row]]:
    """By the script of the rule: what ran, and its answers."""
    folder = directory.parent
    files = {name: folder / f"{directory.name}-{name}" for name in ("in", "out", "engine", "log")}
    write_jsonl(files["in"], batch(clips, 16_000, prompt, LIMIT))
    script = REPOSITORY / "workflow" / "scripts" / "run_vllm.py"
    command = [PYTHON, script, "--model", directory, "--requests", files["in"]]
    command += ["--precision", "fp32", "--threads", "1", "--answers", files["out"]]
    command += ["--engine", files["engine"], "--log", files["log"]]
    done = subprocess.run(command, env=os.environ | ALONE, cwd=REPOSITORY)
    assert done.returncode == 0, files["log"].read_text()[-3000:]
    return read_json(files["engine"]), read_jsonl(files["out"])


@pytest.mark.parametrize(("form", "equal", "threshold"), [("bf16", 19, 1), ("int8", 5, 30)])
def test_vllm_gives_our_words(form, equal, threshold, exports, clips, spoken, own, prompt):
    """All but a word in bfloat16's weights; in 8 bits more differ, of a model this small."""
    engine, responses = run_offline(exports[form], clips, prompt)
    assert engine["engine"] == "vLLM" and engine["version"].startswith("0.32")
    asked = prompts(clips, load_processor(BASE), prompt)
    answers = read_batch(responses, len(clips))
    rows = hypotheses(answers, asked, spoken)
    segments = [row | {"target": ours["hypothesis"]} for row, ours in zip(spoken, own, strict=True)]
    parity = engine | {"form": form}
    parity |= compare_words(PAIR, segments, own, rows, answers, asked)
    print(describe(parity), json.dumps(parity))
    require_parity(parity, threshold)
    assert parity["other_prompts"] == 0
    assert parity["equal"] >= equal


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


def test_vllms_server_gives_our_words(served, clips, own, prompt):
    server = Server.find(served, seconds=300)
    assert server.model == "student"
    texts = list(server.translate([clip.audio for clip in clips], prompt, PAIR, LIMIT))
    assert sum(text == row["hypothesis"] for text, row in zip(texts, own, strict=True)) >= 19
