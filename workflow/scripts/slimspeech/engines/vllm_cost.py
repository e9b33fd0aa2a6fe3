"""The speed of vLLM with an export, in its own environment and in this process."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import soundfile

from slimspeech.artifacts import Row
from slimspeech.engines.vllm import DTYPES, describe
from slimspeech.timing import spread, timed


def measure_vllm(
    model: str | Path,
    requests: Sequence[Row],
    precision: str,
    *,
    repeats: int,
    batch_sizes: Sequence[int],
    threads: int,
) -> Row:
    """The content of an engine's cost.json, except pair, student and form.

    requests: rows of a batch, the clips that are translated. The keys are those of a system's cost:
    seconds are median, low and high over the repeats, after one call that is not counted. vLLM gets
    so many clips at once as a batch has. Weights are loaded once, because an engine that is closed
    does not return all its memory.
    """
    from vllm import LLM, SamplingParams

    llm, load_seconds = timed(
        lambda: LLM(model=str(model), dtype=DTYPES[precision], enforce_eager=True)
    )
    bodies = [request["body"] for request in requests]
    chats = [body["messages"] for body in bodies]
    audio = sum(_seconds(body) for body in bodies)
    settings = SamplingParams(temperature=0, max_tokens=bodies[0]["max_tokens"])

    def translate(size: int) -> int:
        """The number of tokens, those that end a translation included."""
        tokens = 0
        for first in range(0, len(chats), size):
            answers = llm.chat(chats[first : first + size], settings, use_tqdm=False)
            tokens += sum(len(answer.outputs[0].token_ids) for answer in answers)
        return tokens

    batches = []
    for size in sorted({1, *(min(size, len(chats)) for size in batch_sizes)}):
        translate(size)
        runs = [timed(partial(translate, size)) for _ in range(repeats)]
        batches.append(
            {
                "batch_size": size,
                "seconds": spread([seconds for _, seconds in runs]),
                "real_time_factor": spread([seconds / audio for _, seconds in runs]),
                "tokens_per_second": spread([tokens / seconds for tokens, seconds in runs]),
            }
        )
    best = max(batches, key=lambda batch: batch["tokens_per_second"]["median"])
    engine = describe(precision)
    return {
        "engine": engine["engine"],
        "version": engine["version"],
        "device": engine["device"],
        "threads": threads,
        "compute_dtype": engine["dtype"],
        "repeats": repeats,
        "clips": len(chats),
        "audio_seconds": audio,
        "load_seconds": spread([load_seconds]),
        "batches": [{**batch, "best": batch is best} for batch in batches],
    }


def _seconds(body: dict[str, Any]) -> float:
    """Of the audio in a request."""
    [part] = [part for part in body["messages"][-1]["content"] if part["type"] == "input_audio"]
    return soundfile.info(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))).duration
