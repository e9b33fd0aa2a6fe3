"""Depth pruning: reduce a decoder to some of its layers."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from slimspeech.errors import InputError


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Reduce the decoder to these layers, in place, as if it had been built with them.

    Raises InputError when a layer is not there, or the list is empty, unordered or repeats one.
    """
    decoder = model.get_decoder()
    count = len(decoder.layers)
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < count:
        raise InputError(
            f"layers {list(kept)} do not fit a decoder of {count} layers: "
            f"give each once, ascending, from 0 to {count - 1}"
        )
    decoder.layers = nn.ModuleList(decoder.layers[i] for i in kept)
    for index, layer in enumerate(decoder.layers):
        layer.self_attn.layer_idx = index  # the key-value cache is indexed by it
    # layer_types is checked against the count on reload, so both change together
    decoder.config.layer_types = [decoder.config.layer_types[i] for i in kept]
    decoder.config.num_hidden_layers = len(kept)
