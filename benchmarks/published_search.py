"""Reference implementations: translation and layer search with transformers' `generate` alone.

search() with batches of one is the published loop. For each candidate, it copies the model without
the layer and translates every clip by itself, padded to the whole window, so that the audio encoder
runs again for every clip and candidate. With larger batches, it is the second reference: what a
careful user of transformers would write.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2AudioForConditionalGeneration,
)

from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.models.generation_config import end_tokens
from slimspeech.models.loading import device
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.layers import keep_layers


def load_plain(directory: str | Path, precision: str) -> PreTrainedModel:
    """The model as transformers loads it, with its own audio encoder."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = Qwen2AudioForConditionalGeneration.from_pretrained(directory, dtype=dtype)
    return model.to(device()).eval()


def without(model: PreTrainedModel, kept: Sequence[int], layer: int) -> PreTrainedModel:
    """A deep copy of the model with the kept layers but one."""
    pruned = deepcopy(model)
    keep_layers(pruned, [number for number in kept if number != layer])
    return pruned


@torch.inference_mode()
def translate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    *,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """One hypothesis a row, greedy, in the order of the rows."""
    tokenizer = processor.tokenizer
    rate = processor.feature_extractor.sampling_rate
    # The published script limits prompt and translation together to 1024 tokens. Here both sides
    # limit the translation alone, which makes the reference faster for degenerate candidates.
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(processor),
        pad_token_id=tokenizer.pad_token_id,
    )
    hypotheses = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        inputs = processor(
            text=[prompt.render(processor, row["pair"]) for row in batch],
            audio=[read_audio(row["audio"], rate) for row in batch],
            sampling_rate=rate,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        tokens = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        hypotheses += [" ".join(text.split()) for text in texts]
    return hypotheses


def search(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    kept: Sequence[int],
    candidates: Sequence[int],
    *,
    batch_size: int,
    max_new_tokens: int,
) -> dict[int, list[str]]:
    """One iteration of the search: the hypotheses without each candidate layer."""
    return {
        layer: translate(
            without(model, kept, layer),
            processor,
            rows,
            prompt,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
        )
        for layer in tqdm(candidates, desc=f"reference, batch {batch_size}", unit="layer")
    }
