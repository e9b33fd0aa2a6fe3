"""An export for llama.cpp, and its audio path, which does not give our words: docs/llama-cpp.md."""

import os
import subprocess
from pathlib import Path

import pytest
from project import REPOSITORY

from slimspeech.artifacts import read_json, read_jsonl, write_jsonl
from slimspeech.errors import InputError
from slimspeech.evaluation.parity import describe, require_parity

PYTHON = REPOSITORY / ".venv-gguf" / "bin" / "python"
SCRIPTS = REPOSITORY / "workflow" / "scripts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (REPOSITORY / ".venv-gguf" / "installed").is_file(),
        reason="llama.cpp is not installed: `make .venv-gguf/installed`",
    ),
]


def run(script: str, log: Path, *options: str) -> None:
    command = [PYTHON, SCRIPTS / script, "--log", log, *options]
    done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, cwd=REPOSITORY)
    assert done.returncode == 0, log.read_text()[-3000:]


@pytest.fixture(scope="module")
def converted(exports, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    options = ["--model", exports["bf16"], "--target", folder / "gguf"]
    run("convert_gguf.py", folder / "log", *options)
    return folder / "gguf"


def test_the_files_are_those_of_the_text_model_and_of_the_encoder(converted):
    files = {file.name: file.stat().st_size for file in converted.iterdir()}
    assert files.keys() - {"model-Q4_K_M.gguf"} == {"model-Q8_0.gguf", "mmproj-F16.gguf"}
    assert files.get("model-Q4_K_M.gguf", 0) < files["model-Q8_0.gguf"]
    assert all((converted / name).read_bytes()[:4] == b"GGUF" for name in files)


@pytest.mark.xfail(
    strict=True, raises=InputError, reason="it encodes 30 s of every clip and masks none of them"
)
def test_llama_cpp_gives_our_words(converted, requests, compare, tmp_path):
    write_jsonl(tmp_path / "requests", requests)
    options = ["--model", converted, "--form", "Q8_0", "--threads", "1"]
    options += ["--requests", tmp_path / "requests"]
    options += ["--answers", tmp_path / "answers", "--engine", tmp_path / "engine"]
    run("run_llama_cpp.py", tmp_path / "log", *options)
    parity = compare(read_json(tmp_path / "engine"), "Q8_0", read_jsonl(tmp_path / "answers"))
    print(describe(parity))
    require_parity(parity, 1)
