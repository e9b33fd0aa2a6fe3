"""The audio encoder on a clip's own length, instead of the window that every clip is padded to.

The encoder's attention masks the padding, so what it gives for the clip is the same, and a clip of
3 s in a window of 30 s costs a tenth.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MARGIN = 4  # mel frames kept behind a clip, because the convolutions look past its end


def crop(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mel features (B, bins, frames) and their mask (B, frames), as long as the longest clip asks.

    The length is a multiple of 4, because the encoder halves it twice.
    """
    longest = int(mask.sum(-1).max())
    frames = min(features.shape[-1], -(-(longest + MARGIN) // 4) * 4)
    return features[..., :frames], mask[:, :frames]


def allow_short(model: PreTrainedModel) -> PreTrainedModel:
    """Let a loaded model's audio encoder take features that crop() has cut. In place."""
    tower = model.model.audio_tower
    tower.forward = MethodType(_forward, tower)
    return model


def states(tower: nn.Module, features: Tensor, bias: Tensor | None) -> Tensor:
    """What the encoder's layers give, 50 states a second, before pooling: (B, frames / 2, width).

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
    """Qwen2AudioEncoder.forward without the demand that the features fill the window."""
    return BaseModelOutput(last_hidden_state=pooled(self, input_features, attention_mask))


def pooled(tower: nn.Module, features: Tensor, bias: Tensor | None) -> Tensor:
    """The encoder's output, 25 states a second, one an audio token: (B, frames / 4, width)."""
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
    """How many states of each clip are not padding, from the mask of its frames: (B,)."""
    return (mask.sum(-1) - 1) // 2 + 1


def token_counts(mask: Tensor) -> Tensor:
    """How many audio tokens each clip has, from the mask of its frames: (B,)."""
    return (state_counts(mask) - 2) // 2 + 1


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The attention bias that hides padding from states(): (B, 1, states, states)."""
    count = mask.shape[-1] // 2
    heard = torch.arange(count, device=mask.device) < state_counts(mask)[:, None]
    return bias_of(heard, dtype)[:, None, None, :].expand(-1, 1, count, -1)


def bias_of(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores: 0 where allowed, the lowest number elsewhere."""
    zero = torch.zeros((), dtype=dtype, device=allowed.device)
    return torch.where(allowed, zero, torch.finfo(dtype).min)
