"""An engine that is started and stopped: a small server in place of vLLM's, whole and broken."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from slimspeech.cli.options import started_engine
from slimspeech.engines import launch
from slimspeech.engines.launch import vllm_server
from slimspeech.engines.vllm import run_batch
from slimspeech.errors import InputError

# In place of vllm.entrypoints.openai.api_server: answers with its own options.
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"version": VERSION, "options": sys.argv[1:], "pid": os.getpid()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

port = int(sys.argv[sys.argv.index("--port") + 1])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def engine(tmp_path) -> Callable[[str], str]:
    """Makes a Python whose vLLM's server is the program given."""

    def make(program: str) -> str:
        folder = tmp_path / "packages" / "vllm" / "entrypoints" / "openai"
        folder.mkdir(parents=True)
        (folder / "api_server.py").write_text(program)
        python = tmp_path / "python"
        python.write_text(
            f'#!/bin/sh\nPYTHONPATH={tmp_path / "packages"} exec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
        return str(python)

    return make


@pytest.fixture
def export(tmp_path) -> Path:
    folder = tmp_path / "int8"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_engine_runs_as_long_as_it_is_needed(engine, export):
    python = engine(f"VERSION = '0.32.0'{SERVER}")
    with vllm_server(export, "fp32", python) as url:
        answer = json.loads(httpx2.get(url).text)
        assert runs(answer["pid"])
    assert not runs(answer["pid"])
    options = answer["options"]
    for name, value in {
        "--host": "127.0.0.1",
        "--model": str(export),
        "--served-model-name": "student",
        "--dtype": "float32",
    }.items():
        assert options[options.index(name) + 1] == value


def test_the_engine_stops_after_an_error_too(engine, export):
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117 (the server's own context)
        with vllm_server(export, "fp32", engine(f"VERSION = '0.32.0'{SERVER}")) as url:
            pid = json.loads(httpx2.get(url).text)["pid"]
            raise ZeroDivisionError
    assert not runs(pid)


def test_a_version_that_was_not_tried_is_told(engine, export, caplog):
    with vllm_server(export, "fp32", engine(f"VERSION = '0.99.1'{SERVER}")):
        assert "vLLM 0.99.1 was not tried" in caplog.text


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise ValueError('quantization: bitsandbytes is not supported')", "bitsandbytes is not"),
        ("import os; os.kill(os.getpid(), 9)", "memory ran out"),
        ("import sys; sys.exit(3)", "code 3"),
    ],
)
def test_an_engine_that_does_not_start_says_why(program, words, engine, export):
    with pytest.raises(InputError, match=f"does not run it: .*{words}"):  # noqa: SIM117
        with vllm_server(export, "fp32", engine(program)):
            pass


def test_an_engine_that_never_answers_is_stopped(engine, export, monkeypatch):
    monkeypatch.setattr(launch, "START_SECONDS", 0.3)
    with pytest.raises(InputError, match="does not answer"):  # noqa: SIM117
        with vllm_server(export, "fp32", engine("import time; time.sleep(60)")):
            pass


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise ValueError('no packed_modules_mapping found')", "no packed_modules_mapping"),
        # It writes this in place of answers, and ends well.
        (
            "import os\nopen('answers', 'w').write('EngineCore encountered an issue')\n"
            "print('AttributeError: cpu_gemm_wna16')",
            "cpu_gemm_wna16",
        ),
        ("import os; os.kill(os.getpid(), 9)", "memory ran out"),
    ],
)
def test_a_batch_that_vllm_refuses_says_why(program, words, tmp_path, monkeypatch):
    launchers = tmp_path / "packages" / "vllm" / "entrypoints" / "launchers"
    launchers.mkdir(parents=True)
    log = tmp_path / "log"
    log.write_text("RuntimeError: of an earlier try\n")
    to_log = f"import sys\nsys.stdout = sys.stderr = open({str(log)!r}, 'a')\n"
    (launchers / "run_batch.py").write_text(to_log + program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"does not run it: .*{words}"):
        run_batch("int8", "requests", "answers", "fp32", log)


def options(export: Path | None, python: str | None = None) -> Namespace:
    return Namespace(engine="vllm", export=export, engine_python=python, precision="fp32")


def test_no_engine(export, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "PYTHON", tmp_path / "bin" / "python")
    with pytest.raises(InputError, match=r"not installed.*make \.venv-vllm/installed"):  # noqa: SIM117
        with started_engine(options(export)):
            pass
    with pytest.raises(InputError, match="no such program"):  # noqa: SIM117
        with started_engine(options(export, str(tmp_path / "missing"))):
            pass


def test_an_engine_needs_an_export(tmp_path):
    with pytest.raises(InputError, match="--export"):  # noqa: SIM117
        with started_engine(options(None)):
            pass
    with pytest.raises(InputError, match="no model there"):  # noqa: SIM117
        with started_engine(options(tmp_path)):
            pass
    with pytest.raises(InputError, match="--engine vllm"):  # noqa: SIM117
        with started_engine(Namespace(engine=None, export="x")):
            pass
