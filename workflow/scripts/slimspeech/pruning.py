"""Depth pruning: reduce a decoder to some of its layers."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from slimspeech.checkpoints import as_it_is, read_config, rewrite, shapes
from slimspeech.errors import InputError
from slimspeech.footprint import predicted_bytes

LAYERS = "language_model.model.layers."


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Reduce the decoder to these layers, in place, as if it had been built with them.

    Raises InputError when a layer is not there, or the list is empty, unordered or repeats one.
    """
    decoder = model.get_decoder()
    _check(kept, len(decoder.layers))
    decoder.layers = nn.ModuleList(decoder.layers[i] for i in kept)
    for index, layer in enumerate(decoder.layers):
        layer.self_attn.layer_idx = index  # the key-value cache is indexed by it
    _keep_in_config(decoder.config, kept)


def prune_checkpoint(source: str | Path, target: str | Path, kept: Sequence[int]) -> None:
    """Write a model with some of another's decoder layers, in bfloat16, without loading it.

    Raises InputError as keep_layers() and rewrite() do.
    """
    config = read_config(source)
    _check(kept, config.text_config.num_hidden_layers)
    _keep_in_config(config.text_config, kept)

    def original(name: str) -> str:
        if not name.startswith(LAYERS):
            return name
        index, rest = name.removeprefix(LAYERS).split(".", 1)
        return f"{LAYERS}{kept[int(index)]}.{rest}"

    names = {name: original(name) for name in shapes(config)}
    needed = sum(predicted_bytes(config, "none").values())
    rewrite(source, target, config, as_it_is, names=names, needed=needed)


def _check(kept: Sequence[int], count: int) -> None:
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < count:
        raise InputError(
            f"layers {list(kept)} do not fit a decoder of {count} layers: "
            f"give each once, ascending, from 0 to {count - 1}"
        )


def _keep_in_config(text: PretrainedConfig, kept: Sequence[int]) -> None:
    """Change both what the count and the kinds of layers say: reloading compares them."""
    text.layer_types = [text.layer_types[i] for i in kept]
    text.num_hidden_layers = len(kept)
