"""Measure what a system costs to run: time to load, memory, and speed at several batch sizes."""

import gc
import logging
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import device_name, load_for_inference, load_processor
from slimspeech.models.memory import free_memory
from slimspeech.models.prompts import Prompt
from slimspeech.timing import spread, timed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CostSettings:
    """clips: number of clips, the first of the test set. batch_sizes: 1 is always measured too.
    threads: of the CPU; more than one are slower by orders of magnitude if other programs run.
    """

    clips: int
    repeats: int
    batch_sizes: Sequence[int]
    threads: int

    def __post_init__(self):
        if self.repeats < 1:
            raise InputError("config: evaluation.cost.repeats is 0, so cost is off; give 1 or more")


def measure_cost(
    directory: str | Path,
    segments: Sequence[Row],
    prompt: Prompt,
    generation: GenerationSettings,
    settings: CostSettings,
    size: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of cost.json, except pair and system.

    Seconds are median, low and high over the repeats, after one call that is not counted. The speed
    is that of `translate`: reading the clips, features, decoding. The values are right only if
    nothing else runs on the machine. size: content of size.json.
    Raises InputError without segments, or if memory does not hold a single clip.
    """
    if not segments:
        raise InputError("no cost to measure: the test set holds no segments; check data.split")
    torch.set_num_threads(settings.threads)
    clips = segments[: settings.clips]
    reset_peak_memory()
    model, load_seconds = _load(directory, generation.precision, settings.repeats)
    load_peak = peak_memory()
    processor = load_processor(directory)
    sizes = sorted({1, *(min(size, len(clips)) for size in settings.batch_sizes)})
    batches, skipped = [], []
    for number in sizes:
        reset_peak_memory()
        batch_settings = replace(generation, batch_size=number, fixed=True)
        batch = None
        try:
            batch = _measure_batch(
                model, processor, clips, prompt, batch_settings, settings.repeats
            )
        except torch.OutOfMemoryError:
            if number == 1:
                raise InputError(
                    f"{directory}: the memory of {device_name()} does not hold the model and one "
                    "clip; measure it on a larger one"
                ) from None
        if batch is None:
            logger.warning("batch size %d: out of memory, left out", number)
            skipped.append(number)
            free_memory()
            continue
        batches.append(batch | {"peak_memory_bytes": peak_memory()})
    best = max(batches, key=lambda b: (b["tokens_per_second"]["median"], -b["seconds"]["median"]))
    return {
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "compute_dtype": str(model.dtype).removeprefix("torch."),
        "repeats": settings.repeats,
        "clips": len(clips),
        "audio_seconds": sum(row["duration"] for row in clips),
        "load_seconds": spread(load_seconds),
        "peak_memory_bytes": max(load_peak, *(batch["peak_memory_bytes"] for batch in batches)),
        "memory_kind": "gpu" if torch.cuda.is_available() else "rss",
        "weights": size["weights"],
        "bytes": size["bytes"],
        "batches": [
            {"batch_size": batch["batch_size"], "best": batch is best, **batch} for batch in batches
        ],
        "out_of_memory": skipped,
    }


def reset_peak_memory() -> None:
    """Start a new peak; where the system cannot (not Linux), it stays that of the whole process."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5)
    except OSError:
        logger.warning("peak memory cannot be reset here: it is that of the whole process")


def peak_memory() -> int:
    """The largest number of bytes since the last reset.

    On a GPU what torch allocated there (not its context, nor cached blocks); else the resident
    memory of the whole process, Python and its libraries included.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count the process that started this one too
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _load(
    directory: str | Path, precision: str, repeats: int
) -> tuple[PreTrainedModel, list[float]]:
    """The model and the seconds of each load, after one that imports modules and reads the disk."""
    seconds = []
    for _ in range(1 + repeats):
        model = None  # memory may not hold two
        gc.collect()
        model, load_seconds = timed(lambda: load_for_inference(str(directory), precision))
        seconds.append(load_seconds)
    return model, seconds[1:]


def _measure_batch(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    clips: Sequence[Row],
    prompt: Prompt,
    settings: GenerationSettings,
    repeats: int,
) -> dict[str, Any]:
    number = settings.batch_size

    def work(rows: Sequence[Row], progress: str) -> list[str]:
        return translate(model, processor, rows, prompt, settings, progress)

    # The longest clips need the most memory, so a batch that is too large fails here.
    longest = sorted(clips, key=lambda row: -row["duration"])[:number]
    work(longest, f"batch {number}, warm up")
    runs = [
        timed(lambda n=n: work(clips, f"batch {number}, {n} of {repeats}"))
        for n in range(1, repeats + 1)
    ]
    tokens = [_count_tokens(processor, texts) for texts, _ in runs]
    seconds = [run_seconds for _, run_seconds in runs]
    audio = sum(row["duration"] for row in clips)
    return {
        "batch_size": number,
        "seconds": spread(seconds),
        "real_time_factor": spread([value / audio for value in seconds]),
        "tokens_per_second": spread([n / s for n, s in zip(tokens, seconds, strict=True)]),
    }


def _count_tokens(processor: ProcessorMixin, texts: Sequence[str]) -> int:
    """Tokens of the translations, each with the one that ends it."""
    ids = processor.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return sum(len(tokens) + 1 for tokens in ids)
