"""Translate manifest rows: batched, greedy, and the same whatever the order of the rows."""

import logging
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
from slimspeech.decoding import decode, embed_prompts
from slimspeech.encoder import encode
from slimspeech.languages import WRITTEN_WITHOUT_SPACES, target_code
from slimspeech.prompts import END_OF_TURN, Prompt
from slimspeech.qwen2audio import device_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerationSettings:
    """Greedy decoding, as published (paper, section 4), with a cap that excludes the prompt.

    batch_size: hypotheses decoded at once; halved when memory runs out.
    """

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
    """One hypothesis a row, in the order of the rows. See translate_variants()."""
    kept = range(len(model.get_decoder().layers))
    [hypotheses] = translate_variants(
        model, processor, rows, prompt, settings, kept, [None], progress
    )
    return hypotheses


def translate_variants(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    settings: GenerationSettings,
    kept: Sequence[int],
    missing: Sequence[int | None],
    progress: str = "translate",
) -> list[list[str]]:
    """Hypotheses by variant of the model, each one a row, in the order of the rows.

    kept: the decoder layers that run. missing: for each variant the one of them that it lacks, or
    None. A clip longer than the model's window is cut at its quietest points near equal parts,
    each translated by itself and the parts joined. Clips are batched by length to waste less.
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
    size = max(1, settings.batch_size // len(missing))
    parts: dict[int, list[str]] = {}
    with tqdm(total=len(clips), desc=progress, unit="clip") as bar:
        while len(parts) < len(clips):
            batch = longest_first[len(parts) : len(parts) + size]
            try:
                texts = _generate(
                    model, collator, [clips[i] for i in batch], settings, kept, missing
                )
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size //= 2
                torch.cuda.empty_cache()
                logger.warning("out of memory: going on with %d clips at once", size)
                continue
            parts |= zip(batch, texts, strict=True)
            bar.update(len(batch))
    return [
        _join(rows, [(clip.row, parts[i][variant]) for i, clip in enumerate(clips)])
        for variant in range(len(missing))
    ]


def _join(rows: Sequence[Row], parts: Sequence[tuple[int, str]]) -> list[str]:
    """Put together what belongs to one row: with a space, where the language has them."""
    texts: list[list[str]] = [[] for _ in rows]
    for row, text in parts:
        if text:
            texts[row].append(text)
    return [
        ("" if target_code(row["pair"]) in WRITTEN_WITHOUT_SPACES else " ").join(found)
        for row, found in zip(rows, texts, strict=True)
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
    model: PreTrainedModel,
    collator: Collator,
    clips: list[_Clip],
    settings: GenerationSettings,
    kept: Sequence[int],
    missing: Sequence[int | None],
) -> list[list[str]]:
    """The texts of each clip, one a variant."""
    tokenizer = collator.processor.tokenizer
    batch = collator.prompts([c.pair for c in clips], [c.audio for c in clips]).to(model.device)
    audio = encode(model, batch["input_features"], batch["feature_attention_mask"])
    variants = decode(
        model,
        kept,
        missing,
        embed_prompts(model, batch["input_ids"], audio),
        batch["attention_mask"],
        max_new_tokens=settings.max_new_tokens,
        end_tokens=[tokenizer.convert_tokens_to_ids(END_OF_TURN), tokenizer.eos_token_id],
    )
    texts = [
        [" ".join(text.split()) for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]
        for rows in variants
    ]
    return [list(of_clip) for of_clip in zip(*texts, strict=True)]
