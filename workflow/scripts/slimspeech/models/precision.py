"""The precision that `precision: auto` stands for on a device."""

import torch


def has_native_bf16(hardware: torch.device) -> bool:
    """Whether the device computes in bfloat16 without emulating it.

    On a CPU with AVX2 alone, a training step in emulated bfloat16 takes 7 to 10 times as long as
    in fp32.
    """
    if hardware.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch's own test, of x86 and of ARM; absent from builds without oneDNN, as on macOS
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def resolve_precision(precision: str, hardware: torch.device) -> str:
    """ "auto" as "bf16" or "fp32"; any other precision as it is."""
    if precision != "auto":
        return precision
    return "bf16" if has_native_bf16(hardware) else "fp32"
