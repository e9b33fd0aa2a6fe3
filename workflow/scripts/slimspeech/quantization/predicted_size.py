"""What a model weighs, by arithmetic from the shapes of its config; no weight is read."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import torch
from transformers import AutoConfig, PretrainedConfig

from slimspeech import families
from slimspeech.models.shapes import is_tied, linear_weights, shapes
from slimspeech.models.validation.weights import (
    BLOCK,
    QUANT_STATE,
    nf4_state,
    nf4_tensors,
    width,
)
from slimspeech.quantization.nf4 import PARTS, formats

# Parts with a row for each token of the vocabulary.
TRIMMED_PARTS = ("embedding", "head")

# Endings of the tensors of a 4-bit weight, and bytes that a header has for a tensor beside its
# name: type, shape and two offsets, such as {"dtype":"BF16","shape":[4096,11008],…}.
NF4_ENDINGS = (*nf4_tensors([BLOCK]), QUANT_STATE)
HEADER = 88


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
    part_of, sizes = families.of(config).part_of, Counter()
    for name, size in tensor_bytes(config, quantization, vocabulary).items():
        sizes[part_of(name)] += size
    return dict(sorted(sizes.items()))


def tensor_bytes(
    config: PretrainedConfig,
    quantization: str | Mapping[str, str],
    vocabulary: int | None = None,
    headers: bool = False,
) -> dict[str, int]:
    """Bytes of each tensor, with those that its 4-bit form adds; else as predicted_bytes().

    headers: with what a file's header says of it, at most.
    """
    four_bit = set(four_bit_weights(config, quantization))
    part_of, sizes = families.of(config).part_of, {}
    for name, shape in shapes(config).items():
        if vocabulary and part_of(name) in TRIMMED_PARTS:
            shape = torch.Size((vocabulary, *shape[1:]))
        sizes[name] = _nf4_bytes(shape) if name in four_bit else 2 * shape.numel()
        if headers:
            names = [name + ending for ending in NF4_ENDINGS] if name in four_bit else [name]
            sizes[name] += sum(len(other.encode()) + HEADER for other in names)
    return sizes


def layer_bytes(config: PretrainedConfig) -> list[int]:
    """Bytes of each decoder layer in bfloat16."""
    layer_of, sizes = families.of(config).layer_of, Counter()
    for name, size in tensor_bytes(config, "none").items():
        sizes[layer_of(name)] += size
    return [sizes[layer] for layer in range(config.text_config.num_hidden_layers)]


def four_bit_weights(config: PretrainedConfig, quantization: str | Mapping[str, str]) -> list[str]:
    """Names of the weights that are 4-bit in a model packed like this."""
    chosen, family = formats(quantization), families.of(config)
    names = [*linear_weights(config), family.embedding]
    return [name for name in names if chosen[family.part_of(name)] == "nf4"]


def part_weights(config: PretrainedConfig) -> dict[str, list[str]]:
    """By part that hears or speaks, the names of the weights that can be 4-bit in a student."""
    family, names = families.of(config), defaultdict(list)
    for name in four_bit_weights(config, dict.fromkeys(PARTS, "nf4")):
        names[family.part_of(name)].append(name)
    unfit = {*family.unused_parts}
    if is_tied(config):
        unfit |= {"embedding", "head"}
    if config.text_config.hidden_size % BLOCK:
        unfit.add("embedding")
    return {part: names[part] for part in PARTS if part in names and part not in unfit}


def _nf4_bytes(shape: Sequence[int]) -> int:
    numbers = sum(count * width(dtype) for dtype, count in nf4_tensors(shape).values())
    return numbers + len(json.dumps(nf4_state(shape)))
