"""The untrained mini base model: a Qwen2-Audio of transformers' own classes and a toy size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from transformers import (
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Tokenizer,
    WhisperFeatureExtractor,
)

from slimspeech.models.prompts import Prompt
from slimspeech_mini.grammar import Sentence

WINDOW_SECONDS = 6  # Qwen2-Audio has 30 s
MEL_BINS = 80
HEAD_SIZE = 64
SPECIAL_TOKENS = ["<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]


def build_processor(texts: Iterable[str], vocabulary: int) -> Qwen2AudioProcessor:
    """A byte-level BPE tokenizer as Qwen's, trained on the texts, and Whisper's mel features."""
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(
        texts, vocab_size=vocabulary - len(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL_TOKENS})
    extractor = WhisperFeatureExtractor(feature_size=MEL_BINS, chunk_length=WINDOW_SECONDS)
    return Qwen2AudioProcessor(extractor, tokenizer)


def build_model(
    processor: Qwen2AudioProcessor,
    *,
    seed: int,
    decoder_layers: int = 12,
    width: int = 128,
    audio_layers: int = 3,
) -> Qwen2AudioForConditionalGeneration:
    """Random weights in the shape of Qwen2-Audio: Whisper-like encoder, projector, Qwen2 decoder.

    As in Qwen2-Audio, key-value heads are not shared, and embedding and head are not tied.
    """
    tokenizer = processor.tokenizer
    end_of_turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": MEL_BINS,
            "d_model": width,
            "encoder_layers": audio_layers,
            "encoder_attention_heads": width // HEAD_SIZE,
            "encoder_ffn_dim": 4 * width,
            "max_source_positions": processor.feature_extractor.nb_max_frames // 2,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": decoder_layers,
            "num_attention_heads": width // HEAD_SIZE,
            "num_key_value_heads": width // HEAD_SIZE,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": False,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": end_of_turn,
            "bos_token_id": None,
        },
        audio_token_index=processor.audio_token_id,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = Qwen2AudioForConditionalGeneration(config)
    # The encoder's positions are fixed sinusoids, as in Whisper.
    positions = model.model.audio_tower.embed_positions
    positions.weight.data.copy_(_sinusoids(*positions.weight.shape))
    model.generation_config.eos_token_id = [end_of_turn, tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def _sinusoids(length: int, channels: int) -> torch.Tensor:
    """Whisper's table of positions (length, channels): half the channels sines, half cosines."""
    steps = torch.arange(channels // 2) / (channels // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-torch.log(torch.tensor(10000.0)) * steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def tokenizer_texts(
    sentences: Iterator[Sentence], prompt: Prompt, pairs: Sequence[str], count: int
) -> Iterator[str]:
    """Training data of the tokenizer: `count` sentences, and the prompts."""
    for sentence in islice(sentences, count):
        yield sentence.source
        for pair in pairs:
            yield sentence.targets[pair.split("-", 1)[1]]
            yield f"{prompt.system}\n{prompt.request(pair)}"
            yield "system\nuser\nassistant\nAudio 1: "
