"""A tiny base model of each family, of transformers' own classes, in a directory as published.

Weights are random and wild, so that layers, clips and tokens differ. Widths are multiples of 64,
of which 4-bit kernels want the inputs of linear layers to be.
"""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import (
    Gemma4UnifiedAudioFeatureExtractor,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
    GemmaTokenizer,
    PreTrainedModel,
    VoxtralConfig,
    VoxtralForConditionalGeneration,
    WhisperFeatureExtractor,
)

from slimspeech_mini.model import build_model, build_processor

LAYERS = 8
WIDTH = 64
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜäöüß.,:!?-'0123456789\n你好"
# Named tokens of google/gemma-4-12B-it, by their keys in tokenizer_config.json.
GEMMA_TOKENS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "sot_token": "<|turn>",
    "eot_token": "<turn|>",
    "soc_token": "<|channel>",
    "eoc_token": "<channel|>",
    "str_token": "<|tool_response>",
    "video_token": "<|video|>",
}
# Special tokens of mistralai/Voxtral-Mini-3B-2507 by their numbers; the others have no name here.
VOXTRAL_TOKENS = {
    **{0: "<unk>", 1: "<s>", 2: "</s>", 3: "[INST]", 4: "[/INST]", 11: "<pad>"},
    **{24: "[AUDIO]", 25: "[BEGIN_AUDIO]", 34: "[TRANSCRIBE]"},
}
# As in every tekken.json of 2024 and 2025.
TEKKEN_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wild(model: PreTrainedModel, seed: int = 5, amount: float = 0.15) -> PreTrainedModel:
    """Adds noise to matrices, so that each layer and each clip is heard. In place."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():  # a tied matrix comes once
        if weight.dim() > 1:
            weight.data += amount * torch.randn(weight.shape, generator=generator)
    return model.eval()


def qwen2_audio(directory: Path, texts: Sequence[str]) -> PreTrainedModel:
    processor = build_processor(texts, vocabulary=400)
    processor.save_pretrained(directory)
    return build_model(processor, seed=0, decoder_layers=LAYERS, width=WIDTH, audio_layers=2)


def gemma4_unified(directory: Path, texts: Sequence[str]) -> PreTrainedModel:
    """Seven sliding layers of eight would see the clip; six do, with a window of 8 positions."""
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    names += [f"<0x{byte:02X}>" for byte in range(256)]
    names += ["▁", *LETTERS, *GEMMA_TOKENS.values()]
    tokenizer = GemmaTokenizer(
        vocab={name: number for number, name in enumerate(names)},
        merges=[],
        add_bos_token=False,
        padding_side="left",
        extra_special_tokens=dict(GEMMA_TOKENS),
    )
    tokenizer.save_pretrained(directory)
    Gemma4UnifiedAudioFeatureExtractor().save_pretrained(directory)
    ids = {key: tokenizer.convert_tokens_to_ids(token) for key, token in GEMMA_TOKENS.items()}
    config = Gemma4UnifiedConfig(
        text_config={
            "model_type": "gemma4_unified_text",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": LAYERS,
            "layer_types": [
                "full_attention" if layer % 4 == 3 else "sliding_attention"
                for layer in range(LAYERS)
            ],
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_global_key_value_heads": 1,
            "attention_k_eq_v": True,
            "sliding_window": 8,
            "max_position_embeddings": 4096,
            "final_logit_softcapping": 30.0,
        },
        audio_config={"model_type": "gemma4_unified_audio", "audio_embed_dim": 640},
        vision_config={
            "model_type": "gemma4_unified_vision",
            "mm_embed_dim": WIDTH,
            "mm_posemb_size": 32,
            "output_proj_dims": WIDTH,
        },
        audio_token_id=ids["audio_token"],
        boa_token_id=ids["boa_token"],
        eoa_token_index=ids["eoa_token"],
        image_token_id=ids["image_token"],
        boi_token_id=ids["boi_token"],
        eoi_token_id=ids["eoi_token"],
        video_token_id=ids["video_token"],
    )
    torch.manual_seed(0)
    model = Gemma4UnifiedForConditionalGeneration(config)
    for number, layer in enumerate(model.get_decoder().layers):  # the published ones differ from 1
        layer.layer_scalar.fill_(1 + number / 64)
    settings = model.generation_config
    settings.eos_token_id = [1, ids["eot_token"], ids["str_token"]]
    settings.pad_token_id = 0
    settings.suppress_tokens = [ids["eoa_token"], ids["eoi_token"]]
    return model


def voxtral(directory: Path, texts: Sequence[str], longer: Sequence[bytes] = ()) -> PreTrainedModel:
    """longer: tokens beyond single bytes, each after those that it is merged from."""
    special = [
        {"rank": i, "token_str": VOXTRAL_TOKENS.get(i, f"<SPECIAL_{i}>"), "is_control": True}
        for i in range(36)
    ]
    tokens = [*(bytes([byte]) for byte in range(256)), *longer]
    vocabulary = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    tekken = {
        "config": {
            "pattern": TEKKEN_PATTERN,
            "num_vocab_tokens": len(tokens),
            "default_vocab_size": len(tokens) + 36,
            "default_num_special_tokens": 36,
            "version": "v7",
        },
        "vocab": vocabulary,
        "special_tokens": special,
        "version": 1,
        "type": "Tekken",
    }
    (directory / "tekken.json").write_text(json.dumps(tekken), encoding="utf-8")
    WhisperFeatureExtractor(feature_size=128).save_pretrained(directory)
    config = VoxtralConfig(
        audio_config={
            "model_type": "voxtral_encoder",
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokens) + 36,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        audio_token_id=24,
    )
    torch.manual_seed(0)
    model = VoxtralForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 11
    return model


MAKERS: dict[str, Callable[[Path, Sequence[str]], PreTrainedModel]] = {
    "qwen2_audio": qwen2_audio,
    "gemma4_unified": gemma4_unified,
    "voxtral": voxtral,
}


def write_base(model_type: str, directory: str | Path, texts: Sequence[str]) -> PreTrainedModel:
    """Writes a base model of the family, in fp32, and returns it. texts: for the tokenizer."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    model = wild(MAKERS[model_type](directory, texts))
    model.save_pretrained(directory)
    return model
