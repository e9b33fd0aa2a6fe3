"""Whisper's encoder with masked padding, on the length of the clips instead of the whole window.

The encoder's attention masks padding, so its output for the clip is the same. A clip of 3 s costs
a tenth of the window of 30 s.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from slimspeech.families.masks import bias_of

MARGIN = 4  # mel frames kept behind a clip, because the convolutions read past its end


def crop(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mel features (B, bins, frames) and their mask (B, frames), cut to the longest clip's length.

    The length is a multiple of 4, because the encoder halves it twice.
    """
    longest = int(mask.sum(-1).max())
    frames = min(features.shape[-1], -(-(longest + MARGIN) // 4) * 4)
    return features[..., :frames], mask[:, :frames]


def allow_short(model: PreTrainedModel) -> PreTrainedModel:
    """Let a model's audio encoder take features that crop() has cut. In place."""
    tower = model.model.audio_tower
    tower.forward = MethodType(_forward, tower)
    return model


def states(tower: nn.Module, features: Tensor, bias: Tensor | None) -> Tensor:
    """The output of the encoder's layers, before pooling: (B, frames / 2, width), 50 a second.

    bias: additive or boolean attention mask, broadcast to (B, 1, states, states), or None.
    """
    x = features.to(tower.conv1.weight.device, tower.conv1.weight.dtype)
    x = nn.functional.gelu(tower.conv1(x))
    x = nn.functional.gelu(tower.conv2(x)).permute(0, 2, 1)
    x = x + tower.embed_positions.weight[: x.shape[1]]
    for layer in tower.layers:
        x = layer(x, bias)
    return x


def _forward(
    self: nn.Module, input_features: Tensor, attention_mask: Tensor | None = None, **_: Any
) -> BaseModelOutput:
    """The encoder's own forward without its check that the features fill the window."""
    return BaseModelOutput(last_hidden_state=pooled(self, input_features, attention_mask))


def pooled(tower: nn.Module, features: Tensor, bias: Tensor | None) -> Tensor:
    """The encoder's output: (B, frames / 4, width), 25 states a second, one per audio token."""
    x = states(tower, features, bias)
    x = tower.avg_pooler(x.permute(0, 2, 1)).permute(0, 2, 1)
    return tower.layer_norm(x)


@torch.inference_mode()
def encode(model: PreTrainedModel, features: Tensor, mask: Tensor) -> list[Tensor]:
    """Embeddings of B clips in the decoder's space, each (its audio tokens, hidden size).

    features: (B, bins, frames), mask: (B, frames), 1 on the clip.
    """
    features, mask = crop(features, mask)
    mask = mask.to(model.device)
    bias = padding_bias(mask, model.dtype)
    x = model.model.multi_modal_projector(pooled(model.model.audio_tower, features, bias))
    return [clip[:count] for clip, count in zip(x, token_counts(mask).tolist(), strict=True)]


def state_counts(mask: Tensor) -> Tensor:
    """Number of states of each clip without padding: (B,). mask: (B, frames)."""
    return (mask.sum(-1) - 1) // 2 + 1


def token_counts(mask: Tensor) -> Tensor:
    """Number of audio tokens of each clip: (B,). mask: (B, frames)."""
    return (state_counts(mask) - 2) // 2 + 1


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The attention bias that hides padding from states(): (B, 1, states, states)."""
    count = mask.shape[-1] // 2
    filled = torch.arange(count, device=mask.device) < state_counts(mask)[:, None]
    return bias_of(filled, dtype)[:, None, None, :].expand(-1, 1, count, -1)
