"""The tensors that a config asks a checkpoint for, without loading weights.

Names of tensors are those in the files of Qwen2-Audio, which differ from those of the modules.
"""

import torch
from torch import nn
from transformers import PretrainedConfig, Qwen2AudioForConditionalGeneration

# From the beginning of a module's name to that in the files.
STORED = {
    "lm_head.": "language_model.lm_head.",
    "model.language_model.": "language_model.model.",
    "model.audio_tower.": "audio_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}


def stored_name(name: str) -> str:
    """The name in the files for a parameter such as model.audio_tower.conv1.weight."""
    for module, stored in STORED.items():
        if name.startswith(module):
            return stored + name.removeprefix(module)
    raise KeyError(name)


def skeleton(config: PretrainedConfig) -> Qwen2AudioForConditionalGeneration:
    """The model of a config on the meta device, without weights."""
    with torch.device("meta"):
        return Qwen2AudioForConditionalGeneration(config)


def shapes(config: PretrainedConfig) -> dict[str, torch.Size]:
    """Shape of every tensor that a checkpoint of this config holds, before quantisation."""
    state = skeleton(config).state_dict()
    return {stored_name(name): tensor.shape for name, tensor in state.items()}


def linear_weights(config: PretrainedConfig) -> list[str]:
    """Names of the weight matrices of all linear layers, including the output head."""
    modules = skeleton(config).named_modules()
    return [stored_name(f"{name}.weight") for name, m in modules if isinstance(m, nn.Linear)]
