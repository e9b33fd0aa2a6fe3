"""Load a packed model whose embedding is 4-bit, which transformers does not do by itself.

This file needs torch, transformers and bitsandbytes alone. Such a directory has a copy of it:

    from load_student import load
    model = load("path/of/the/directory")

Without it, from_pretrained refuses the directory because of its embedding's shape.
"""

from typing import Any

import torch
import transformers
from bitsandbytes.functional import QuantState, dequantize_4bit, dequantize_blockwise
from bitsandbytes.nn import Embedding4bit, EmbeddingNF4, Linear4bit
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

MARK = "embedding_quantization"  # the key in config.json, "nf4"
DTYPE = torch.bfloat16
CPU_TILE = 32  # outputs that bitsandbytes' kernel for CPUs with bfloat16 computes at a time

# From names in the files to those of modules, which transformers has for its own class alone.
NAMES = {
    r"^language_model\.lm_head": "lm_head",
    r"^language_model\.model": "model.language_model",
    r"^audio_tower": "model.audio_tower",
    r"^multi_modal_projector": "model.multi_modal_projector",
}


class NF4Embedding(EmbeddingNF4):
    """bitsandbytes' embedding, with quantised scales, which its own forward does not support."""

    def forward(self, input: Tensor) -> Tensor:
        """Token ids (...) to embeddings (..., width); unpacks only their rows."""
        state, width = self.weight.quant_state, self.embedding_dim
        if state.nested:  # unpacks the scales once: 4 bytes instead of 1 per 64 weights
            state.absmax = dequantize_blockwise(state.absmax, state.state2) + state.offset
            state.state2, state.nested = None, False
        ids = input.reshape(-1)
        rows = QuantState(
            absmax=state.absmax.view(self.num_embeddings, -1)[ids].view(-1),
            shape=torch.Size((len(ids), width)),
            dtype=DTYPE,
            blocksize=state.blocksize,
            code=state.code,
            quant_type=state.quant_type,
        )
        packed = self.weight.data.view(self.num_embeddings, width // 2)[ids]
        embeddings = dequantize_4bit(packed.view(-1, 1), rows).view(*input.shape, width)
        return embeddings.to(self.compute_dtype)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """As Linear4bit does. from_pretrained needs the names; the base class raises an error."""
        super(Embedding4bit, self)._save_to_state_dict(destination, prefix, keep_vars)
        state = getattr(self.weight, "quant_state", None)
        for key, tensor in state.as_dict(packed=True).items() if state else ():
            destination[f"{prefix}weight.{key}"] = tensor


def model_class(config: PretrainedConfig, name: str) -> type[PreTrainedModel]:
    """The class that loads a directory: transformers' own of that name, or one made of it."""
    plain = getattr(transformers, name)
    return _with_nf4_embedding(plain) if getattr(config, MARK, None) is not None else plain


def _with_nf4_embedding(plain: type[PreTrainedModel]) -> type[PreTrainedModel]:
    class WithNF4Embedding(plain):
        """A model of transformers with a 4-bit embedding."""

        def __init__(self, config: PretrainedConfig):
            super().__init__(config)
            whole = self.get_input_embeddings()
            with torch.device("meta"):
                packed = NF4Embedding(whole.num_embeddings, whole.embedding_dim, dtype=DTYPE)
                weight = torch.empty(whole.weight.numel() // 2, 1, dtype=torch.uint8)
            packed.weight.data = weight
            packed.compute_dtype = DTYPE
            self.set_input_embeddings(packed)

        @classmethod
        def from_pretrained(cls, directory: Any, **options: Any) -> Any:
            return super().from_pretrained(directory, **{"key_mapping": NAMES} | options)

    return WithNF4Embedding


def allow_any_width(model: PreTrainedModel) -> PreTrainedModel:
    """Switch that kernel off for widths that it does not divide into tiles, as of small heads."""
    for layer in model.modules():
        if isinstance(layer, Linear4bit) and layer.out_features % CPU_TILE:
            layer.support_avx512bf16_for_cpu = False
    return model


def load(directory: str, **options: Any) -> PreTrainedModel:
    """The model of a packed directory, in evaluation mode. Options are from_pretrained's."""
    options = {"dtype": DTYPE, "use_safetensors": True} | options
    config = AutoConfig.from_pretrained(directory)
    model = model_class(config, config.architectures[0]).from_pretrained(directory, **options)
    return allow_any_width(model).eval()
