"""Depth pruning: reduce a decoder or an audio encoder to some of its layers."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.loading import read_config
from slimspeech.models.shapes import shapes
from slimspeech.pruning.stack import check_last
from slimspeech.quantization.predicted_size import predicted_bytes


def list_layers(directory: str | Path) -> Row:
    """layers.json before the first removal: all `kept`, none `removed`, from the config alone.

    `may_be_last` is there if the model does not load with any layer as the last one.
    """
    config = read_config(directory)
    layers = {"kept": list(range(config.text_config.num_hidden_layers)), "removed": []}
    last = families.of(config).may_be_last(config.text_config)
    return layers if last is None else layers | {"may_be_last": last}


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Reduce the decoder to these layers, in place, as if it had been built with them.

    Raises InputError if `kept` is empty, unordered, or repeats or invents a layer, and for a stack
    that the model's family does not allow.
    """
    family, decoder = families.of(model.config), model.get_decoder()
    _check(kept, len(decoder.layers), "a decoder")
    check_last(kept, family.may_be_last(decoder.config))
    decoder.layers = nn.ModuleList(decoder.layers[i] for i in kept)
    for index, layer in enumerate(decoder.layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = index  # the key-value cache is indexed by it
    family.keep_in_config(decoder.config, kept)


def prune_checkpoint(
    source: str | Path, target: str | Path, kept: Sequence[int], memory: float = math.inf
) -> None:
    """Write a model with some of another's decoder layers, in bfloat16, without loading it.

    memory: as in rewrite(). Raises InputError as keep_layers() and rewrite() do.
    """
    config = read_config(source)
    family, text_config = families.of(config), config.text_config
    _check(kept, text_config.num_hidden_layers, "a decoder")
    check_last(kept, family.may_be_last(text_config))
    family.keep_in_config(text_config, kept)

    def original(name: str) -> str:
        index = family.layer_of(name)
        if index is None:
            return name
        rest = name.removeprefix(f"{family.layers}{index}.")
        return f"{family.layers}{kept[index]}.{rest}"

    names = {name: original(name) for name in shapes(config)}
    needed = sum(predicted_bytes(config, "none").values())
    rewrite(source, target, config, names=names, needed=needed, memory=memory)


def keep_encoder_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """keep_layers() for the audio encoder."""
    tower = audio_encoder(model)
    _check(kept, len(tower.layers), "an audio encoder")
    tower.layers = nn.ModuleList(tower.layers[i] for i in kept)
    tower.config.encoder_layers = len(kept)


def audio_encoder(model: PreTrainedModel) -> nn.Module:
    """Raises InputError for a model that has none."""
    tower = getattr(model.model, "audio_tower", None)
    if tower is None:
        raise InputError("the model has no audio encoder; prune its decoder (part: decoder)")
    return tower


@contextmanager
def without_encoder_layer(model: PreTrainedModel, layer: int) -> Iterator[None]:
    """Take a layer out of the audio encoder, and put it back when the context ends."""
    tower = audio_encoder(model)
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
