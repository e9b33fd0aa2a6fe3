"""A small server on this machine that answers as OpenAI's chat does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from fake_hub import HubHandler, serve

# Status and body of an answer, by the number of the request and its body.
Answer = Callable[[int, dict], tuple[int, bytes]]


def said(text: str) -> tuple[int, bytes]:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return 200, json.dumps({"choices": [choice]}).encode()


def audio_length(body: dict) -> int:
    """Of the audio in a request: which clip it is."""
    return len(body["messages"][1]["content"][0]["input_audio"]["data"])


@contextmanager
def serve_chat(answer: Answer, models: tuple[str, ...] = ("m",)) -> Iterator[str]:
    """The URL of a server that runs as long as the context is open."""
    numbers, lock = count(), threading.Lock()

    class Handler(HubHandler):
        def do_GET(self):
            data = {"data": [{"id": name} for name in models]}
            self.answer(200, json.dumps(data).encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = next(numbers)
            self.answer(*answer(number, body))

    with serve(Handler) as url:
        yield url
