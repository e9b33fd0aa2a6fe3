"""What a Qwen2-Audio weighs, by arithmetic from the shapes of its config; no weight is read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from transformers import PretrainedConfig, Qwen2AudioConfig

from slimspeech.models.shapes import linear_weights, shapes
from slimspeech.models.size import part_of
from slimspeech.models.validation.weights import nf4_state, nf4_tensors, width
from slimspeech.quantization.nf4 import formats

# The shape of Qwen/Qwen2-Audio-7B and -Instruct, by the keys of their config.json.
QWEN2_AUDIO_7B = {
    "audio": {
        "d_model": 1280,
        "encoder_layers": 32,
        "encoder_attention_heads": 20,
        "encoder_ffn_dim": 5120,
        "num_mel_bins": 128,
        "max_source_positions": 1500,
    },
    "text": {
        "vocab_size": 156_032,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 8192,
    },
}


def full_size(decoder_layers: int = 32) -> Qwen2AudioConfig:
    """The config of Qwen2-Audio-7B, with so many of its decoder layers."""
    text = QWEN2_AUDIO_7B["text"] | {"num_hidden_layers": decoder_layers}
    return Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder"} | QWEN2_AUDIO_7B["audio"],
        text_config={"model_type": "qwen2", "tie_word_embeddings": False} | text,
        tie_word_embeddings=False,
    )


def count_weights(config: PretrainedConfig) -> dict[str, int]:
    """Weights by part of the model, parts as in size.json."""
    counts: Counter[str] = Counter()
    for name, shape in shapes(config).items():
        counts[part_of(name)] += shape.numel()
    return dict(sorted(counts.items()))


def count_adapter(config: PretrainedConfig, r: int) -> int:
    """Weights of a LoRA adapter of rank r on every linear layer but the output head."""
    found = shapes(config)
    names = [name for name in linear_weights(config) if part_of(name) != "head"]
    return sum(r * sum(found[name]) for name in names)


def predicted_bytes(
    config: PretrainedConfig, quantization: str | Mapping[str, str]
) -> dict[str, int]:
    """Bytes of a packed model's tensors by part; see quantization.formats().

    Exact for bfloat16. A 4-bit matrix may differ by some bytes, as it carries one number as text.
    File headers are not in it: about 150 bytes a tensor, of which a 4-bit matrix has six.
    """
    four_bit = set(four_bit_weights(config, quantization))
    sizes: Counter[str] = Counter()
    for name, shape in shapes(config).items():
        size = _nf4_bytes(shape) if name in four_bit else 2 * shape.numel()
        sizes[part_of(name)] += size
    return dict(sorted(sizes.items()))


def four_bit_weights(config: PretrainedConfig, quantization: str | Mapping[str, str]) -> list[str]:
    """Names of the weights that are 4-bit in a model packed like this."""
    chosen = formats(quantization)
    names = [*linear_weights(config), "language_model.model.embed_tokens.weight"]
    return [name for name in names if chosen[part_of(name)] == "nf4"]


def _nf4_bytes(shape: Sequence[int]) -> int:
    numbers = sum(count * width(dtype) for dtype, count in nf4_tensors(shape).values())
    return numbers + len(json.dumps(nf4_state(shape)))
