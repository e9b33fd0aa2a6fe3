"""Greedy decoding of many variants of one decoder in one batch.

A variant is a stack of layers, or that stack without one of them. All variants share the audio
encoder, the prompt's pass up to their missing layer, and every read of a layer's weights: at a
layer all rows run except those of the variant that lacks it. The tokens are those of pruning the
model and calling `generate`, which the tests compare.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from slimspeech.errors import InputError
from slimspeech.models.encoder import bias_of

GROWTH = 32  # positions by which a key-value cache grows
COMPACT_BELOW = 0.75  # share of rows still running below which the finished ones are dropped


def embed_prompts(model: PreTrainedModel, input_ids: Tensor, audio: Sequence[Tensor]) -> Tensor:
    """(B, L, hidden size): the prompts' embeddings with the clips' in place of the placeholders."""
    placeholders = input_ids == model.config.audio_token_id
    embeddings = model.get_input_embeddings()(input_ids)
    found, wanted = sum(map(len, audio)), int(placeholders.sum())
    if found != wanted:
        raise RuntimeError(f"{found} audio embeddings for {wanted} placeholders in the prompts")
    embeddings[placeholders] = torch.cat(list(audio)).to(embeddings.dtype)
    return embeddings


def attention_inputs(
    decoder: nn.Module, embeddings: Tensor, mask: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What a decoder layer takes besides the states of a whole pass: attention bias, rotary angles.

    embeddings: (B, L, hidden size); mask: (B, L), padded on either side.
    Raises InputError for a decoder with a sliding window.
    """
    if set(decoder.config.layer_types) != {"full_attention"}:
        raise InputError("the decoder has layers with a sliding window, which are not supported")
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    length = embeddings.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=embeddings.device).tril()
    bias = bias_of(causal & mask.bool()[:, None, None, :], embeddings.dtype)
    return bias, decoder.rotary_emb(embeddings, positions)


def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """(…, vocabulary), from what the last layer gives: (…, hidden size).

    Raises RuntimeError if a logit is not a number.
    """
    logits = model.lm_head(model.get_decoder().norm(states))
    if not torch.isfinite(logits).all():
        raise RuntimeError("the model gives logits that are not numbers; use precision: fp32")
    return logits


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
) -> list[list[list[int]]]:
    """Translate B prompts with every variant: tokens by variant, in the order of `missing`, by row.

    kept: the layers of the stack, by their index in the model. missing: for each variant the one
    of `kept` that it lacks, or None for the whole stack. embeddings: (B, L, hidden size), left
    padded; mask: (B, L). The end token is not part of the result.
    Raises InputError if a missing layer is not kept or is given twice, RuntimeError if a logit is
    not a number.
    """
    strangers = [layer for layer in missing if layer is not None and layer not in kept]
    if strangers or len(set(missing)) != len(missing):
        raise InputError(f"variants without layers {list(missing)} do not fit the stack {kept}")
    # In order of the missing layer, so that the rows that share a prompt's pass are neighbours.
    order = sorted(range(len(missing)), key=lambda v: (missing[v] is None, missing[v]))
    batch = _Batch(model, kept, [missing[v] for v in order], mask)
    tokens = batch.run(embeddings, max_new_tokens, torch.tensor(list(end_tokens)))
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
    ):
        self.model = model
        self.decoder = model.get_decoder()
        self.kept = kept
        self.missing = missing
        self.mask = mask
        self.caches: list[_LayerCache] = []

    def run(self, embeddings: Tensor, max_new_tokens: int, end: Tensor) -> list[list[int]]:
        end = end.to(embeddings.device)
        tokens = self._prompt(embeddings).argmax(-1)
        mask = self.mask.repeat(len(self.missing), 1)
        rows = torch.arange(len(tokens), device=tokens.device)  # numbers of the active rows
        running = torch.ones_like(rows, dtype=torch.bool)
        found: list[list[int]] = [[] for _ in rows]
        for step in range(max_new_tokens):
            running &= ~torch.isin(tokens, end)
            for row, token, on in zip(*map(Tensor.tolist, (rows, tokens, running)), strict=True):
                if on:
                    found[row].append(token)
            left = int(running.sum())
            if left == 0 or step + 1 == max_new_tokens:
                break
            if left < COMPACT_BELOW * len(rows):
                renumbered = running.cumsum(0) - 1
                for cache in self.caches:
                    cache.select(running, renumbered)
                rows, tokens, mask = rows[running], tokens[running], mask[running]
                running = running[running]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            tokens = self._step(tokens, mask).argmax(-1)
        return found

    def _prompt(self, embeddings: Tensor) -> Tensor:
        """The prompts' pass: fills the caches, returns logits (variants * B, vocabulary)."""
        bias, rotary = attention_inputs(self.decoder, embeddings, self.mask)
        trunk = embeddings  # what all variants share that have not met their missing layer
        branches: list[Tensor] = []
        for layer in self.kept:
            through = len(branches)  # the variants that have left the trunk run by themselves
            lacking = through < len(self.missing) and self.missing[through] == layer
            if lacking:
                branches.append(trunk)
            together = _Capture()
            captured = [_Capture() for _ in range(through)]
            module = self.decoder.layers[layer]
            for number, capture in enumerate(captured):
                branches[number] = module(
                    branches[number], bias, past_key_values=capture, position_embeddings=rotary
                )
            behind = len(self.missing) - len(branches)  # variants still on the trunk
            if behind:
                trunk = module(trunk, bias, past_key_values=together, position_embeddings=rotary)
            self._keep([*captured, *[together] * behind], through if lacking else None)
        last = torch.cat([*branches, *[trunk] * (len(self.missing) - len(branches))])[:, -1]
        return logits_of(self.model, last)

    def _keep(self, captured: Sequence[_Capture], lacking: int | None) -> None:
        """Lay out one layer's keys and values for the rows that run it."""
        count = len(self.mask)
        rows = torch.arange(len(self.missing) * count, device=self.mask.device)
        if lacking is not None:
            rows = rows[(rows < lacking * count) | (rows >= (lacking + 1) * count)]
        room = [0, 0, 0, GROWTH]
        keys, values = (
            nn.functional.pad(torch.cat(parts), room)
            if captured
            else torch.empty(0, device=self.mask.device)
            for parts in ([c.keys for c in captured], [c.values for c in captured])
        )
        self.caches.append(_LayerCache(rows, keys, values, self.mask.shape[1]))

    def _step(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One token further: logits (active rows, vocabulary). mask includes the new token."""
        hidden = self.model.get_input_embeddings()(tokens)[:, None]
        rotary = self.decoder.rotary_emb(hidden, mask.sum(-1, keepdim=True) - 1)
        bias = bias_of(mask.bool(), hidden.dtype)[:, None, None, :]
        for layer, cache in zip(self.kept, self.caches, strict=True):
            module = self.decoder.layers[layer]
            if len(cache.rows) == len(hidden):
                hidden = module(hidden, bias, past_key_values=cache, position_embeddings=rotary)
            elif len(cache.rows):
                here = cache.rows
                hidden[here] = module(
                    hidden[here],
                    bias[here],
                    past_key_values=cache,
                    position_embeddings=tuple(angle[here] for angle in rotary),
                )
        return logits_of(self.model, hidden[:, -1])
