"""`slimspeech push` as a user runs it, against a small Hub on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import project
import pytest
from fake_hub import COMMIT, TOKEN, serve_store
from made_release import made_packed, made_release

SCRIPTS = project.REPOSITORY / "workflow" / "scripts"
REPOSITORY = "somebody/student-b"


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    packed = made_packed(tmp_path_factory.mktemp("made"))
    (packed / "tokenizer_config.json").write_text("{}")
    return made_release(packed)


def slimspeech(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "slimspeech", *arguments],
        env=clean | {"PYTHONPATH": str(SCRIPTS)} | offline | environment,
        capture_output=True,
        text=True,
    )


def test_a_release_is_pushed_and_its_address_is_printed(release):
    with serve_store() as (url, store):
        arguments = ("push", str(release), "--repo", REPOSITORY, "--private")
        finished = slimspeech(*arguments, HF_ENDPOINT=url, HF_TOKEN=TOKEN)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout == f"{url}/{REPOSITORY} (commit {COMMIT})\n"
        assert store.private == {REPOSITORY: True}
        weights = (release / "model.safetensors").read_bytes()
        assert store.files[f"{REPOSITORY}@main"]["model.safetensors"] == weights
        assert TOKEN not in finished.stdout + finished.stderr


def test_a_dry_run_needs_neither_token_nor_network(release):
    finished = slimspeech("push", str(release), "--repo", REPOSITORY, "--dry-run")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"To {REPOSITORY}, branch main; public if it is new:" in finished.stdout
    assert "12.80 kB  LFS" in finished.stdout
    assert finished.stdout.endswith("Nothing was sent (--dry-run).\n")


def test_an_error_is_one_line(release, tmp_path):
    with serve_store() as (url, store):
        store.refusals = {"/preupload/": 403}
        cases = {
            "HF_TOKEN is not set": ("push", str(release), "--repo", REPOSITORY),
            "no release": ("push", str(tmp_path), "--repo", REPOSITORY, "--dry-run"),
            "name it as owner/name": ("push", str(release), "--repo", "student", "--dry-run"),
            "may not write": ("push", str(release), "--repo", REPOSITORY, "--quiet"),
        }
        for message, arguments in cases.items():
            token = {"HF_TOKEN": TOKEN} if "write" in message else {}
            finished = slimspeech(*arguments, HF_ENDPOINT=url, **token)
            assert (finished.returncode, finished.stdout) == (2, ""), message
            [line] = [text for text in finished.stderr.splitlines() if "B/s]" not in text]
            assert line.startswith("slimspeech: error: ") and message in line
            assert TOKEN not in finished.stderr


def test_the_token_is_no_option():
    finished = slimspeech("push", "--help")
    assert finished.returncode == 0
    assert "--token" not in finished.stdout and "HF_TOKEN" in finished.stdout
