"""What a model weighs, by arithmetic from the shapes of its config; no weight is read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from transformers import AutoConfig, PretrainedConfig

from slimspeech import families
from slimspeech.models.shapes import linear_weights, shapes
from slimspeech.models.validation.weights import nf4_state, nf4_tensors, width
from slimspeech.quantization.nf4 import formats

# Parts with a row for each token of the vocabulary.
TRIMMED_PARTS = ("embedding", "head")


def full_size(model_type: str, decoder_layers: int | None = None) -> PretrainedConfig:
    """The config of a family's published model, with so many of its decoder layers."""
    family = families.by_type(model_type)
    config = AutoConfig.for_model(model_type, **family.full_size)
    if decoder_layers is not None:
        family.keep_in_config(config.text_config, range(decoder_layers))
    return config


def count_weights(config: PretrainedConfig) -> dict[str, int]:
    """Weights by part of the model, parts as in size.json."""
    part_of, counts = families.of(config).part_of, Counter()
    for name, shape in shapes(config).items():
        counts[part_of(name)] += shape.numel()
    return dict(sorted(counts.items()))


def count_adapter(config: PretrainedConfig, r: int) -> int:
    """Weights of a LoRA adapter of rank r on every linear layer that hears, but the output head."""
    found, family = shapes(config), families.of(config)
    without = {"head", *family.unused_parts}
    names = [name for name in linear_weights(config) if family.part_of(name) not in without]
    return sum(r * sum(found[name]) for name in names)


def predicted_bytes(
    config: PretrainedConfig,
    quantization: str | Mapping[str, str],
    vocabulary: int | None = None,
) -> dict[str, int]:
    """Bytes of a packed model's tensors by part; see quantization.formats().

    vocabulary: tokens of a trimmed one; None for that of the config.
    Exact for bfloat16. A 4-bit matrix may differ by some bytes, as it carries one number as text.
    File headers are not in it: about 150 bytes a tensor, of which a 4-bit matrix has six.
    """
    four_bit = set(four_bit_weights(config, quantization))
    part_of, sizes = families.of(config).part_of, Counter()
    for name, shape in shapes(config).items():
        if vocabulary and part_of(name) in TRIMMED_PARTS:
            shape = torch.Size((vocabulary, *shape[1:]))
        size = _nf4_bytes(shape) if name in four_bit else 2 * shape.numel()
        sizes[part_of(name)] += size
    return dict(sorted(sizes.items()))


def four_bit_weights(config: PretrainedConfig, quantization: str | Mapping[str, str]) -> list[str]:
    """Names of the weights that are 4-bit in a model packed like this."""
    chosen, family = formats(quantization), families.of(config)
    names = [*linear_weights(config), family.embedding]
    return [name for name in names if chosen[family.part_of(name)] == "nf4"]


def _nf4_bytes(shape: Sequence[int]) -> int:
    numbers = sum(count * width(dtype) for dtype, count in nf4_tensors(shape).values())
    return numbers + len(json.dumps(nf4_state(shape)))
