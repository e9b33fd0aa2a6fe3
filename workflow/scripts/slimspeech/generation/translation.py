"""Translate manifest rows: batched, greedy, and the same whatever the order of the rows."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.generation.embeddings import Clip, lengths, read_clips
from slimspeech.generation.greedy import copies_of_prompts, decode
from slimspeech.languages import WRITTEN_WITHOUT_SPACES, target_code
from slimspeech.models.collation import Collator, listen
from slimspeech.models.decoder import embed_prompts
from slimspeech.models.generation_config import stops
from slimspeech.models.loading import device_name
from slimspeech.models.memory import free_memory
from slimspeech.models.prompts import Prompt

logger = logging.getLogger(__name__)

PROMPT_TOKENS = 64  # room for what surrounds the audio in a prompt
ROWS_CPU, ROWS_GPU = 256, 4096


@dataclass(frozen=True)
class GenerationSettings:
    """Greedy decoding, as published (paper, section 4), with a cap that excludes the prompt.

    batch_size: hypotheses decoded at once, or "auto", as many as the free memory holds; halved
    when memory runs out, or if `fixed` that is an error.
    """

    batch_size: int | str
    max_new_tokens: int
    precision: str
    fixed: bool = False


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
    translated by itself and the parts joined.
    """
    clips = read_clips(rows, processor)
    return translate_clips(model, processor, clips, prompt, settings, progress)


def translate_clips(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    clips: Sequence[Clip],
    prompt: Prompt,
    settings: GenerationSettings,
    progress: str | None = "translate",
) -> list[str]:
    """One hypothesis a row of the clips, which are in memory already; progress None shows none."""
    kept = range(len(model.get_decoder().layers))
    [hypotheses] = translate_variants(
        model, processor, clips, prompt, settings, kept, [None], progress
    )
    return hypotheses


def translate_variants(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    clips: Sequence[Clip],
    prompt: Prompt,
    settings: GenerationSettings,
    kept: Sequence[int],
    missing: Sequence[int | None],
    progress: str | None = "translate",
) -> list[list[str]]:
    """Hypotheses by variant of the model, each one a row of the clips, in the order of the rows.

    clips: with samples or embeddings, those of one row together. kept: the decoder layers that
    run. missing: for each variant the one of them that it lacks, or None. Clips are batched by
    length to waste less; where one clip's variants do not fit together, they are split as well. A
    clip of fewer samples than one audio token has no text.
    """
    if not missing:
        return []
    collator = Collator(processor, prompt)
    tokens = lengths(clips, processor)
    # The model would make up a sentence for a clip in which it hears nothing.
    unheard = [i for i in range(len(clips)) if tokens[i] == 0]
    if unheard:
        logger.warning("no text for clips shorter than one audio token: %d", len(unheard))
    audible = [i for i in range(len(clips)) if tokens[i] > 0]
    longest_first = sorted(audible, key=lambda i: -tokens[i])
    limit = settings.batch_size
    if limit == "auto":
        longest = max(tokens, default=0) + PROMPT_TOKENS
        limit = rows_that_fit(model, longest, settings.max_new_tokens, kept, missing)
    parts: dict[int, list[str]] = {}
    with tqdm(total=len(clips), desc=progress, unit="clip", disable=progress is None) as bar:
        while len(parts) < len(longest_first):
            size = max(1, limit // len(missing))
            batch = longest_first[len(parts) : len(parts) + size]
            groups = [missing[i : i + limit] for i in range(0, len(missing), limit)]
            texts = None
            try:
                texts = _generate(
                    model, collator, [clips[i] for i in batch], settings, kept, groups
                )
            except torch.OutOfMemoryError:
                limit = min(limit, len(batch) * len(missing)) // 2
                if limit == 0 or settings.fixed:
                    raise
            if texts is None:
                free_memory()
                logger.warning("out of memory: going on with %d hypotheses at once", limit)
                continue
            parts |= zip(batch, texts, strict=True)
            bar.update(len(batch))
    parts |= {i: [""] * len(missing) for i in unheard}
    return [
        join(clips, [parts[i][variant] for i in range(len(clips))])
        for variant in range(len(missing))
    ]


def rows_that_fit(
    model: PreTrainedModel,
    prompt: int,
    new: int,
    kept: Sequence[int],
    missing: Sequence[int | None],
) -> int:
    """How many hypotheses memory has room for: `prompt` positions and `new` ones, of the variants.

    Counted: keys and values of every layer, those of a prompt once for the variants that share
    them; one layer's once more while the cache grows; a layer's activations, in the prompts' pass
    of one variant at a time; the logits. Of the free memory a fifth is left alone. At most ROWS_CPU
    or ROWS_GPU, beyond which nothing was found to be gained.
    """
    config = model.get_decoder().config
    width, variants = config.hidden_size, len(missing)
    layers = model.get_decoder().layers
    keys = [layers[layer].self_attn.k_proj.out_features for layer in kept]
    spare = 2 * max(keys)
    copies = zip(keys, copies_of_prompts(kept, missing), strict=True)
    of_prompt = 2 * (sum(size * count for size, count in copies) / variants + spare)
    active = 6 * width + 3 * config.intermediate_size
    passing = active / variants + width * (1 - 1 / variants)
    position = prompt * (of_prompt + passing) + new * (2 * (sum(keys) + spare) + active)
    row = math.ceil(position * model.dtype.itemsize) + 8 * config.vocab_size
    if model.device.type == "cuda":
        free = torch.cuda.mem_get_info(model.device)[0]
        free += torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        most = ROWS_GPU
    else:
        free, most = psutil.virtual_memory().available, ROWS_CPU
    return max(1, min(most, int(0.8 * free) // row))


def join(clips: Sequence[Clip], parts: Sequence[str]) -> list[str]:
    """Put together what belongs to one row: with a space, where the language has them."""
    texts: dict[int, list[str]] = {}
    pairs = {}
    for clip, text in zip(clips, parts, strict=True):
        texts.setdefault(clip.row, []).extend([text] if text else [])
        pairs[clip.row] = clip.pair
    return [
        ("" if target_code(pairs[row]) in WRITTEN_WITHOUT_SPACES else " ").join(texts[row])
        for row in sorted(texts)
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
    hypothesis_rows = [
        {"id": row["id"], "hypothesis": text} for row, text in zip(rows, hypotheses, strict=True)
    ]
    return hypothesis_rows, {
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
    clips: Sequence[Clip],
    settings: GenerationSettings,
    kept: Sequence[int],
    groups: Sequence[Sequence[int | None]],
) -> list[list[str]]:
    """The texts of each clip, one a variant; the variants of a group are decoded together."""
    tokenizer = collator.processor.tokenizer
    if isinstance(clips[0].audio, torch.Tensor):
        audio = [clip.audio.to(model.device) for clip in clips]
    else:
        audio = listen(model, collator.processor, [clip.audio for clip in clips])
    batch = collator.prompts([clip.pair for clip in clips], [len(heard) for heard in audio])
    batch = batch.to(model.device)
    embeddings = embed_prompts(model, batch["input_ids"], audio)
    ends, suppressed = stops(model, collator.processor)
    variants = [
        tokens
        for group in groups
        for tokens in decode(
            model,
            kept,
            group,
            embeddings,
            batch["attention_mask"],
            max_new_tokens=settings.max_new_tokens,
            end_tokens=ends,
            suppressed=suppressed,
        )
    ]
    texts = [
        [" ".join(text.split()) for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]
        for rows in variants
    ]
    return [list(of_clip) for of_clip in zip(*texts, strict=True)]
