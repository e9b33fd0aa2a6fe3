"""Memory and time of a training step of a Qwen2-Audio-7B of random weights, on a GPU.

It trains all weights in each precision, and an adapter on 4-bit weights, and prints the estimates.
"""

import argparse
import gc
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from full_size import FULL, TINY, make_model, make_processor, write_clips
from harness import PROMPT
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.training.fine_tuning import add_adapter, fine_tune
from slimspeech.training.gpu_memory import PAPER_LORA, ModelShape, estimate_training
from slimspeech.training.settings import TrainingSettings

METHODS = ("fp32", "bf16", "bf16_stochastic", "qlora")
ANSWER = "Das ist ein Satz, so lang wie einer aus einem Vortrag. " * 2


def to_four_bits(model: PreTrainedModel) -> PreTrainedModel:
    """Quantise a model in memory as from_pretrained() with nf4() does. In place."""
    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear) or layer is head:
            continue
        device = layer.weight.device
        packed = Linear4bit(
            layer.in_features,
            layer.out_features,
            layer.bias is not None,
            compute_dtype=torch.bfloat16,
            quant_type="nf4",
            device="meta",
        )
        packed.weight = Params4bit(
            layer.weight.data.cpu(), requires_grad=False, quant_type="nf4", module=packed
        )
        packed.bias = layer.bias
        model.set_submodule(name, packed.to(device))
    model.is_loaded_in_4bit = True
    return model


def prepare(method: str, tiny: bool, processor: ProcessorMixin) -> PreTrainedModel | PeftModel:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = TINY if tiny else FULL
    dtype = torch.float32 if method in ("fp32", "bf16") else torch.bfloat16
    model = make_model(shape, processor, dtype, device)
    return add_adapter(to_four_bits(model), PAPER_LORA, seed=0) if method == "qlora" else model


def measure(
    method: str, options: argparse.Namespace, processor: ProcessorMixin, rows: list[Row]
) -> list[str]:
    """A row of the table."""
    lora = PAPER_LORA if method == "qlora" else None
    settings = TrainingSettings(
        epochs=1,
        learning_rate=1e-5,
        batch_size=options.batch_size,
        gradient_accumulation=1,
        scheduler="cosine",
        warmup_ratio=0,
        weight_decay=0,
        max_grad_norm=1,
        precision="bf16" if method == "qlora" else method,
        gradient_checkpointing=options.gradient_checkpointing,
        checkpoint_steps=0,
        keep="last",
    )

    def train(model: nn.Module, steps: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            count = steps * options.batch_size
            fine_tune(
                model,
                processor,
                rows[:count],
                [],
                PROMPT,
                settings,
                seed=0,
                workspace=f"{folder}/workspace",
            )

    shape = make_model(TINY if options.tiny else FULL, processor, torch.bfloat16, "meta")
    longest = max(row["duration"] for row in rows)
    estimate = estimate_training(ModelShape.of(shape), settings, lora, seconds=longest)
    cells = [method, f"{estimate.total / 1e9:.2f}"]
    try:
        model = prepare(method, options.tiny, processor)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        train(model, 1)  # also compiles the optimiser
        _, once = harness.timed(lambda: train(model, 1))
        _, often = harness.timed(lambda: train(model, 1 + options.steps))
    except (torch.OutOfMemoryError, InputError) as error:
        print(f"{method}: {error}", file=sys.stderr)
        return [*cells, "does not fit", ""]
    seconds = (often - once) / (options.steps * options.batch_size)
    peak = "not measured"
    if torch.cuda.is_available():
        peak = f"{torch.cuda.max_memory_allocated() / 1e9:.2f}"
    return [*cells, peak, f"{seconds:.3f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--methods", nargs="+", choices=METHODS, default=METHODS, help="of all (default: all)")
    add("--batch-size", type=harness.positive, default=4, help="clips an update (4)")
    add("--steps", type=harness.positive, default=5, help="timed updates (5)")
    add("--gradient-checkpointing", action="store_true", help="as the key in config")
    add("--tiny", action="store_true", help="a tiny shape, also on a CPU: to try the code")
    harness.add_machine(parser)
    options = parser.parse_args(arguments)
    if not options.tiny and not torch.cuda.is_available():
        raise InputError(
            "training_memory.py needs a GPU, and torch finds none; --tiny runs on a CPU"
        )
    torch.set_num_threads(options.threads)
    processor = make_processor()
    with tempfile.TemporaryDirectory() as folder:
        count = (1 + options.steps) * options.batch_size
        rows = [row | {"target": ANSWER} for row in write_clips(Path(folder), count)]
        lines = []
        for method in options.methods:
            lines.append(measure(method, options, processor, rows))
            gc.collect()
            torch.cuda.empty_cache()
    harness.report(
        "Memory of a training step" + " (TINY: only to try the code)" * options.tiny,
        [
            f"batches of {options.batch_size} clips of 1 to 12 s, {options.steps} timed updates",
            f"gradient checkpointing {'on' if options.gradient_checkpointing else 'off'}",
        ],
        harness.table(["", "estimated GB", "peak GB", "seconds a clip"], lines),
        "Estimated for batches of the longest clip; the peak is what torch allocated.",
    )


if __name__ == "__main__":
    harness.run(main)
