"""A small server that answers as OpenAI's chat does, late, half, with nonsense, or no more."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import numpy as np
import pytest
from fake_engine import audio_length, said, serve_chat

from slimspeech.engines import server
from slimspeech.engines.chat import request
from slimspeech.engines.server import Server
from slimspeech.errors import InputError, ServerError
from slimspeech.models.prompts import Prompt

PROMPT = Prompt("You translate.", "{source} to {target}:", {})
CLIPS = [np.full(160 * (n + 1), 0.1, np.float32) for n in range(4)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(server, "PAUSES", (0.01, 0.01))


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a server, as serve_chat(), and gives its URL."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(serve_chat(*arguments))


def find(url: str, model: str | None = None, seconds: float = 10) -> Server:
    return Server.find(url, model, seconds=seconds)


def translations(server: Server) -> Iterator[str]:
    return server.translate(CLIPS, PROMPT, "en-de", 64)


def asked() -> list[dict]:
    return [request(c, 16_000, PROMPT, "en-de", model="m", max_new_tokens=64) for c in CLIPS]


def test_translations_come_in_the_order_of_the_clips(serve):
    """Whatever the order in which the answers come."""
    sizes = []

    def answer(number: int, body: dict):
        sizes.append(audio_length(body))
        time.sleep(0.05 * (3 - number))
        return said(f" {body['model']} {audio_length(body)} ")

    texts = list(translations(find(serve(answer))))
    assert texts == [f"m {size}" for size in sorted(sizes)]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_url_may_end_with_v1(serve, suffix):
    url = serve(lambda *_: said("a"))
    assert find(url + suffix).url == f"{url}/v1"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://", "", "/v1"])
def test_another_form_of_address_is_refused(url):
    with pytest.raises(InputError, match="not a URL"):
        find(url)


def test_audio_for_another_machine_is_told(monkeypatch, caplog):
    def refuse(*_, **__):
        raise httpx2.ConnectError("refused")

    monkeypatch.setattr(httpx2, "request", refuse)
    with pytest.raises(ServerError, match="refused"):
        find("https://asr.example")
    assert "the audio is sent to asr.example" in caplog.text


def test_the_model_is_asked_for_by_name(serve):
    several = serve(lambda *_: said("a"), ("a", "b"))
    assert find(several, "b").model == "b"
    with pytest.raises(InputError, match="serves a, b; name one of these with --server-model"):
        find(several)
    with pytest.raises(InputError, match="serves a, b and not c"):
        find(several, "c")


def test_no_server():
    with pytest.raises(ServerError, match="no server answers"):
        find("http://127.0.0.1:9")


def test_a_busy_server_is_asked_again(serve):
    url = serve(lambda number, _: said("a") if number else (503, b"loading"))
    assert next(translations(find(url))) == "a"


def test_a_server_that_dies_loses_no_finished_segment(serve):
    """The clips before the failed one come first."""
    sizes = sorted(audio_length(body) for body in asked())

    def answer(_: int, body: dict):
        return said("a") if audio_length(body) in sizes[:2] else (500, b"died")

    texts = translations(find(serve(answer)))
    assert [next(texts), next(texts)] == ["a", "a"]
    with pytest.raises(ServerError, match="500 .died."):
        next(texts)


def test_a_late_answer(serve):
    def answer(*_):
        time.sleep(0.3)
        return said("a")

    with pytest.raises(ServerError, match=r"no answer within 0.05 s.*--server-timeout"):
        next(translations(find(serve(answer), seconds=0.05)))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b'{"choices": [{"mess', "not JSON"),
        (200, b"<html>a proxy's page</html>", "not JSON .*proxy"),
        (200, b"{}", "no translation"),
        (404, b'{"error": {"message": "The model `m` does not exist."}}', "m. does not exist"),
        (400, b'{"object": "error", "message": "too long"}', "refuses .* too long"),
    ],
)
def test_bad_answers_are_told_in_one_sentence(serve, status, body, words):
    with pytest.raises(ServerError, match=words) as error:
        next(translations(find(serve(lambda *_: (status, body)))))
    assert "\n" not in str(error.value)
