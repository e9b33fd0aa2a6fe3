"""Depth pruning: reduce a decoder or an audio encoder to some of its layers."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from slimspeech.errors import InputError
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.qwen2audio import read_config
from slimspeech.models.shapes import shapes
from slimspeech.quantization.predicted_size import predicted_bytes

LAYERS = "language_model.model.layers."


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Reduce the decoder to these layers, in place, as if it had been built with them.

    Raises InputError if `kept` is empty, unordered, or repeats or invents a layer.
    """
    decoder = model.get_decoder()
    _check(kept, len(decoder.layers), "a decoder")
    decoder.layers = nn.ModuleList(decoder.layers[i] for i in kept)
    for index, layer in enumerate(decoder.layers):
        layer.self_attn.layer_idx = index  # the key-value cache is indexed by it
    _keep_in_config(decoder.config, kept)


def prune_checkpoint(
    source: str | Path, target: str | Path, kept: Sequence[int], memory: float = math.inf
) -> None:
    """Write a model with some of another's decoder layers, in bfloat16, without loading it.

    memory: as in rewrite(). Raises InputError as keep_layers() and rewrite() do.
    """
    config = read_config(source)
    _check(kept, config.text_config.num_hidden_layers, "a decoder")
    _keep_in_config(config.text_config, kept)

    def original(name: str) -> str:
        if not name.startswith(LAYERS):
            return name
        index, rest = name.removeprefix(LAYERS).split(".", 1)
        return f"{LAYERS}{kept[int(index)]}.{rest}"

    names = {name: original(name) for name in shapes(config)}
    needed = sum(predicted_bytes(config, "none").values())
    rewrite(source, target, config, names=names, needed=needed, memory=memory)


def _keep_in_config(text: PretrainedConfig, kept: Sequence[int]) -> None:
    """Change the number and the types of layers together, because reloading compares them."""
    text.layer_types = [text.layer_types[i] for i in kept]
    text.num_hidden_layers = len(kept)


def keep_encoder_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """keep_layers() for the audio encoder."""
    tower = model.model.audio_tower
    _check(kept, len(tower.layers), "an audio encoder")
    tower.layers = nn.ModuleList(tower.layers[i] for i in kept)
    tower.config.encoder_layers = len(kept)


@contextmanager
def without_encoder_layer(model: PreTrainedModel, layer: int) -> Iterator[None]:
    """Take a layer out of the audio encoder, and put it back when the context ends."""
    tower = model.model.audio_tower
    whole = tower.layers
    tower.layers = nn.ModuleList(module for i, module in enumerate(whole) if i != layer)
    try:
        yield
    finally:
        tower.layers = whole


def _check(kept: Sequence[int], count: int, stack: str) -> None:
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < count:
        raise InputError(
            f"layers {list(kept)} do not fit {stack} of {count} layers: "
            f"give each once, ascending, from 0 to {count - 1}"
        )
