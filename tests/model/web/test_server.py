"""`slimspeech serve` as a process, with real models, and its page in a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import httpx2
import numpy as np
import pytest
from browsing import wait_for, watched
from project import REPOSITORY

from slimspeech.artifacts import read_json
from slimspeech.data.audio import write_wav
from slimspeech.longform.translator import Translator
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech_mini.speech import Voice, speak

BASE = REPOSITORY / "resources" / "mini" / "base"
SENTENCES = [
    "We remove one layer after another.",
    "Thank you for listening.",
    "Our model is small.",
    "This is a talk about speech translation.",
    "We use a new data set.",
]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The mini base model without half its decoder layers."""
    directory = tmp_path_factory.mktemp("served") / "small"
    layers = read_json(BASE / "config.json")["text_config"]["num_hidden_layers"]
    prune_checkpoint(BASE, directory, list(range(0, layers, 2)))
    return directory


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    voice = Voice("en-us+m2", rate=165, pitch=40, range=50)
    for number, text in enumerate(SENTENCES):
        write_wav(folder / f"{number}.wav", speak(text, voice))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def talk(clips, tmp_path_factory) -> Path:
    """Three sentences with long pauses, so that each is a segment."""
    import soundfile

    pause = np.zeros(3 * 16_000, dtype=np.float32)
    parts = [part for clip in clips[:3] for part in (soundfile.read(clip)[0], pause)]
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    write_wav(path, np.concatenate(parts))
    return path


def start(*arguments: str | Path, folder: Path | None = None) -> tuple[subprocess.Popen, str]:
    """A server and its address."""
    paths = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    server = subprocess.Popen(
        [sys.executable, "-m", "slimspeech", "serve", *map(str, arguments), "--port", "0"],
        env=paths | ({"TMPDIR": str(folder)} if folder else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in server.stdout:
        lines.append(line)
        if match := re.match(r"Open (http://127\.0\.0\.1:\d+/) in a browser", line):
            return server, match[1]
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def url(small):
    options = ["--to", "de", "--threads", "1", "--max-queue", "10"]
    server, address = start(BASE, small, *options)
    yield address
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=120)


def translated(url: str, clip: Path, name: str) -> dict:
    with httpx2.Client(base_url=url, timeout=300) as client, clip.open("rb") as file:
        answer = client.post(
            "api/jobs", data={"models": "en-de-small"}, files={"file": (name, file)}
        )
        assert answer.status_code == 202, answer.text
        job = f"api/jobs/{answer.json()['id']}"
        with client.stream("GET", f"{job}/events") as events:
            streamed = [json.loads(line[6:]) for line in events.iter_lines() if line[:5] == "data:"]
        finished = client.get(job).json()
    return finished | {"streamed": [event for event in streamed if "text" in event]}


def test_fifty_requests_in_ten_streams_are_all_answered(url, small, clips):
    translator = Translator.load(small, "de")
    expected = {clip: [asdict(part) for part in translator.translate(clip)] for clip in clips}
    assert len({part["text"] for [part] in expected.values()}) == len(clips)
    requests = [(clips[n % len(clips)], f"{n}.wav") for n in range(50)]
    with ThreadPoolExecutor(10) as streams:
        answers = list(streams.map(lambda request: translated(url, *request), requests))
    assert len({answer["id"] for answer in answers}) == 50
    for (clip, name), answer in zip(requests, answers, strict=True):
        [model] = answer["models"]
        assert (answer["name"], answer["state"]) == (name, "done")
        assert model["segments"] == expected[clip]
        assert [e["text"] for e in answer["streamed"]] == [s["text"] for s in expected[clip]]


def test_two_models_are_compared_in_a_browser(browser, url, talk, small):
    page = watched(browser.new_page(viewport={"width": 1280, "height": 900}))
    page.goto(url)
    page.wait_for_selector("#models input")
    assert page.locator("#models strong").all_inner_texts() == ["base", "small"]
    page.set_input_files("#file", talk)
    page.click("#translate")
    wait_for(page, lambda: page.inner_text("#status") == "Done.", seconds=200)
    columns = {
        name: page.locator(f"#segments td:nth-child({number})").all_inner_texts()
        for number, name in ((2, "base"), (3, "small"))
    }
    for name, directory in (("base", BASE), ("small", small)):
        expected = [part.text for part in Translator.load(directory, "de").translate(talk)]
        assert len(expected) == 3
        assert columns[name] == expected
    assert page.locator("#segments mark").count() > 0

    page.locator("#segments button").nth(1).click()
    playing = page.locator("#segments tr.playing")
    wait_for(page, lambda: playing.count() == 1)
    assert columns["base"][1] in playing.inner_text()

    with page.expect_download() as downloading:
        page.get_by_role("link", name="srt of base").click()
    assert downloading.value.suggested_filename == "talk.en-de-base.srt"
    subtitles = Path(downloading.value.path()).read_text(encoding="utf-8")
    cues = [cue.split("\n", 2) for cue in subtitles.strip().split("\n\n")]
    assert re.fullmatch(r"00:00:0\d,\d{3} --> 00:00:0\d,\d{3}", cues[0][1])
    assert " ".join(cue[2].replace("\n", " ") for cue in cues) == " ".join(columns["base"])
    assert page.messages == []
    page.close()


def test_ctrl_c_stops_the_server_cleanly_during_work(small, talk, tmp_path):
    server, url = start(small, "--to", "de", folder=tmp_path)
    with httpx2.Client(base_url=url, timeout=300) as client:
        with talk.open("rb") as file:
            sent = {"data": {"models": "en-de-small"}, "files": {"file": file}}
            job = client.post("api/jobs", **sent).json()["id"]
        assert len(list(tmp_path.iterdir())) >= 1
        with client.stream("GET", f"api/jobs/{job}/events") as events:
            lines = events.iter_lines()
            next(lines)
            server.send_signal(signal.SIGINT)
            rest = list(lines)
    assert "event: end" in rest
    output, _ = server.communicate(timeout=120)
    assert server.returncode == 0
    assert "Traceback" not in output
    assert not list(tmp_path.glob("slimspeech-serve-*"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "nowhere: no such directory"),
        ([str(BASE)], "give --to"),
        ([str(BASE), str(BASE), "--to", "de"], "given 2 times"),
        ([str(BASE), "--to", "de", "--host", "192.0.2.1"], "192.0.2.1, port 0: cannot listen"),
        ([str(BASE), "--to", "de", "--max-minutes", "0"], "0 is not above 0"),
    ],
)
def test_a_model_that_cannot_be_served_gets_a_message(arguments, message, capsys):
    from slimspeech.cli import main

    assert main(["serve", *arguments, "--port", "0"]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
