"""Models of random weights in the true shape of their family. Nothing is downloaded.

Their tokenizers are small, those of the tests' tiny models; their features are the true ones.
"""

import sys
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from bitsandbytes.nn import Linear4bit, Params4bit
from harness import PROMPT
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    WhisperFeatureExtractor,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from tiny_families import write_base

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.data.audio import write_wav
from slimspeech.families.qwen2_audio import FAMILY as QWEN2_AUDIO
from slimspeech.models.loading import load_processor, read_config
from slimspeech.quantization.nf4 import quantised_layers
from slimspeech.quantization.predicted_size import full_size

RATE = 16_000
SHORTEST, LONGEST = 1.0, 12.0  # seconds of a clip; the mean is that of ACL 60/60, 6.4 s

# A shape to try the packing of Qwen2-Audio.
TINY = {
    "audio_config": QWEN2_AUDIO.full_size["audio_config"]
    | {"d_model": 64, "encoder_layers": 1, "encoder_attention_heads": 1, "encoder_ffn_dim": 128},
    "text_config": QWEN2_AUDIO.full_size["text_config"]
    | {
        "vocab_size": 600,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
    },
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Base:
    """A processor, and the config of a tiny model that has its tokens."""

    processor: ProcessorMixin
    tiny: PretrainedConfig


def make_base(model_type: str, texts: Sequence[str], folder: str | Path) -> Base:
    """texts: what the tokenizer must be able to write. folder: of the processor's files."""
    write_base(model_type, folder, texts)
    return Base(load_processor(folder), read_config(folder))


def make_processor() -> ProcessorMixin:
    """Qwen2-Audio's: Whisper's features as it takes them, and a small tokenizer."""
    texts = [PROMPT.system, PROMPT.request("en-de")]
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(QWEN2_AUDIO.model_type, texts, folder)
    return with_true_features(base.processor, QWEN2_AUDIO.full_size)


def with_true_features(processor: ProcessorMixin, shape: dict[str, Any]) -> ProcessorMixin:
    """In place. Of the tests' processors, only that of Qwen2-Audio has other features."""
    bins = shape["audio_config"].get("num_mel_bins")
    if isinstance(processor.feature_extractor, WhisperFeatureExtractor) and bins:
        processor.feature_extractor = WhisperFeatureExtractor(feature_size=bins)
    return processor


def true_config(base: Base, model_type: str) -> PretrainedConfig:
    """The published shape, and the special tokens of the processor."""
    config = full_size(model_type)
    for name, value in base.tiny.to_dict().items():
        if name.endswith(("_token_id", "_token_index")):
            setattr(config, name, value)
    pad = base.processor.tokenizer.pad_token_id
    for text in (config, config.text_config):
        text.pad_token_id, text.bos_token_id, text.eos_token_id = pad, None, None
    return config


def make_model(
    config: PretrainedConfig, processor: ProcessorMixin, dtype: torch.dtype, device: Any
) -> PreTrainedModel:
    """Random weights, made on the device, that end no translation."""
    config = deepcopy(config)
    config.dtype = dtype
    torch.manual_seed(0)
    default_dtype = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = getattr(transformers, families.of(config).model_class)(config)
    finally:
        torch.set_default_dtype(default_dtype)
    # The whole head is computed, but only tokens that the tokenizer has get the highest score, and
    # special ones are never chosen.
    model.get_output_embeddings().weight.data[len(processor.tokenizer) :] = 0
    model.generation_config.eos_token_id = None
    model.generation_config.suppress_tokens = processor.tokenizer.all_special_ids
    return model.eval()


def to_four_bits(model: PreTrainedModel) -> PreTrainedModel:
    """Quantise a model in memory as from_pretrained() with nf4() does. In place."""
    for name, layer in quantised_layers(model).items():
        device = layer.weight.device
        packed = Linear4bit(
            layer.in_features,
            layer.out_features,
            layer.bias is not None,
            compute_dtype=torch.bfloat16,
            quant_type="nf4",
            device="meta",
        )
        packed.weight = Params4bit(
            layer.weight.data, requires_grad=False, quant_type="nf4", module=packed
        )
        packed.bias = layer.bias
        model.set_submodule(name, packed.to(device))
    model.is_loaded_in_4bit = True
    return model


def write_clips(folder: Path, count: int, pair: str, longest: float = LONGEST) -> list[Row]:
    """Noise of evenly spaced lengths from the shortest to the longest, in random order."""
    random = np.random.default_rng(0)
    rows = []
    for number, seconds in enumerate(random.permutation(np.linspace(SHORTEST, longest, count))):
        path = folder / f"{number}.wav"
        write_wav(path, (0.1 * random.standard_normal(round(seconds * RATE))).astype(np.float32))
        rows.append({"id": str(number), "audio": str(path), "duration": float(seconds)})
    return [row | {"pair": pair, "target": "-"} for row in rows]
