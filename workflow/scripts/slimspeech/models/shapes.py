"""The tensors that a config asks a checkpoint for, without loading weights.

Names of tensors are those in the files, which can differ from those of the modules.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import torch
import transformers
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from slimspeech import families


def skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """The model of a config on the meta device, without weights."""
    with torch.device("meta"):
        return getattr(transformers, families.of(config).model_class)(config)


@dataclass(frozen=True)
class _Settings:
    """A config that is the same as another one if all that it says is the same."""

    text: str
    config: PretrainedConfig = field(compare=False)


@lru_cache(maxsize=4)
def _known_skeleton(settings: _Settings) -> PreTrainedModel:
    return skeleton(settings.config)


def _skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """The same for equal configs, because a 7B takes a second; to be read alone."""
    return _known_skeleton(_Settings(config.to_json_string(use_diff=False), config))


def is_tied(config: PretrainedConfig) -> bool:
    """Whether the output head is the embedding, and not stored."""
    return bool(_skeleton(config).all_tied_weights_keys)


def shapes(config: PretrainedConfig) -> dict[str, torch.Size]:
    """Shape of every tensor that a checkpoint of this config holds, before quantisation."""
    model, family = _skeleton(config), families.of(config)
    tied = model.all_tied_weights_keys
    return {
        family.stored_name(name): tensor.shape
        for name, tensor in model.state_dict().items()
        if name not in tied
    }


def linear_weights(config: PretrainedConfig) -> list[str]:
    """Names of the weight matrices of all linear layers, with the output head if it is stored."""
    model, family = _skeleton(config), families.of(config)
    tied = model.all_tied_weights_keys
    names = [f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return [family.stored_name(name) for name in names if name not in tied]
