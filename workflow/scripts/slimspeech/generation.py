"""Translate manifest rows: batched, greedy, and the same whatever the order of the rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.audio import chunks, read_audio
from slimspeech.collation import Collator, window_seconds
from slimspeech.languages import WRITTEN_WITHOUT_SPACES, target_code
from slimspeech.prompts import END_OF_TURN, Prompt
from slimspeech.qwen2audio import device_name


@dataclass(frozen=True)
class GenerationSettings:
    """Greedy decoding, as published (paper, section 4), with a cap that excludes the prompt."""

    batch_size: int
    max_new_tokens: int
    precision: str = "fp32"


@dataclass(frozen=True)
class _Clip:
    row: int
    pair: str
    audio: np.ndarray


def translate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    settings: GenerationSettings,
    progress: str = "translate",
) -> list[str]:
    """One hypothesis a row, in the order of the rows.

    A clip longer than the model's window is cut at its quietest points near equal parts, each
    translated by itself and the parts joined. Clips are batched by length to waste less padding.
    """
    collator = Collator(processor, prompt)
    rate = processor.feature_extractor.sampling_rate
    window = window_seconds(processor)
    clips = [
        _Clip(number, row["pair"], part)
        for number, row in enumerate(rows)
        for part in chunks(read_audio(row["audio"], rate), window, rate)
    ]
    longest_first = sorted(range(len(clips)), key=lambda i: -len(clips[i].audio))
    parts: dict[int, str] = {}
    with tqdm(total=len(clips), desc=progress, unit="clip") as bar:
        for start in range(0, len(clips), settings.batch_size):
            batch = longest_first[start : start + settings.batch_size]
            texts = _generate(model, collator, [clips[i] for i in batch], settings)
            parts |= zip(batch, texts, strict=True)
            bar.update(len(batch))
    hypotheses: list[list[str]] = [[] for _ in rows]
    for number, clip in enumerate(clips):
        hypotheses[clip.row].append(parts[number])
    return [
        ("" if target_code(row["pair"]) in WRITTEN_WITHOUT_SPACES else " ").join(
            filter(None, texts)
        )
        for row, texts in zip(rows, hypotheses, strict=True)
    ]


def translate_timed(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    settings: GenerationSettings,
) -> tuple[list[Row], dict[str, Any]]:
    """Hypothesis rows (id, hypothesis), and what it took: seconds, audio_seconds, clips and where.

    The time covers reading the audio, features and decoding, not loading the model.
    """
    # The first call pays for lazy set-up; it is not the translation's.
    translate(model, processor, rows[:1], prompt, settings, progress="warm up")
    start = time.perf_counter()
    hypotheses = translate(model, processor, rows, prompt, settings)
    seconds = time.perf_counter() - start
    found = [
        {"id": row["id"], "hypothesis": text} for row, text in zip(rows, hypotheses, strict=True)
    ]
    return found, {
        "seconds": seconds,
        "audio_seconds": sum(row["duration"] for row in rows),
        "clips": len(rows),
        "batch_size": settings.batch_size,
        "device": device_name(),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


@torch.inference_mode()
def _generate(
    model: PreTrainedModel, collator: Collator, clips: list[_Clip], settings: GenerationSettings
) -> list[str]:
    tokenizer = collator.processor.tokenizer
    batch = collator.prompts([c.pair for c in clips], [c.audio for c in clips]).to(model.device)
    tokens = model.generate(
        **batch,
        do_sample=False,
        num_beams=1,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=[tokenizer.convert_tokens_to_ids(END_OF_TURN), tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )
    answers = tokens[:, batch["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]
