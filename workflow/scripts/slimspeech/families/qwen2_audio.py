"""Qwen2-Audio (arXiv 2407.10759): Whisper's encoder, pooled by two, and Qwen's decoder.

The encoder's attention masks padding, so it runs on the clips' own length; see whisper.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimspeech.artifacts import read_json, write_json
from slimspeech.families.family import Family
from slimspeech.families.layout import ENCODER_AND_DECODER

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel, ProcessorMixin

FEATURES, MASK = "input_features", "feature_attention_mask"


def token_counts(processor: ProcessorMixin, samples: Sequence[int]) -> list[int]:
    hop = processor.feature_extractor.hop_length
    states = [(-(-count // hop) - 1) // 2 + 1 for count in samples]
    return [(count - 2) // 2 + 1 for count in states]


def features(processor: ProcessorMixin, audio: Sequence[np.ndarray]) -> list[dict[str, Tensor]]:
    """Log-mel features (1, bins, frames of the window) and their mask (1, frames)."""
    extractor = processor.feature_extractor
    batch = extractor(
        list(audio),
        sampling_rate=extractor.sampling_rate,
        padding="max_length",
        return_attention_mask=True,
        return_tensors="pt",
    )
    pairs = zip(batch["input_features"].split(1), batch["attention_mask"].split(1), strict=True)
    return [{FEATURES: mel, MASK: mask} for mel, mask in pairs]


def join(clips: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    import torch

    from slimspeech.families.whisper import crop

    mel, mask = (torch.cat([clip[name] for clip in clips]) for name in (FEATURES, MASK))
    return dict(zip((FEATURES, MASK), crop(mel, mask), strict=True))


def encode(
    model: PreTrainedModel, features: dict[str, Tensor], tokens: Sequence[int]
) -> list[Tensor]:
    from slimspeech.families.whisper import encode

    return encode(model, features[FEATURES], features[MASK])


def prepare(model: PreTrainedModel) -> PreTrainedModel:
    from slimspeech.families.whisper import allow_short

    return allow_short(model)


def finish_export(directory: Path, extractor: dict[str, Any]) -> None:
    """The layout of transformers 4, which vLLM and llama.cpp's converter read.

    transformers 5 stores the feature extractor's settings in another file, and the special tokens
    and the rotary base under other names. It reads both layouts.
    """
    config = read_json(directory / "config.json")
    text_config = config["text_config"]
    text_config["rope_theta"] = text_config["rope_parameters"]["rope_theta"]
    write_json(directory / "config.json", config)
    tokenizer = read_json(directory / "tokenizer_config.json")
    special_tokens = list(tokenizer.pop("extra_special_tokens", []))
    tokenizer["additional_special_tokens"] = special_tokens
    write_json(directory / "tokenizer_config.json", tokenizer)
    processor = read_json(directory / "processor_config.json")
    stored = processor.pop("feature_extractor")
    changed = {key: extractor[key] for key in stored.keys() & extractor.keys()}
    extractor = stored | changed | {"processor_class": processor["processor_class"]}
    write_json(directory / "preprocessor_config.json", extractor)
    write_json(directory / "processor_config.json", processor)


FAMILY = Family(
    model_type="qwen2_audio",
    title="Qwen2-Audio",
    model_class="Qwen2AudioForConditionalGeneration",
    processor_class="Qwen2AudioProcessor",
    **ENCODER_AND_DECODER,
    audio_marks=("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"),
    end_of_turn="<|im_end|>",  # of the ChatML template of the Instruct model; one token in all
    tokens_per_second=25,
    states_per_second=50,
    hub_licences={
        "Qwen/Qwen2-Audio-7B-Instruct": "apache-2.0",
        "Qwen/Qwen2-Audio-7B": "apache-2.0",
    },
    citation="""\
@article{chu-2024-qwen2-audio,
    title = "{Qwen2-Audio} Technical Report",
    author = "Chu, Yunfei and Xu, Jin and Yang, Qian and Wei, Haojie and Wei, Xipin and Guo, \
Zhifang and Leng, Yichong and Lv, Yuanjun and He, Jinzheng and Lin, Junyang and Zhou, Chang and \
Zhou, Jingren",
    journal = "arXiv preprint arXiv:2407.10759",
    year = "2024",
}""",
    full_size={
        "audio_config": {
            "model_type": "qwen2_audio_encoder",
            "d_model": 1280,
            "encoder_layers": 32,
            "encoder_attention_heads": 20,
            "encoder_ffn_dim": 5120,
            "num_mel_bins": 128,
            "max_source_positions": 1500,
        },
        "text_config": {
            "model_type": "qwen2",
            "vocab_size": 156_032,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": False,
        },
        "tie_word_embeddings": False,
    },
    token_counts=token_counts,
    features=features,
    join=join,
    encode=encode,
    masks_padding=True,
    gguf_splitting="qwen2",
    prepare=prepare,
    finish_export=finish_export,
)
