"""Files of requests and answers in the form of OpenAI's batches, which vLLM reads and writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.engines import MODEL
from slimspeech.engines.chat import Answer, error_text, read_answer, request
from slimspeech.errors import InputError
from slimspeech.generation.embeddings import Clip, lengths
from slimspeech.generation.translation import join
from slimspeech.models.prompts import Prompt


def share(rows: Sequence[Row], shard: str | None) -> Sequence[Row]:
    """The rows of a shard such as "2-of-4", one after the other; of None, all."""
    number, count = map(int, (shard or "1-of-1").split("-of-"))
    first, end = (len(rows) * n // count for n in (number - 1, number))
    return rows[first:end]


def batch(
    clips: Sequence[Clip], sampling_rate: int, prompt: Prompt, max_new_tokens: int
) -> list[Row]:
    """A request for each clip, which asks for the prompt's tokens as well."""
    return [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": request(
                clip.audio,
                sampling_rate,
                prompt,
                clip.pair,
                model=MODEL,
                max_new_tokens=max_new_tokens,
            )
            | {"return_token_ids": True},
        }
        for number, clip in enumerate(clips)
    ]


def prompts(clips: Sequence[Clip], processor: ProcessorMixin, prompt: Prompt) -> list[Row]:
    """For each clip the number of its row, its pair, and the tokens of its prompt as ours are."""
    return [
        {
            "row": clip.row,
            "pair": clip.pair,
            "tokens": prompt.ids(processor, clip.pair, count),
        }
        for clip, count in zip(clips, lengths(clips, processor), strict=True)
    ]


def hypotheses(
    answers: Sequence[Answer], asked: Sequence[Row], segments: Sequence[Row]
) -> list[Row]:
    """A row a segment: id, hypothesis. asked: from prompts(), one an answer, parts of one segment
    together.
    """
    silence = np.zeros(0)
    clips = [Clip(row["row"], row["pair"], silence) for row in asked]
    texts = join(clips, [answer.text for answer in answers])
    return [
        {"id": segment["id"], "hypothesis": text}
        for segment, text in zip(segments, texts, strict=True)
    ]


def read_batch(responses: Sequence[Row], count: int) -> list[Answer]:
    """The answers to a batch of `count` requests, in its order.

    Raises InputError with the engine's words for a request that it did not answer.
    """
    answers: dict[str, Answer] = {}
    for response in responses:
        name = response.get("custom_id")
        try:
            answers[name] = read_answer(_body(response))
        except InputError as error:
            raise InputError(f"the engine did not translate clip {name}: {error}") from error
    if missing := [str(n) for n in range(count) if str(n) not in answers]:
        raise InputError(
            f"the engine left out {len(missing)} of {count} clips, such as clip {missing[0]}; "
            "run it again"
        )
    return [answers[str(number)] for number in range(count)]


def _body(response: Row) -> Any:
    """Of a response, or what went wrong, in its place."""
    inner = response.get("response") or {}
    failed = response.get("error") or inner.get("status_code") != 200
    if failed:
        raise InputError(error_text(inner.get("body") or response.get("error")))
    return inner.get("body")
