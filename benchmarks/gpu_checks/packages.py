"""Whether the card is seen, and whether the kernels of each package run on it."""

import platform
import subprocess
from importlib.metadata import version

import bitsandbytes
import bitsandbytes.functional as bnb
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchao.optim import AdamW8bit

from gpu_checks.lines import Lines
from gpu_checks.subject import Subject
from slimspeech.families.masks import bias_of
from slimspeech.models.loading import device_name
from slimspeech.models.precision import has_native_bf16
from slimspeech.training.trainer import without_compiler

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
WIDTH = 256


def check(subject: Subject, lines: Lines) -> None:
    for check_one in (card, products, attention, four_bit, optimizer, adapter):
        with lines.attempt(check_one.__name__.replace("_", " ")):
            check_one(subject, lines)
    for name in ("transformers", "accelerate", "datasets", "safetensors"):
        with lines.attempt(name):
            lines.measured(name, version(name))


def card(subject: Subject, lines: Lines) -> None:
    name, memory = device_name(), f"{subject.memory / 1e9:.0f} GB"
    values = {"name": name, "bytes": subject.memory}
    if not subject.has_gpu:
        lines.skipped("card", f"torch finds no GPU; all runs on {name}, {memory}")
        return
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        driver = []
    count = torch.cuda.device_count()
    text = f"{name}, {memory}, {count} in sight, driver {' '.join(driver[:1]) or 'unknown'}"
    lines.measured("card", text, **values, count=count)


def products(subject: Subject, lines: Lines) -> None:
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(WIDTH, WIDTH, generator=random, dtype=torch.float64) for _ in range(2))
    errors = {}
    for dtype in (torch.float32, torch.bfloat16):
        product = a.to(subject.device, dtype) @ b.to(subject.device, dtype)
        errors[dtype] = float((product.double().cpu() - a @ b).abs().max() / (a @ b).abs().max())
    # fp32 in TF32 would be off by 1e-3.
    good = errors[torch.float32] < 1e-5 and errors[torch.bfloat16] < 2e-2
    native = "native" if has_native_bf16(subject.device) else "emulated"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    text = f"{torch.__version__} ({built}), Python {platform.python_version()}; bf16 {native}"
    text += f"; errors fp32 {errors[torch.float32]:.0e}, bf16 {errors[torch.bfloat16]:.0e}"
    lines.expect(good, "torch", text)


def attention(subject: Subject, lines: Lines) -> None:
    """Which kernels take the engine's masks: of a prompt, and of a step."""
    rows, heads, length, size = 4, 8, 96, 128
    keys = torch.randn(rows, heads, length, size, device=subject.device, dtype=subject.dtype)
    allowed = torch.ones(rows, 1, length, length, dtype=torch.bool, device=subject.device).tril()
    allowed[0, :, :, :7] = False
    taken = {}
    for case, queries in (("prompt", length), ("step", 1)):
        mask = bias_of(allowed[:, :, -queries:], subject.dtype)
        taken[case] = [name for name, kernel in KERNELS.items() if _runs(kernel, keys, mask)]
    text = "; ".join(f"{case}: {', '.join(names) or 'none'}" for case, names in taken.items())
    fast = all(set(names) - {"math"} for names in taken.values())
    lines.expect(fast or not subject.has_gpu, "attention kernels with our masks", text)


def _runs(kernel: SDPBackend, keys: torch.Tensor, mask: torch.Tensor) -> bool:
    queries = keys[:, :, -mask.shape[2] :]
    try:
        with sdpa_kernel(kernel):
            nn.functional.scaled_dot_product_attention(queries, keys, keys, attn_mask=mask)
    except RuntimeError:
        return False
    return True


def four_bit(subject: Subject, lines: Lines) -> None:
    weight = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0))
    packed, state = bnb.quantize_4bit(
        weight.to(subject.device), quant_type="nf4", compress_statistics=True
    )
    back = bnb.dequantize_4bit(packed, state).cpu()
    error = float((back - weight).abs().mean() / weight.abs().mean())
    # NF4 of normal numbers: a mean error of 9 %.
    lines.expect(
        0.05 < error < 0.12, "bitsandbytes", f"{bitsandbytes.__version__}; NF4 {error:.3f}"
    )


def optimizer(subject: Subject, lines: Lines) -> None:
    weight = nn.Parameter(torch.ones(WIDTH, WIDTH, device=subject.device, dtype=torch.bfloat16))
    adam = AdamW8bit([weight], lr=1e-4, weight_decay=0, bf16_stochastic_round=True)
    weight.grad = torch.ones_like(weight)
    with without_compiler():
        adam.step()
    moved = float(1 - weight.detach().float().mean())
    # A step of 1e-4 is below bf16's spacing of 4e-3 at 1: only rounding at random keeps its mean.
    lines.expect(
        0.3e-4 < moved < 3e-4, "torchao", f"{version('torchao')}; step {moved:.1e} of 1e-4"
    )


def adapter(subject: Subject, lines: Lines) -> None:
    layers = nn.Sequential(nn.Linear(WIDTH, WIDTH, device=subject.device))
    model = get_peft_model(layers, LoraConfig(r=4, target_modules=["0"]))
    model(torch.ones(2, WIDTH, device=subject.device)).sum().backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    good = len(trained) == 2 and all(weight.grad is not None for weight in trained)
    lines.expect(good, "peft", version("peft"))
