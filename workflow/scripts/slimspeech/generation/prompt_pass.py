"""The pass of the prompts through a stack of layers, for all variants of it.

It fills the caches that decoding goes on with. Nothing is computed twice that variants or prompts
share, and nothing that is not read later.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from slimspeech.generation.caches import KeysAndValues, LayerCache, PromptCache
from slimspeech.models.decoder import kind_of, layer_inputs

PIECE = 2048  # positions at once on a CPU: of more, what a layer computes leaves the CPU's caches


def read_prompts(
    model: PreTrainedModel,
    kept: Sequence[int],
    missing: Sequence[int | None],
    embeddings: Tensor,
    mask: Tensor,
) -> tuple[list[LayerCache], Tensor, Tensor]:
    """The layers' caches, the states behind the stack, and the mask of the caches' positions.

    missing: by variant, in order, None last. embeddings: (B, L, hidden size), left padded; mask:
    (B, L). States: (variants * B, hidden size), of each prompt's last position.
    """
    opening, rest, mask = _apart(embeddings, mask)
    count = max(1, round(mask.numel() / PIECE)) if mask.device.type == "cpu" else 1
    pieces = [
        _Piece(model, kept, missing, [*opening, states], of_rows)
        for states, of_rows in zip(rest.tensor_split(count), mask.tensor_split(count), strict=True)
        if len(states)
    ]
    states = torch.cat([piece.read() for piece in pieces], dim=1).flatten(0, 1)
    caches = []
    for _ in kept:
        layers = [piece.caches.pop(0) for piece in pieces]  # what was joined need not be kept
        by_variant = zip(*(apart for apart, _, _ in layers), strict=True)
        apart = [cache for caches_of_variant in by_variant for cache in caches_of_variant]
        caches.append(LayerCache(apart, [shared for _, shared, _ in layers], layers[0][2]))
    return caches, states, mask


class _Piece:
    """Some of the prompts, in consecutive parts: of one row what all begin with, if anything, and
    the rest, (rows, positions, hidden size)."""

    def __init__(
        self,
        model: PreTrainedModel,
        kept: Sequence[int],
        missing: Sequence[int | None],
        parts: Sequence[Tensor],
        mask: Tensor,
    ):
        self.model = model
        self.decoder = model.get_decoder()
        self.kept = kept
        self.missing = missing
        self.parts = list(parts)
        self.mask = mask
        # By layer: of the variants that have left the trunk, of the trunk, how many are on it.
        self.caches: list[tuple[list[PromptCache], PromptCache, int]] = []

    def read(self) -> Tensor:
        """The states of the last position behind the stack: (variants, rows, hidden size).

        In the last layer only the last position runs whole: of the others nothing but keys and
        values is read again.
        """
        trunk = self.parts  # what all variants share that have not met their missing layer
        inputs = self._inputs(trunk)
        branches: list[list[Tensor]] = []  # the variants that have left the trunk, by themselves
        for layer in self.kept:
            if layer == self.kept[-1]:
                branches, trunk = [_last_apart(parts) for parts in branches], _last_apart(trunk)
                inputs = self._inputs(trunk)
            through = len(branches)
            if through < len(self.missing) and self.missing[through] == layer:
                branches.append(trunk)
            apart = [PromptCache(len(self.mask)) for _ in range(through)]
            for number, cache in enumerate(apart):
                branches[number] = self._pass(layer, branches[number], inputs, cache)
            shared, behind = PromptCache(len(self.mask)), len(self.missing) - len(branches)
            if behind:
                trunk = self._pass(layer, trunk, inputs, shared)
            self.caches.append((apart, shared, behind))
        streams = [*branches, *[trunk] * (len(self.missing) - len(branches))]
        return torch.stack([parts[-1][:, -1] for parts in streams])

    def _inputs(self, parts: Sequence[Tensor]) -> list[dict[str, dict[str, Any]]]:
        """What the layers take besides the states."""
        inputs, end = [], 0
        for part in parts:
            end += part.shape[1]
            mask = self.mask[: len(part), :end]
            inputs.append(layer_inputs(self.model, part, mask, queries=part.shape[1]))
        return inputs

    def _pass(
        self,
        layer: int,
        parts: Sequence[Tensor],
        inputs: Sequence[dict[str, dict[str, Any]]],
        cache: PromptCache,
    ) -> list[Tensor]:
        """The parts behind a layer; behind the last layer of the stack only the last part."""
        module, kind = self.decoder.layers[layer], kind_of(self.decoder, layer)
        behind = []
        for number, (part, own) in enumerate(zip(parts, inputs, strict=True)):
            wanted = layer != self.kept[-1] or number + 1 == len(parts)
            attend = cache.attend(own[kind]["attention_mask"], wanted)
            with contextlib.suppress(KeysAndValues):
                behind.append(module(part, attend=attend, **own[kind] | {"attention_mask": None}))
        return behind


def _apart(embeddings: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """What all prompts begin with, one row, if anything; the rest of them; the mask of both.

    Columns between the two are not read, where before were those left of the prompts.
    """
    shared = _shared(embeddings, mask)
    if not shared:
        return [], embeddings, mask
    lengths = mask.sum(1, keepdim=True)
    columns = torch.arange(embeddings.shape[1], device=mask.device)
    unread = embeddings.shape[1] - lengths
    moved = (columns < shared) | (columns >= shared + unread)
    opening = embeddings[lengths.argmax(), None, :shared]
    return [opening], embeddings[:, shared:], moved.to(mask.dtype)


def _shared(embeddings: Tensor, mask: Tensor) -> int:
    """How many positions all prompts begin with, fewer than the shortest has. Left padded."""
    count, length = mask.shape
    if count == 1:
        return 0
    padding = length - mask.sum(1, keepdim=True)
    columns = torch.arange(length, device=mask.device)
    places = (padding + columns).clamp(max=length - 1)
    aligned = embeddings[torch.arange(count, device=mask.device)[:, None], places]
    same = (aligned == aligned[:1]).all(-1).all(0) & (columns < length - padding.max() - 1)
    return int(same.cumprod(0).sum())


def _last_apart(parts: Sequence[Tensor]) -> list[Tensor]:
    """The same parts of the prompts, the last position in a part of its own."""
    *others, last = parts
    return [*others, *([last[:, :-1]] if last.shape[1] > 1 else []), last[:, -1:]]
