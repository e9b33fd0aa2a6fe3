"""Voxtral (arXiv 2507.13264): Whisper's encoder, four states joined, and a Llama decoder.

The encoder has no mask: it attends to the silence behind a clip. So a clip is always padded to
whole chunks of 30 s, and all 375 audio tokens of a chunk are kept. Long audio is several chunks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.families.layout import ENCODER_AND_DECODER
from slimspeech.families.speech_processor import SpeechProcessor, require_features_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedModel

FEATURES = "input_features"
CHUNK_SECONDS, TOKENS = 30, 375  # of a chunk
# Roles of tokens, which tekken.json does not name.
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
BEFORE, PLACEHOLDER = "[BEGIN_AUDIO]", "[AUDIO]"


def load_processor(directory: str | Path) -> SpeechProcessor:
    """The tokenizer that transformers makes of tekken.json itself, whatever else is installed.

    mistral-common gives the same ids; transformers would take it where it is installed.
    """
    from transformers import TokenizersBackend, WhisperFeatureExtractor

    require_features_of(directory, FAMILY, "WhisperFeatureExtractor")
    tokenizer = TokenizersBackend.from_pretrained(directory, trust_remote_code=False, **SPECIAL)
    extractor = WhisperFeatureExtractor.from_pretrained(directory)
    return SpeechProcessor(FAMILY, tokenizer, extractor, Path(directory))


def chunk(processor: SpeechProcessor) -> int:
    """Samples of a chunk."""
    return CHUNK_SECONDS * processor.feature_extractor.sampling_rate


def token_counts(processor: SpeechProcessor, samples: Sequence[int]) -> list[int]:
    size = chunk(processor)
    return [TOKENS * max(1, -(-count // size)) for count in samples]


def features(processor: SpeechProcessor, audio: Sequence[np.ndarray]) -> list[dict[str, Tensor]]:
    """Log-mel features (chunks, bins, frames of a chunk), computed of all chunks of a clip at once,
    because their level goes by the loudest one."""
    extractor, size = processor.feature_extractor, chunk(processor)
    frames, clips = size // extractor.hop_length, []
    for clip in audio:
        mel = extractor(
            clip,
            sampling_rate=extractor.sampling_rate,
            padding=True,
            truncation=False,
            pad_to_multiple_of=size,
            return_tensors="pt",
        )["input_features"]
        chunks = mel.reshape(mel.shape[1], -1, frames).transpose(0, 1)
        clips.append({FEATURES: chunks})
    return clips


def join(clips: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    import torch

    return {FEATURES: torch.cat([clip[FEATURES] for clip in clips])}


def encode(
    model: PreTrainedModel, features: dict[str, Tensor], tokens: Sequence[int]
) -> list[Tensor]:
    import torch

    with torch.inference_mode():
        chunks = features[FEATURES].to(model.device)
        embeddings = model.model.get_audio_features(chunks, return_dict=True).pooler_output
    return list(embeddings.split(list(tokens)))


def prompt_ids(
    processor: SpeechProcessor, system: str | None, request: str, audio_tokens: int
) -> list[int]:
    """As mistral-common lays out one turn of audio and text.

    Raises InputError for a system message, which Voxtral takes none of beside audio.
    """
    if system:
        raise InputError(
            f"{FAMILY.title} takes no system message beside audio; set prompt.system: null"
        )
    tokenizer = processor.tokenizer
    number = tokenizer.convert_tokens_to_ids
    # A request that spells a special token is text all the same, as in mistral-common.
    text = tokenizer(request, add_special_tokens=False, split_special_tokens=True).input_ids
    audio = [number(BEFORE), *[number(PLACEHOLDER)] * audio_tokens]
    return [tokenizer.bos_token_id, number("[INST]"), *audio, *text, number("[/INST]")]


def card_code(system: str | None, request: str) -> tuple[str, str]:
    load = """\
from transformers import TokenizersBackend, WhisperFeatureExtractor

tokenizer = TokenizersBackend.from_pretrained(directory, bos_token="<s>", eos_token="</s>")
extractor = WhisperFeatureExtractor.from_pretrained(directory)
"""
    inputs = f"""\
seconds = {CHUNK_SECONDS}  # of a chunk, which has {TOKENS} audio tokens
features = extractor(
    audio,
    sampling_rate=rate,
    padding=True,
    truncation=False,
    pad_to_multiple_of=seconds * rate,
    return_tensors="pt",
)["input_features"]
chunks = features.reshape(features.shape[1], -1, 100 * seconds).transpose(0, 1)
request = {json.dumps(request, ensure_ascii=False)}
request = tokenizer(request, add_special_tokens=False, split_special_tokens=True).input_ids
special = tokenizer.convert_tokens_to_ids
prompt = [special(token) for token in ("<s>", "[INST]", "{BEFORE}")]
prompt += [special("{PLACEHOLDER}")] * {TOKENS} * len(chunks) + request + [special("[/INST]")]
inputs = {{"input_ids": torch.tensor([prompt]), "input_features": chunks}}
"""
    return load, inputs


FAMILY = Family(
    model_type="voxtral",
    title="Voxtral",
    model_class="VoxtralForConditionalGeneration",
    processor_class="SpeechProcessor",
    **ENCODER_AND_DECODER,
    audio_marks=(BEFORE, PLACEHOLDER, ""),
    end_of_turn="</s>",
    tokens_per_second=TOKENS / CHUNK_SECONDS,
    states_per_second=50,
    hub_licences={"mistralai/Voxtral-Mini-3B-2507": "apache-2.0"},
    citation="""\
@article{liu-2025-voxtral,
    title = "Voxtral",
    author = "{Mistral AI}",
    journal = "arXiv preprint arXiv:2507.13264",
    year = "2025",
}""",
    full_size={
        "audio_config": {"model_type": "voxtral_encoder"},
        "text_config": {
            "model_type": "llama",
            "vocab_size": 131_072,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 30,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        },
        "audio_token_id": 24,
    },
    token_counts=token_counts,
    features=features,
    join=join,
    encode=encode,
    window_seconds=1800,  # the publisher names 30 minutes for transcription
    padded_to=CHUNK_SECONDS,
    tokens_per_row=TOKENS,
    takes_system=False,
    prompt_ids=prompt_ids,
    card_code=card_code,
    load_processor=load_processor,
)
