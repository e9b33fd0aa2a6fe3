"""Gemma 4 unified (google/gemma-4-12B): no audio encoder, a decoder of sliding and full layers.

A frame of 640 samples is an audio token: one matrix, the projector, makes its embedding. Embedding
and output head are one matrix. Pictures and video have a part of their own, which hears nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimspeech.families.family import FULL, Family
from slimspeech.families.speech_processor import SpeechProcessor, require_features_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

FEATURES, MASK = "input_features", "input_features_mask"
BEFORE, PLACEHOLDER, AFTER = "<|audio>", "<|audio|>", "<audio|>"
TURN, END_OF_TURN = "<|turn>", "<turn|>"
NO_THOUGHT = "<|channel>thought\n<channel|>"  # of the prompt, where thinking is off


def load_processor(directory: str | Path) -> SpeechProcessor:
    """Without the publisher's processor, which asks for torchvision and pillow even for speech."""
    from transformers import AutoTokenizer, Gemma4UnifiedAudioFeatureExtractor

    require_features_of(directory, FAMILY, "Gemma4UnifiedAudioFeatureExtractor")
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    extractor = Gemma4UnifiedAudioFeatureExtractor.from_pretrained(directory)
    return SpeechProcessor(FAMILY, tokenizer, extractor, Path(directory))


def token_counts(processor: SpeechProcessor, samples: Sequence[int]) -> list[int]:
    frame = processor.feature_extractor.audio_samples_per_token
    return [-(-count // frame) for count in samples]


def features(processor: SpeechProcessor, audio: Sequence[np.ndarray]) -> list[dict[str, Tensor]]:
    """Frames (1, frames, 640) and their mask (1, frames)."""
    extract = processor.feature_extractor
    return [dict(extract([clip], return_tensors="pt")) for clip in audio]


def join(clips: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    from torch.nn.utils.rnn import pad_sequence

    counts = [int(clip[MASK].sum()) for clip in clips]
    return {
        name: pad_sequence(
            [clip[name][0, :count] for clip, count in zip(clips, counts, strict=True)],
            batch_first=True,
        )
        for name in (FEATURES, MASK)
    }


def encode(
    model: PreTrainedModel, features: dict[str, Tensor], tokens: Sequence[int]
) -> list[Tensor]:
    import torch

    with torch.inference_mode():
        frames = features[FEATURES].to(model.device)
        embeddings = model.model.get_audio_features(frames, return_dict=True).pooler_output
    return [clip[:count] for clip, count in zip(embeddings, tokens, strict=True)]


def prompt_ids(
    processor: SpeechProcessor, system: str | None, request: str, audio_tokens: int
) -> list[int]:
    before, after = around_audio(system, request)
    text = before + PLACEHOLDER * audio_tokens + after
    return processor.tokenizer(text, add_special_tokens=False).input_ids


def around_audio(system: str | None, request: str) -> tuple[str, str]:
    """What a prompt has before its audio tokens, and behind them.

    As the publisher's chat template lays out one turn of text and audio, thinking off. The template
    itself is not rendered: it is long, and defines macros.
    """
    opening = f"{TURN}system\n{system.strip()}{END_OF_TURN}\n" if system else ""
    before = f"<bos>{opening}{TURN}user\n{request.strip()}{BEFORE}"
    return before, f"{AFTER}{END_OF_TURN}\n{TURN}model\n{NO_THOUGHT}"


def card_code(system: str | None, request: str) -> tuple[str, str]:
    before, after = (json.dumps(text, ensure_ascii=False) for text in around_audio(system, request))
    load = """\
from transformers import AutoTokenizer, Gemma4UnifiedAudioFeatureExtractor

tokenizer = AutoTokenizer.from_pretrained(directory)
extractor = Gemma4UnifiedAudioFeatureExtractor.from_pretrained(directory)
"""
    inputs = f"""\
features = extractor([audio], return_tensors="pt")
before = {before}
after = {after}
prompt = before + {json.dumps(PLACEHOLDER)} * features["input_features"].shape[1] + after
inputs = {{**tokenizer(prompt, add_special_tokens=False, return_tensors="pt"), **features}}
"""
    return load, inputs


def embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Scaled by the embedding itself. Its forward has the pad token in the place of all media."""
    config = model.config
    media = (
        (ids == config.image_token_id)
        | (ids == config.video_token_id)
        | (ids == config.audio_token_id)
    )
    return model.get_input_embeddings()(ids.masked_fill(media, config.text_config.pad_token_id))


def rotary(decoder: nn.Module, states: Tensor, positions: Tensor, kind: str) -> tuple[Tensor, ...]:
    return decoder.rotary_emb(states, positions, kind)


def may_be_last(text: PretrainedConfig) -> list[int]:
    """The layers that attend to all positions: loading takes no other as the last one."""
    return [layer for layer, kind in enumerate(text.layer_types) if kind == FULL]


def keep_in_config(text: PretrainedConfig, kept: Sequence[int]) -> None:
    """Layers have head sizes of their own, and keys of per_layer_config are below their number."""
    shapes = [text.per_layer_config[layer] for layer in kept]
    kinds = [text.layer_types[layer] for layer in kept]
    own = {
        number: {"head_dim": shape.head_dim, "num_key_value_heads": shape.num_key_value_heads}
        for number, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))
        if kind == FULL
    }
    text.per_layer_config = None
    text.layer_types, text.num_hidden_layers = kinds, len(kept)
    text.per_layer_config = own


def as_published(settings: dict[str, Any]) -> dict[str, Any]:
    """The two keys of full layers in the place of transformers' `per_layer_config`.

    transformers before 5.15, vLLM and llama.cpp's converter read these alone.
    """
    text = dict(settings["text_config"])
    layers = text.pop("per_layer_config", None)
    if layers:
        full = next(iter(layers.values()))
        text["global_head_dim"] = full["head_dim"]
        text["num_global_key_value_heads"] = full.get("num_key_value_heads")
    return settings | {"text_config": text}


def audio_shape(config: PretrainedConfig) -> tuple[int, int, int]:
    return 0, 0, 0


FAMILY = Family(
    model_type="gemma4_unified",
    title="Gemma 4",
    model_class="Gemma4UnifiedForConditionalGeneration",
    processor_class="SpeechProcessor",
    stored={
        "model.embed_vision.multimodal_embedder.embedding_projection.": (
            "model.embed_vision.embedding_projection."
        ),
        "model.embed_vision.": "model.vision_embedder.",
    },
    parts={
        "model.language_model.embed_tokens.": "embedding",
        "model.language_model.": "decoder",
        "model.embed_audio.": "projector",
        "model.embed_vision.": "vision",
        "model.vision_embedder.": "vision",
    },
    layers="model.language_model.layers.",
    embedding="model.language_model.embed_tokens.weight",
    modules={
        "projector": "model.embed_audio",
        "decoder": "model.language_model",
        "vision": "model.embed_vision",
        "head": "lm_head",
    },
    audio_marks=(BEFORE, PLACEHOLDER, AFTER),
    end_of_turn=END_OF_TURN,
    tokens_per_second=25,
    states_per_second=0,
    hub_licences={
        "google/gemma-4-12B-it": "apache-2.0",
        "google/gemma-4-12B": "apache-2.0",
    },
    citation=None,
    full_size={
        "text_config": {
            "model_type": "gemma4_unified_text",
            "vocab_size": 262_144,
            "hidden_size": 3840,
            "intermediate_size": 15_360,
            "num_hidden_layers": 48,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 256,
            "global_head_dim": 512,
            "num_global_key_value_heads": 1,
            "attention_k_eq_v": True,
            "sliding_window": 1024,
            "final_logit_softcapping": 30.0,
            "tie_word_embeddings": True,
        },
        "audio_config": {"model_type": "gemma4_unified_audio", "audio_embed_dim": 640},
        "vision_config": {
            "model_type": "gemma4_unified_vision",
            "mm_embed_dim": 3840,
            "mm_posemb_size": 1120,
            "output_proj_dims": 3840,
        },
        "tie_word_embeddings": True,
    },
    token_counts=token_counts,
    features=features,
    join=join,
    encode=encode,
    window_seconds=30,
    layer_arguments={"shared_kv_states": None},
    unused_parts={"vision": "vision_config"},
    prompt_ids=prompt_ids,
    card_code=card_code,
    load_processor=load_processor,
    embed=embed,
    rotary=rotary,
    audio_shape=audio_shape,
    may_be_last=may_be_last,
    keep_in_config=keep_in_config,
    as_published=as_published,
)
