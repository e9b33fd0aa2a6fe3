"""What a model computes in where the config leaves it to the machine: `precision: auto`."""

import torch


def has_native_bf16(place: torch.device) -> bool:
    """Whether the device computes bfloat16 itself.

    Elsewhere bfloat16 is emulated: a training step on a CPU with AVX2 alone takes 7 to 10 times
    as long as in fp32.
    """
    if place.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch's own test, of x86 and of ARM; absent from builds without oneDNN, as on macOS
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def resolve_precision(precision: str, place: torch.device) -> str:
    """ "auto" as "bf16" or "fp32"; any other precision as it is."""
    if precision != "auto":
        return precision
    return "bf16" if has_native_bf16(place) else "fp32"
