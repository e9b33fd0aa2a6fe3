"""Greedy decoding of many variants of one decoder in one batch.

A variant is a stack of layers, or that stack without one of them. Up to their missing layer all
variants share the prompts' pass, and its keys and values; at every layer they share the read of the
weights, as all rows run together except those of the variant that lacks it. The tokens are those of
pruning the model and calling `generate`, which the tests compare.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.generation.caches import LayerCache, attention_by_caches
from slimspeech.generation.prompt_pass import read_prompts
from slimspeech.models.decoder import head, kind_of, layer_inputs, require_finite

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
    # In order of the missing layer: the variants on the trunk come last, at each layer.
    order = sorted(range(len(missing)), key=lambda v: (missing[v] is None, missing[v]))
    batch = _Batch(model, kept, [missing[v] for v in order], mask, list(suppressed))
    with attention_by_caches(batch.decoder):
        tokens = batch.run(embeddings, max_new_tokens, set(end_tokens))
    count = len(mask)
    by_variant = {v: tokens[n * count : (n + 1) * count] for n, v in enumerate(order)}
    return [by_variant[v] for v in range(len(missing))]


def copies_of_prompts(kept: Sequence[int], missing: Sequence[int | None]) -> list[int]:
    """How often each layer of a stack holds the keys and values of a prompt.

    Once for the variants on the trunk, and once for each that has met its missing layer.
    """
    through = [_through(missing, layer) for layer in kept]
    return [
        count + (count + (layer in missing) < len(missing))
        for layer, count in zip(kept, through, strict=True)
    ]


def _through(missing: Sequence[int | None], layer: int) -> int:
    """How many variants have left the trunk before a layer."""
    return sum(gone is not None and gone < layer for gone in missing)


@dataclass(frozen=True)
class _Span:
    """Where a layer's rows are.

    apart: rows [0, apart) are of variants that have left the trunk. shared: rows from there on are
    of those still on it; the rows between lack the layer. first: the first variant on the trunk.
    places: of the shared rows in the grid of these variants and the prompts, None if they fill it.
    """

    apart: int
    shared: int
    first: int
    places: Tensor | None


class _Batch:
    """Rows of B prompts, variant by variant. A row that has ended is dropped some time later."""

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
        self.missing = list(missing)
        self.mask = mask
        self.suppressed = suppressed
        self.caches: list[LayerCache] = []

    def run(self, embeddings: Tensor, max_new_tokens: int, ends: set[int]) -> list[list[int]]:
        tokens = self._prompt(embeddings).argmax(-1)
        self._place([(v, b) for v in range(len(self.missing)) for b in range(len(self.mask))])
        numbers = list(range(len(tokens)))  # of the rows that are left
        running = [True] * len(numbers)
        translations: list[list[int]] = [[] for _ in numbers]
        for step in range(max_new_tokens):
            # The only wait for the device in a step: all that follows needs no answer of it.
            for position, token in enumerate(tokens.tolist()):
                running[position] &= token not in ends
                if running[position]:
                    translations[numbers[position]].append(token)
            require_finite(self.finite)
            left = sum(running)
            if left == 0 or step + 1 == max_new_tokens:
                break
            if left < COMPACT_BELOW * len(numbers):
                still = [position for position, on in enumerate(running) if on]
                tokens = tokens[self._compact(still)]
                numbers = [numbers[position] for position in still]
                running = [True] * len(numbers)
            tokens = self._step(tokens).argmax(-1)
        return translations

    def _place(self, rows: Sequence[tuple[int, int]]) -> None:
        """Note the rows, each by its variant and prompt, and where each layer finds its own."""
        self.rows = rows
        prompts, variants = len(self.mask), len(self.missing)
        of_variants = [v for v, _ in rows]
        before = [bisect_left(of_variants, variant) for variant in range(variants + 1)]
        self.prompt_of = torch.tensor([b for _, b in rows], device=self.mask.device)
        places = torch.tensor([v * prompts + b for v, b in rows], device=self.mask.device)
        self.spans = []
        for layer in self.kept:
            through = _through(self.missing, layer)
            first = through + (layer in self.missing)
            filled = len(rows) - before[first] == (variants - first) * prompts
            own = None if filled else places[before[first] :] - first * prompts
            self.spans.append(_Span(before[through], before[first], first, own))

    def _compact(self, still: Sequence[int]) -> Tensor:
        """Drop all rows but these, by position; the positions as a tensor."""
        device = self.mask.device
        rows = [self.rows[position] for position in still]
        variants, prompts = (sorted(set(numbers)) for numbers in zip(*rows, strict=True))
        positions = torch.tensor(still, device=device)
        heard = torch.tensor(prompts, device=device)
        for cache, span in zip(self.caches, self.spans, strict=True):
            apart = bisect_left(still, span.apart)
            sharing = [v - span.first for v in variants if v >= span.first]
            cache.select(positions[:apart], heard, torch.tensor(sharing, device=device))
        self.mask = self.mask[heard]
        self.missing = [self.missing[v] for v in variants]
        new_v, new_b = ({old: new for new, old in enumerate(kept)} for kept in (variants, prompts))
        self._place([(new_v[v], new_b[b]) for v, b in rows])
        return positions

    def _prompt(self, embeddings: Tensor) -> Tensor:
        """The prompts' pass: fills the caches, returns logits (variants * B, vocabulary)."""
        self.caches, states, self.mask = read_prompts(
            self.model, self.kept, self.missing, embeddings, self.mask
        )
        return self._logits(states)

    def _step(self, tokens: Tensor) -> Tensor:
        """One token further: logits (rows, vocabulary)."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        hidden = self.family.embed(self.model, tokens)[:, None]
        inputs = layer_inputs(self.model, hidden, self.mask, queries=1)
        biases, bias_of_rows = {}, {}
        for kind, own in inputs.items():
            biases[kind] = own["attention_mask"]
            bias_of_rows[kind] = biases[kind][self.prompt_of]
            angles = tuple(angle[self.prompt_of] for angle in own["position_embeddings"])
            own |= {"attention_mask": None, "position_embeddings": angles}
        for layer, cache, span in zip(self.kept, self.caches, self.spans, strict=True):
            module, kind = self.decoder.layers[layer], kind_of(self.decoder, layer)
            own, lacking = inputs[kind], slice(span.apart, span.shared)
            attend = cache.attend(span.places, bias_of_rows[kind][: span.apart], biases[kind])
            if span.apart == span.shared:
                hidden = module(hidden, attend=attend, **own)
            elif span.shared - span.apart < len(hidden):
                angles = tuple(_without(angle, lacking) for angle in own["position_embeddings"])
                own = own | {"position_embeddings": angles}
                through = module(_without(hidden, lacking), attend=attend, **own)
                parts = through.tensor_split([span.apart])
                hidden = torch.cat([parts[0], hidden[lacking], parts[1]])
        return self._logits(hidden[:, -1])

    def _logits(self, states: Tensor) -> Tensor:
        logits = head(self.model, self.decoder.norm(states))
        self.finite = torch.isfinite(logits).all()
        if self.suppressed:
            logits[:, self.suppressed] = -torch.inf
        return logits


def _without(states: Tensor, rows: slice) -> Tensor:
    return torch.cat([states[: rows.start], states[rows.stop :]])
