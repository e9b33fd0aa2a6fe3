"""A decoder layer by layer: what goes in, what a layer takes beside it, what comes out."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.families.family import FULL
from slimspeech.families.masks import bias_of

SLIDING = "sliding_attention"


def embed_prompts(model: PreTrainedModel, input_ids: Tensor, audio: Sequence[Tensor]) -> Tensor:
    """(B, L, hidden size): the prompts' embeddings with the clips' in place of the placeholders."""
    placeholders = input_ids == model.config.audio_token_id
    embeddings = families.of(model.config).embed(model, input_ids)
    found, wanted = sum(map(len, audio)), int(placeholders.sum())
    if found != wanted:
        raise RuntimeError(f"{found} audio embeddings for {wanted} placeholders in the prompts")
    embeddings[placeholders] = torch.cat(list(audio)).to(embeddings.dtype)
    return embeddings


def kind_of(decoder: nn.Module, layer: int) -> str:
    """The kind of attention of a layer: all positions before it, or a sliding window of them."""
    kinds = getattr(decoder.config, "layer_types", None)
    return kinds[layer] if kinds else FULL


def layer_inputs(
    model: PreTrainedModel, states: Tensor, mask: Tensor, queries: int | None = None
) -> dict[str, dict[str, Any]]:
    """What a layer takes besides the states, by its kind: attention bias, rotary angles.

    states: (B, queries, hidden size); mask: (B, L), 0 where nothing is read, at any place; queries:
    how many of the L positions run, the last ones; by default all.
    Raises InputError for a kind of attention that is not known.
    """
    family, decoder = families.of(model.config), model.get_decoder()
    length = mask.shape[1]
    first = length - (length if queries is None else queries)
    rows = torch.arange(first, length, device=mask.device)[:, None]
    columns = torch.arange(length, device=mask.device)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    positions = places[:, first:]
    filled = mask.bool()[:, None, None, :]
    inputs = {}
    for kind in sorted({kind_of(decoder, layer) for layer in range(len(decoder.layers))}):
        if kind not in (FULL, SLIDING):
            raise InputError(f"the decoder has layers of the kind {kind}, which is not supported")
        seen = columns <= rows
        if kind == SLIDING:
            near = places[:, None, :] > positions[:, :, None] - decoder.config.sliding_window
            seen = (seen & near)[:, None]
        inputs[kind] = {
            **family.layer_arguments,
            "attention_mask": bias_of(seen & filled, states.dtype),
            "position_embeddings": family.rotary(decoder, states, positions, kind),
        }
    return inputs


def of_rows(inputs: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """What layer_inputs() gives for a kind, for some of the batch's rows."""
    return inputs | {
        "attention_mask": inputs["attention_mask"][rows],
        "position_embeddings": tuple(angles[rows] for angles in inputs["position_embeddings"]),
    }


def head(model: PreTrainedModel, states: Tensor) -> Tensor:
    """(…, vocabulary), from states behind the last norm: (…, hidden size)."""
    logits = model.lm_head(states)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """(…, vocabulary), from what the last layer gives: (…, hidden size).

    Raises RuntimeError if a logit is not a number.
    """
    logits = head(model, model.get_decoder().norm(states))
    require_finite(torch.isfinite(logits).all())
    return logits


def require_finite(finite: Tensor) -> None:
    """Raises RuntimeError where it is False. Waits for the device."""
    if not finite:
        raise RuntimeError("the model gives logits that are not numbers; use precision: fp32")
