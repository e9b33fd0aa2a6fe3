"""Attention masks."""

import torch
from torch import Tensor


def bias_of(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """The addend of attention scores: 0 where allowed, the lowest number elsewhere."""
    zero = torch.zeros((), dtype=dtype, device=allowed.device)
    return torch.where(allowed, zero, torch.finfo(dtype).min)
