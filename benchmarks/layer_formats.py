"""The matrix products of one decoder layer as wide as a 7B's, in every form that is installed.

vLLM's forms run in .venv-vllm, if that is there. Attention, which no form changes, is not in the
times. Of one thread the time is that of the CPU, so that other work on the machine enters little.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

import torch
from torch import Tensor, nn

from slimspeech.formatting import aligned

VLLM = Path(__file__).resolve().parents[1] / ".venv-vllm" / "bin" / "python"
GROUP = 128  # weights that share a scale
WIDTH, INSIDE = 4096, 11008  # of Qwen2-Audio-7B: of the states, and inside the MLP
TEACHER_LAYERS, STUDENT_LAYERS = 32, 24
PLAIN = ("torch fp32", "torch bf16")

# From a weight, float32 (out, in), to what multiplies float32 rows with it.
Form = Callable[[Tensor], Callable[[Tensor], Tensor]]


def torch_linear(dtype: torch.dtype) -> Form:
    def build(weight: Tensor) -> Callable[[Tensor], Tensor]:
        stored = weight.to(dtype)
        return lambda rows: nn.functional.linear(rows.to(dtype), stored)

    return build


def nf4(dtype: torch.dtype) -> Form:
    from bitsandbytes.nn import Linear4bit, Params4bit

    def build(weight: Tensor) -> Callable[[Tensor], Tensor]:
        linear = Linear4bit(
            weight.shape[1], weight.shape[0], bias=False, compute_dtype=dtype, quant_type="nf4"
        )
        linear.weight = Params4bit(weight, requires_grad=False, quant_type="nf4")
        linear = linear.to("cpu").eval()
        return lambda rows: linear(rows.to(dtype))

    return build


def vllm_plain(weight: Tensor) -> Callable[[Tensor], Tensor]:
    from vllm import _custom_ops as ops

    handler = ops.create_onednn_mm(weight.t(), 32)
    return lambda rows: ops.onednn_mm(handler, rows, None)


def vllm_w8a8(weight: Tensor) -> Callable[[Tensor], Tensor]:
    from vllm import _custom_ops as ops

    scales = weight.abs().amax(1) / 127.5
    codes = (weight / scales[:, None]).round().clamp(-128, 127).to(torch.int8)
    handler = ops.create_onednn_scaled_mm(codes.t(), scales, torch.float32, True, False, 32)

    def multiply(rows: Tensor) -> Tensor:
        numbers, scale, _ = ops.onednn_scaled_int8_quant(rows, None, None, True)
        product = torch.empty(len(rows), len(weight))
        ops.onednn_scaled_mm(handler, numbers, product, scale, None, None, None)
        return product

    return multiply


def vllm_w4a16(weight: Tensor) -> Callable[[Tensor], Tensor]:
    from vllm import _custom_ops as ops

    outputs, inputs = weight.shape
    groups = weight.unflatten(1, (-1, GROUP))
    scales = groups.abs().amax(2) / 7.5
    codes = (groups / scales[..., None]).round().clamp(-8, 7).flatten(1).int() + 8
    # As vLLM lays them out: eight outputs in a number, in blocks of 16 outputs.
    eights = codes.t().unflatten(1, (-1, 8)) << torch.arange(0, 32, 4, dtype=torch.int32)
    packed = eights.sum(2, dtype=torch.int32).view(inputs, -1, 2).permute(1, 0, 2)
    packed = packed.reshape(-1, 2 * inputs).contiguous()
    scales = scales.t().contiguous()
    return lambda rows: ops.cpu_gemm_wna16(rows, packed, scales, None, None, None, 8, "vec")


def forms() -> dict[str, Form]:
    """By their names, those that the packages of this environment have."""

    def installed(name: str) -> bool:
        return importlib.util.find_spec(name) is not None

    if installed("vllm"):
        from vllm import _custom_ops  # noqa: F401, which registers its operators

        named = {"vLLM fp32": vllm_plain, "vLLM W8A8": vllm_w8a8}
        if hasattr(torch.ops._C, "cpu_gemm_wna16"):  # of a CPU with AVX-512
            named["vLLM W4A16"] = vllm_w4a16
        return named
    named: dict[str, Form] = {}
    named["torch fp32"] = torch_linear(torch.float32)
    named["torch bf16"] = torch_linear(torch.bfloat16)
    if installed("bitsandbytes"):
        named["bitsandbytes NF4, fp32"] = nf4(torch.float32)
        named["bitsandbytes NF4, bf16"] = nf4(torch.bfloat16)
    return named


def matrices(width: int) -> list[tuple[int, int]]:
    """(outputs, inputs) of q, k, v and o; of gate and up; of down."""
    inside = width * INSIDE // WIDTH
    return [*4 * [(width, width)], *2 * [(inside, width)], (width, inside)]


def measure(
    width: int, rows: Sequence[int], repeats: int, clock: Callable[[], float]
) -> Iterator[tuple[str, list[float]]]:
    """Name of a form, and for each number of rows the median milliseconds of a layer."""
    generator = torch.Generator().manual_seed(0)
    shapes = matrices(width)
    weights = [0.02 * torch.randn(shape, generator=generator) for shape in shapes]
    sizes = {inputs for _, inputs in shapes}
    states = {(n, size): torch.randn(n, size, generator=generator) for n in rows for size in sizes}
    for name, form in forms().items():
        products = [form(weight) for weight in weights]

        def layer(count: int, products=products) -> None:
            for (_, size), product in zip(shapes, products, strict=True):
                product(states[count, size])

        times = []
        for count in rows:
            layer(count)  # some pack their weights at the first call
            seconds = [seconds_of(partial(layer, count), clock) for _ in range(repeats)]
            times.append(1000 * statistics.median(seconds))
        yield name, times


def seconds_of(work: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the forms of this environment alone")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        clock = time.process_time if options.threads == 1 else time.perf_counter
        times = dict(measure(options.width, options.rows, options.repeats, clock))
    if options.json:
        print(json.dumps(times))
        return
    if VLLM.exists():
        times |= of_vllm(options)
    print(table(times, options))


def of_vllm(options: argparse.Namespace) -> dict[str, list[float]]:
    """The same by this script in vLLM's environment."""
    names = ("width", "repeats", "threads")
    command = [VLLM, __file__, "--json", "--rows", *options.rows]
    command += [part for name in names for part in (f"--{name}", getattr(options, name))]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(times: dict[str, list[float]], options: argparse.Namespace) -> str:
    """Milliseconds by rows, and how many times as fast a student is as its teacher."""
    teacher = TEACHER_LAYERS * min(times[name][0] for name in PLAIN)
    lines = [
        [name, *(f"{value:.1f}" for value in values), f"{teacher / STUDENT_LAYERS / values[0]:.1f}"]
        for name, values in times.items()
    ]
    head = ["ms", *(f"{count} rows" for count in options.rows), "student"]
    return "\n".join(
        [
            f"A layer {options.width} wide, threads: {options.threads}, "
            f"{torch.backends.cpu.get_cpu_capability()}. Student: times as fast as its teacher at "
            f"{options.rows[0]} rows, {STUDENT_LAYERS} layers in this form against "
            f"{TEACHER_LAYERS} in torch's faster plain form.",
            "",
            aligned(head, lines),
        ]
    )


if __name__ == "__main__":
    main()
