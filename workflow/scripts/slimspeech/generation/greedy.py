"""Greedy decoding of many variants of one decoder in one batch.

A variant is a stack of layers, or that stack without one of them. All variants share the audio
encoder, the prompt's pass up to their missing layer, and every read of a layer's weights: at a
layer all rows run except those of the variant that lacks it. The tokens are those of pruning the
model and calling `generate`, which the tests compare.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.models.decoder import head, kind_of, layer_inputs, of_rows, require_finite

GROWTH = 32  # positions by which a key-value cache grows
COMPACT_BELOW = 0.75  # share of rows still running below which the finished ones are dropped


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    kept: Sequence[int],
    missing: Sequence[int | None],
    embeddings: Tensor,
    mask: Tensor,
    *,
    max_new_tokens: int,
    end_tokens: Iterable[int],
    suppressed: Iterable[int] = (),
) -> list[list[list[int]]]:
    """Translate B prompts with every variant: tokens by variant, in the order of `missing`, by row.

    kept: the layers of the stack, by their index in the model. missing: for each variant the one
    of `kept` that it lacks, or None for the whole stack. embeddings: (B, L, hidden size), left
    padded; mask: (B, L). The end token is not part of the result. suppressed: tokens that are
    never chosen.
    Raises InputError if a missing layer is not kept or is given twice, RuntimeError if a logit is
    not a number.
    """
    strangers = [layer for layer in missing if layer is not None and layer not in kept]
    if strangers or len(set(missing)) != len(missing):
        raise InputError(f"variants without layers {list(missing)} do not fit the stack {kept}")
    # In order of the missing layer, so that the rows that share a prompt's pass are neighbours.
    order = sorted(range(len(missing)), key=lambda v: (missing[v] is None, missing[v]))
    batch = _Batch(model, kept, [missing[v] for v in order], mask, list(suppressed))
    tokens = batch.run(embeddings, max_new_tokens, set(end_tokens))
    count = len(mask)
    by_variant = {v: tokens[n * count : (n + 1) * count] for n, v in enumerate(order)}
    return [by_variant[v] for v in range(len(missing))]


@dataclass
class _LayerCache:
    """Keys and values of one layer, for the rows that run it: (rows, heads, positions, size).

    The attention module calls `update` as it would that of transformers' caches.
    """

    rows: Tensor  # which of the batch's rows run the layer
    keys: Tensor
    values: Tensor
    used: int

    def update(self, keys: Tensor, values: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        if self.used == self.keys.shape[2]:
            self.keys, self.values = (
                torch.cat([old, old.new_empty(*old.shape[:2], GROWTH, old.shape[3])], dim=2)
                for old in (self.keys, self.values)
            )
        self.keys[:, :, self.used] = keys[:, :, 0]
        self.values[:, :, self.used] = values[:, :, 0]
        self.used += 1
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def select(self, running: Tensor, renumbered: Tensor) -> None:
        """Keep the running rows only; `renumbered` gives a row's new number."""
        here = running[self.rows].nonzero().squeeze(1)
        self.keys, self.values = self.keys[here], self.values[here]
        self.rows = renumbered[self.rows[here]]


class _Capture:
    """A cache for the prompt's pass: takes what the layer computes, gives it back as it is."""

    def update(self, keys: Tensor, values: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        self.keys, self.values = keys, values
        return keys, values


class _Batch:
    """Rows variant by variant: row v * B + b is prompt b in variant v."""

    def __init__(
        self,
        model: PreTrainedModel,
        kept: Sequence[int],
        missing: Sequence[int | None],
        mask: Tensor,
        suppressed: Sequence[int],
    ):
        self.model = model
        self.family = families.of(model.config)
        self.decoder = model.get_decoder()
        self.kept = kept
        self.missing = missing
        self.mask = mask
        self.suppressed = suppressed
        self.caches: list[_LayerCache] = []

    def run(self, embeddings: Tensor, max_new_tokens: int, ends: set[int]) -> list[list[int]]:
        tokens = self._prompt(embeddings).argmax(-1)
        mask = self.mask.repeat(len(self.missing), 1)
        rows = list(range(len(tokens)))  # numbers of the active rows
        running = [True] * len(rows)
        translations: list[list[int]] = [[] for _ in rows]
        for step in range(max_new_tokens):
            # The only wait for the device in a step: all that follows needs no answer of it.
            for position, token in enumerate(tokens.tolist()):
                running[position] &= token not in ends
                if running[position]:
                    translations[rows[position]].append(token)
            require_finite(self.finite)
            left = sum(running)
            if left == 0 or step + 1 == max_new_tokens:
                break
            if left < COMPACT_BELOW * len(rows):
                tokens, mask = self._compact(running, tokens, mask)
                rows = [row for row, on in zip(rows, running, strict=True) if on]
                running = [True] * len(rows)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            tokens = self._step(tokens, mask).argmax(-1)
        return translations

    def _compact(
        self, running: Sequence[bool], tokens: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Drop the rows that have ended from the caches; tokens and mask of the others."""
        still = torch.tensor(running, device=tokens.device)
        renumbered = still.cumsum(0) - 1
        for cache in self.caches:
            cache.select(still, renumbered)
        return tokens[still], mask[still]

    def _prompt(self, embeddings: Tensor) -> Tensor:
        """The prompts' pass: fills the caches, returns logits (variants * B, vocabulary)."""
        inputs = layer_inputs(self.model, embeddings, self.mask)
        trunk = embeddings  # what all variants share that have not met their missing layer
        branches: list[Tensor] = []
        for layer in self.kept:
            through = len(branches)  # the variants that have left the trunk run by themselves
            lacking = through < len(self.missing) and self.missing[through] == layer
            if lacking:
                branches.append(trunk)
            together = _Capture()
            captured = [_Capture() for _ in range(through)]
            module, own = self.decoder.layers[layer], inputs[kind_of(self.decoder, layer)]
            for number, capture in enumerate(captured):
                branches[number] = module(branches[number], past_key_values=capture, **own)
            behind = len(self.missing) - len(branches)  # variants still on the trunk
            if behind:
                trunk = module(trunk, past_key_values=together, **own)
            self._keep([*captured, *[together] * behind], through if lacking else None)
        last = torch.cat([*branches, *[trunk] * (len(self.missing) - len(branches))])[:, -1]
        return self._logits(last)

    def _keep(self, captured: Sequence[_Capture], lacking: int | None) -> None:
        """Lay out one layer's keys and values for the rows that run it."""
        count = len(self.mask)
        rows = torch.arange(len(self.missing) * count, device=self.mask.device)
        if lacking is not None:
            rows = rows[(rows < lacking * count) | (rows >= (lacking + 1) * count)]
        keys, values = (
            _with_room(parts) if captured else torch.empty(0, device=self.mask.device)
            for parts in ([c.keys for c in captured], [c.values for c in captured])
        )
        self.caches.append(_LayerCache(rows, keys, values, self.mask.shape[1]))

    def _step(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One token further: logits (active rows, vocabulary). mask includes the new token."""
        hidden = self.family.embed(self.model, tokens)[:, None]
        inputs = layer_inputs(self.model, hidden, mask, queries=1)
        for layer, cache in zip(self.kept, self.caches, strict=True):
            module, own = self.decoder.layers[layer], inputs[kind_of(self.decoder, layer)]
            rows = cache.rows
            if len(rows) == len(hidden):
                hidden = module(hidden, past_key_values=cache, **own)
            elif len(rows):
                hidden[rows] = module(hidden[rows], past_key_values=cache, **of_rows(own, rows))
        return self._logits(hidden[:, -1])

    def _logits(self, states: Tensor) -> Tensor:
        logits = head(self.model, self.decoder.norm(states))
        self.finite = torch.isfinite(logits).all()
        if self.suppressed:
            logits[:, self.suppressed] = -torch.inf
        return logits


def _with_room(parts: Sequence[Tensor]) -> Tensor:
    """The parts one after the other, each (rows, heads, positions, size), and room to grow."""
    count, (_, heads, length, size) = sum(map(len, parts)), parts[0].shape
    whole = parts[0].new_empty(count, heads, length + GROWTH, size)
    torch.cat(list(parts), out=whole[:, :, :length])
    return whole
