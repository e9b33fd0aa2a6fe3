"""A clip as a request of OpenAI's chat, which serving engines take, and the answer to it."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt

CUT = "length"  # why an answer ended that reached the limit of tokens


@dataclass(frozen=True)
class Answer:
    """A translation. cut: whether the limit of tokens ended it. prompt: the ids of the prompt's
    tokens, with those of the audio, where the engine gives them.
    """

    text: str
    cut: bool
    prompt: list[int] | None


def request(
    audio: np.ndarray,
    sampling_rate: int,
    prompt: Prompt,
    pair: str,
    *,
    model: str,
    max_new_tokens: int,
) -> dict[str, Any]:
    """The body of a request to translate mono samples, shape (samples,), greedily.

    model: the name that the engine serves. Raises InputError for a plain prompt, because engines
    render the messages by the model's chat template.
    """
    if prompt.template == "plain":
        raise InputError(
            "prompt.template: a plain prompt cannot be asked of an engine, which renders the chat "
            "template; translate without an engine"
        )
    return {
        "model": model,
        "temperature": 0,
        "max_tokens": max_new_tokens,
        "messages": [
            *([] if prompt.system is None else [{"role": "system", "content": prompt.system}]),
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": _wav(audio, sampling_rate)},
                    {"type": "text", "text": prompt.request(pair)},
                ],
            },
        ],
    }


def _wav(audio: np.ndarray, sampling_rate: int) -> dict[str, str]:
    """Samples as a wav of 16 bits in base64."""
    file = io.BytesIO()
    soundfile.write(file, audio, sampling_rate, subtype="PCM_16", format="WAV")
    return {"data": base64.b64encode(file.getvalue()).decode("ascii"), "format": "wav"}


def read_answer(body: Any) -> Answer:
    """The answer in the body of a response. Raises InputError if it holds none."""
    try:
        [choice] = body["choices"]
        text, reason = choice["message"]["content"], choice["finish_reason"]
        prompt = body.get("prompt_token_ids")
    except (LookupError, TypeError, ValueError, AttributeError):
        text = reason = prompt = None
    if not isinstance(text, str):
        raise InputError(f"the answer holds no translation: {error_text(body)}")
    return Answer(" ".join(text.split()), reason == CUT, prompt)


def error_text(body: Any) -> str:
    """What an engine says of an error, on one line."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    message = error.get("message", error) if isinstance(error, Mapping) else error
    return " ".join(str(message).split())[:300]
