"""Keys and values of the decoding engine, and the attention of its layers to them.

Variants that have not met their missing layer share a prompt's keys and values: these are kept and
read once a prompt, with one query for each variant.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

GROWTH = 32  # tokens by which a cache grows
NAME = "slimspeech"

# Of a layer's module, queries (n, heads, tokens, size), keys and values (n, key-value heads,
# tokens, size) and the scaling of scores: what the queries read, (n, heads, tokens, size).
Attend = Callable[[nn.Module, Tensor, Tensor, Tensor, float], Tensor]


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    attend: Attend,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    return attend(module, query, key, value, scaling).transpose(1, 2), None


AttentionInterface.register(NAME, _attention)


@contextlib.contextmanager
def attention_by_caches(decoder: nn.Module) -> Iterator[None]:
    """The decoder's layers take an argument `attend`, of type Attend, and attend by it."""
    usual = decoder.config._attn_implementation
    decoder.config._attn_implementation = NAME
    try:
        yield
    finally:
        decoder.config._attn_implementation = usual


class KeysAndValues(Exception):
    """A layer has computed its keys and values, and no more of it is wanted."""


class PromptCache:
    """What one layer computes of prompts, part by part.

    A part of one row, which all prompts begin with, is repeated for each of the `prompts`.
    """

    def __init__(self, prompts: int):
        self.prompts = prompts
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def attend(self, bias: Tensor, wanted: bool) -> Attend:
        """Of the next part to all up to it. Raises KeysAndValues if it is not wanted."""

        def of(
            module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float
        ) -> Tensor:
            self.keys.append(key)
            self.values.append(value)
            if not wanted:
                raise KeysAndValues
            keys, values = (key, value) if len(self.keys) == 1 else self.whole()
            read, _ = sdpa_attention_forward(module, query, keys, values, bias, scaling=scaling)
            return read.transpose(1, 2)

        return of

    def whole(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all parts: (prompts, key-value heads, positions, size)."""
        if len(self.keys) > 1:
            for parts in (self.keys, self.values):
                rows = [part.expand(self.prompts, -1, -1, -1) for part in parts]
                parts[:] = [torch.cat(rows, dim=2)]
        return self.keys[0], self.values[0]


class LayerCache:
    """Keys and values of one layer for the rows that run it, variant by variant.

    apart: of each variant that has left the trunk, all its prompts in order. shared: of the trunk.
    variants: how many share it; they come last.
    """

    def __init__(self, apart: Sequence[PromptCache], shared: Sequence[PromptCache], variants: int):
        self.apart = _Store.of(apart, 1)
        self.shared = _Store.of(shared, variants)
        self.variants = variants

    def attend(self, places: Tensor | None, apart: Tensor, shared: Tensor) -> Attend:
        """Of one token of each row, which is added.

        places: of the rows that share, in a grid of variants and prompts; None if they fill it.
        apart, shared: attention bias of the rows with a prompt of their own, (rows, 1, 1,
        positions), and of the prompts, (prompts, 1, 1, positions).
        """

        def of(_: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
            own, read = len(apart), []
            if own:
                keys, values = self.apart.add(key[:own], value[:own])
                read.append(_read(query[:own], keys, values, apart, scaling))
            if own < len(query):
                query, key, value = (
                    self._by_prompt(states[own:], places) for states in (query, key, value)
                )
                keys, values = self.shared.add(key, value)
                bias = self._of_variants(shared)
                through = _read(query, keys, values, bias, scaling)
                through = through.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]
                read.append(through if places is None else through[places])
            return read[0] if len(read) == 1 else torch.cat(read)

        return of

    def _by_prompt(self, states: Tensor, places: Tensor | None) -> Tensor:
        """Rows' states, (rows, heads, 1, size), as (prompts, heads, variants, size)."""
        if places is not None:
            grid = states.new_zeros(self.variants * len(self.shared.keys), *states.shape[1:])
            states = grid.index_copy(0, places, states)
        return states.squeeze(2).unflatten(0, (self.variants, -1)).permute(1, 2, 0, 3)

    def _of_variants(self, bias: Tensor) -> Tensor:
        """(prompts, 1, variants, positions): a variant's query reads the tokens of that variant."""
        if self.variants == 1:
            return bias
        prompt, tokens = bias.tensor_split([self.shared.prompt], dim=-1)
        lowest = torch.finfo(bias.dtype).min
        own = torch.eye(self.variants, dtype=torch.bool, device=bias.device)[:, None]
        tokens = torch.where(own, tokens[..., None], lowest).flatten(-2)
        return torch.cat([prompt.expand(-1, -1, self.variants, -1), tokens], dim=-1)

    def select(self, rows: Tensor, prompts: Tensor, variants: Tensor) -> None:
        """Keep some of the rows that have a prompt of their own, prompts and sharing variants.

        Each by their numbers, in order.
        """
        self.apart = self.apart.of_rows(rows) if self.apart else None
        if self.shared:
            shared = self.shared.of_rows(prompts)
            self.shared = shared.of_tokens(self.variants, variants)
        self.variants = len(variants)


@dataclass
class _Store:
    """Keys and values, (n, heads, positions, size), `used` of them: of `prompt` positions of a
    prompt, then some of each token."""

    keys: Tensor
    values: Tensor
    prompt: int
    used: int

    @classmethod
    def of(cls, caches: Sequence[PromptCache], width: int) -> "_Store | None":
        """With room for tokens of which each takes `width` positions."""
        if not caches or not width:
            return None
        parts = [cache.whole() for cache in caches]
        keys, values = (_joined(whole, GROWTH * width) for whole in zip(*parts, strict=True))
        length = parts[0][0].shape[2]
        return cls(keys, values, length, length)

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The next token's keys and values, (n, heads, width, size), join the others: all."""
        used, self.used = self.used, self.used + keys.shape[2]
        if self.used > self.keys.shape[2]:
            room = GROWTH * keys.shape[2]
            self.keys = _joined([self.keys[:, :, :used]], room)
            self.values = _joined([self.values[:, :, :used]], room)
        self.keys[:, :, used : self.used] = keys
        self.values[:, :, used : self.used] = values
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def of_rows(self, rows: Tensor) -> "_Store | None":
        if len(rows) == len(self.keys):
            return self
        if not len(rows):
            return None
        return replace(self, keys=self.keys[rows], values=self.values[rows])

    def of_tokens(self, width: int, kept: Tensor) -> "_Store | None":
        """With some of the `width` positions that each token has."""
        if len(kept) == width:
            return self
        if not len(kept):
            return None
        prompt = torch.arange(self.prompt, device=kept.device)
        tokens = torch.arange(self.prompt, self.used, device=kept.device).unflatten(0, (-1, width))
        columns = torch.cat([prompt, tokens[:, kept].flatten()])
        room = GROWTH * len(kept)
        keys = _joined([self.keys[:, :, columns]], room)
        values = _joined([self.values[:, :, columns]], room)
        return _Store(keys, values, self.prompt, len(columns))


def _joined(parts: Sequence[Tensor], room: int) -> Tensor:
    """The parts one after the other, each (rows, heads, positions, size), and room for more."""
    count, (_, heads, length, size) = sum(map(len, parts)), parts[0].shape
    whole = parts[0].new_empty(count, heads, length + room, size)
    torch.cat(list(parts), out=whole[:, :, :length])
    return whole


def _read(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """Attention, (n, heads, queries, size); query heads share a key-value head without copies.

    bias: (n, 1, queries, positions).
    """
    _, heads, queries, _ = query.shape
    group = heads // keys.shape[1]
    query = query.unflatten(1, (-1, group)).flatten(2, 3)
    if group > 1 and queries > 1:
        bias = bias.repeat(1, 1, group, 1)
    read = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=scaling)
    return read.unflatten(2, (group, queries)).flatten(1, 2)
