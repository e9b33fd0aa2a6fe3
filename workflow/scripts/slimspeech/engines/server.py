"""A running server with OpenAI's chat, such as vLLM's, asked for translations."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np

from slimspeech.data.audio import SAMPLING_RATE
from slimspeech.engines.chat import error_text, read_answer, request
from slimspeech.errors import InputError, ServerError
from slimspeech.models.prompts import Prompt

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
PAUSES = (1, 4, 15)  # seconds before each further try
BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be another at the next try
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Server:
    """url: up to and with /v1. model: the name that it serves. seconds: how long an answer may
    take. at_once: requests in flight.
    """

    url: str
    model: str
    seconds: float
    at_once: int = 8

    @classmethod
    def find(cls, url: str, model: str | None = None, *, seconds: float) -> "Server":
        """The server at a URL such as http://127.0.0.1:8000, with or without /v1.

        model: the name of one of its models; None: the only one. Raises InputError if the URL has
        another form, no server answers, or the model is not there or not clear.
        """
        server = cls(_base(url), "", seconds)
        body = server._ask("GET", "/models")
        names = [entry["id"] for entry in body["data"]] if _is_list_of_models(body) else []
        if not names:
            raise InputError(f"{server.url}: lists no models ({error_text(body)}); check the URL")
        if model not in names and (model or len(names) > 1):
            raise InputError(
                f"{server.url}: serves {', '.join(names[:5])}"
                f"{f' and not {model}' if model else ''}; name one of these with --server-model"
            )
        return cls(server.url, model or names[0], seconds)

    def translate(
        self, clips: Sequence[np.ndarray], prompt: Prompt, pair: str, max_new_tokens: int
    ) -> Iterator[str]:
        """The translations of 16 kHz mono clips, in their order, each as soon as it is there.

        Raises ServerError at the first clip that the server does not translate.
        """
        bodies = [
            request(
                clip,
                SAMPLING_RATE,
                prompt,
                pair,
                model=self.model,
                max_new_tokens=max_new_tokens,
            )
            for clip in clips
        ]
        with ThreadPoolExecutor(self.at_once) as pool:
            answers = [pool.submit(self._translate, body) for body in bodies]
            try:
                for answer in answers:
                    yield answer.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _translate(self, body: dict[str, Any]) -> str:
        answer = self._ask("POST", "/chat/completions", body)
        try:
            return read_answer(answer).text
        except InputError as error:
            raise ServerError(f"{self.url}: {error}") from error

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON that the server answers with; it is asked again while it is busy or away."""
        problem = ""
        for pause in (0, *PAUSES):
            if pause:
                logger.warning("%s: %s; trying again in %g s", self.url, problem, pause)
                time.sleep(pause)
            timeout = httpx2.Timeout(self.seconds, connect=CONNECT_SECONDS)
            try:
                response = httpx2.request(method, self.url + path, json=body, timeout=timeout)
            except httpx2.TimeoutException:
                problem = f"no answer within {self.seconds:g} s"
                continue
            except httpx2.HTTPError as error:
                problem = f"no server answers ({error or type(error).__name__})"
                continue
            if response.status_code not in BUSY:
                return self._content(response)
            problem = f"it answers {response.status_code} ({_message(response)})"
        raise ServerError(
            f"{self.url}: {problem}; start the server, give another --server, or a longer "
            "--server-timeout"
        )

    def _content(self, response: httpx2.Response) -> Any:
        if response.status_code != 200:
            raise ServerError(
                f"{self.url}: refuses the request with {response.status_code}: {_message(response)}"
            )
        try:
            return response.json()
        except ValueError as error:
            raise ServerError(
                f"{self.url}: its answer is not JSON ({error_text(response.text)}); check the URL"
            ) from error


def _message(response: httpx2.Response) -> str:
    """What a response says, on one line, in JSON or in another form."""
    try:
        return error_text(response.json())
    except ValueError:
        return error_text(response.text)


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--server {url}: not a URL such as http://127.0.0.1:8000; correct it")
    if parts.hostname not in LOOPBACK:
        logger.warning("the audio is sent to %s", parts.hostname)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v1') else f'{path}/v1'}"


def _is_list_of_models(body: Any) -> bool:
    data = body.get("data") if isinstance(body, dict) else None
    return isinstance(data, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in data
    )
