"""Tokens a second in bf16 and in 4 bits, with all layers and without those that the config removes.

Random weights end no translation, so every hypothesis has the same number of tokens.
"""

import gc
from itertools import cycle, islice

import harness
import torch
from full_size import to_four_bits
from transformers import PreTrainedModel

from gpu_checks.lines import Lines
from gpu_checks.subject import Subject
from slimspeech import families
from slimspeech.data.audio import read_audio
from slimspeech.evaluation.cost import peak_memory, reset_peak_memory
from slimspeech.generation.embeddings import Clip
from slimspeech.generation.translation import GenerationSettings, translate_variants

TOKENS = 48
SHARE = 0.7  # of the memory, for the weights
BATCHES, QUICK_BATCHES, TINY_BATCHES = (1, 8, 32, 128, 512), (1, 64), (1, 2)


def check(subject: Subject, lines: Lines) -> None:
    width = subject.dtype.itemsize
    layers = subject.fitting_layers(lambda n: width * subject.weights(n), SHARE)
    model = families.of(subject.shape).prepare(subject.make(layers, subject.dtype))
    if layers < subject.layers:
        lines.skipped("bf16, all layers", f"{layers} of {subject.layers} fit")
    for form in ("bf16" if subject.has_gpu else "fp32", "nf4"):
        if form == "nf4":
            with lines.attempt("rounding to NF4"):
                _, seconds = harness.timed(lambda: to_four_bits(model))
                lines.measured("rounding to NF4", f"{seconds:.1f} s", seconds=seconds)
        for count in dict.fromkeys((layers, fewer(subject, layers))):
            name = f"{form}, {count} layers"
            with lines.attempt(name):
                measure(subject, lines, model, name, form, count)


def fewer(subject: Subject, layers: int) -> int:
    """What is left after the removals of the config."""
    removed = subject.config["pruning"]["iterations"]
    return max(2, round(layers * (1 - removed / subject.layers)))


def measure(
    subject: Subject, lines: Lines, model: PreTrainedModel, name: str, form: str, layers: int
) -> None:
    """A line for one clip at a time, and one for the batch with most tokens a second."""
    sizes = TINY_BATCHES if subject.tiny else QUICK_BATCHES if subject.quick else BATCHES
    speeds, stopped = {}, ""
    for size in sizes:
        reset_peak_memory()
        try:
            seconds = time_batch(subject, model, size, layers)
        except torch.OutOfMemoryError:
            stopped = f"; {size} run out of memory"
        if stopped:
            gc.collect()
            torch.cuda.empty_cache()
            break
        speeds[size] = size * TOKENS / seconds
        memory = peak_memory()
    if not speeds:
        raise torch.OutOfMemoryError("out of memory with one clip")
    best = max(speeds, key=speeds.get)
    lines.measured(
        name,
        f"{speeds[1]:.0f} tokens a second at batch 1, {speeds[best]:.0f} at batch {best}; "
        f"peak {memory / 1e9:.1f} GB{stopped}",
        form=form,
        layers=layers,
        tokens_per_second=speeds[best],
        seconds_per_clip=TOKENS / speeds[best],
        batch=best,
    )


def time_batch(subject: Subject, model: PreTrainedModel, size: int, layers: int) -> float:
    """Seconds to translate so many clips together, after once that is not counted."""
    rows = islice(cycle(subject.clips(min(size, 16))), size)
    clips = [
        Clip(number, subject.pair, read_audio(row["audio"])) for number, row in enumerate(rows)
    ]
    settings = GenerationSettings(size, TOKENS, subject.precision, fixed=True)
    processor, prompt = subject.base.processor, subject.prompt

    def work() -> None:
        translate_variants(
            *(model, processor, clips, prompt, settings, range(layers), [None]), None
        )

    work()
    return harness.timed(work)[1]
