"""A talk by a server in place of a loaded model, whole, and with a server that dies."""

import json
from pathlib import Path

import pytest
import soundfile
from fake_engine import audio_length, said, serve_chat
from tiny_model import Loud, lay_out

from slimspeech.cli.main import main
from slimspeech.data.audio import read_audio
from slimspeech.engines import server
from slimspeech.longform import segmentation


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(segmentation, "SileroDetector", Loud)
    monkeypatch.setattr(server, "PAUSES", (0.01,))


@pytest.fixture
def talk(rows, tmp_path) -> Path:
    """Three clips of 1.5, 0.5 and 2.5 s with pauses."""
    german = [row for row in rows if row["pair"] == "en-de"]
    path = tmp_path / "talk.wav"
    soundfile.write(path, lay_out([read_audio(row["audio"]) for row in german]), 16_000)
    return path


def seconds(body: dict) -> float:
    """Of the audio in a request, from its length in base64, 16 bits a sample."""
    return round(audio_length(body) * 3 / 4 / 32_000, 1)


def test_the_server_translates_the_segments(talk, trained, capsys):
    """Prompt and languages are those of the directory."""
    asked = []

    def answer(_: int, body: dict):
        asked.append(body)
        return said(f"{seconds(body)} s")

    with serve_chat(answer) as url:
        command = ["translate", str(talk), "--model", trained[0], "--to", "de", "--server", url]
        assert main(command) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines == ["1.6 s", "0.6 s", "2.6 s", ""]
    for body in asked:
        system, user = body["messages"]
        assert system["content"] == "You are a professional translator."
        assert user["content"][1]["text"] == "Translate the English speech into German:"
        assert body["max_tokens"] == 256


@pytest.mark.parametrize("form", ["txt", "json"])
def test_what_a_dying_server_translated_is_kept(form, talk, trained, tmp_path, capsys):
    """The last of three segments fails, whatever the order of the requests."""

    def answer(_: int, body: dict):
        return (500, b"died") if seconds(body) > 2 else said(f"{seconds(body)} s")

    folder = tmp_path / "texts"
    with serve_chat(answer) as url:
        status = main(
            ["translate", str(talk), "-m", trained[0], "--to", "de", "--server", url]
            + ["-o", str(folder), "-f", form]
        )
    assert status == 1
    assert "500" in capsys.readouterr().err
    [file] = folder.iterdir()
    assert file.name == f"talk.unfinished.{form}"
    text = file.read_text(encoding="utf-8")
    kept = json.loads(text)["text"].split(" s") if form == "json" else text.split(" s\n")
    assert [part.strip() for part in kept] == ["1.6", "0.6", ""]


def test_a_server_that_is_not_there(talk, trained, capsys):
    command = ["translate", str(talk), "-m", trained[0], "--to", "de"]
    assert main([*command, "--server", "http://127.0.0.1:9"]) == 2
    assert "no server answers" in capsys.readouterr().err
