"""The common code of the benchmarks: arguments, inputs, timing, and calls of the engine."""

import argparse
import contextlib
import logging
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tables import table as table
from transformers import PreTrainedModel, ProcessorMixin

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from slimspeech.artifacts import Row, read_jsonl
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score, search_metric
from slimspeech.families.family import Family
from slimspeech.generation.embeddings import encode_clips, read_clips
from slimspeech.generation.translation import GenerationSettings, translate, translate_variants
from slimspeech.languages import target_code
from slimspeech.models.collation import Collator, clip_features, token_counts, window_seconds
from slimspeech.models.generation_config import stops
from slimspeech.models.loading import device_name, load_for_inference, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.timing import timed
from slimspeech.training import fine_tuning, updates
from slimspeech.training.settings import TrainingSettings

RESULTS = Path("results/mini/en-de")
PARTS = ("train", "validation", "test")
ENCODED_AT_ONCE = 16
PROMPT = Prompt(
    system="You are a professional translator.",
    user="Translate the {source} speech into {target}:",
    languages={},
)


# Arguments and inputs


def make_parser(description: str, clips: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, default=RESULTS / "teacher", help="directory of the model")
    add(
        "--segments",
        type=Path,
        nargs="+",
        default=[RESULTS / "data" / f"{part}.jsonl" for part in PARTS],
        help="manifests; their first rows are taken",
    )
    add("--clips", type=positive, default=clips, help="how many segments")
    add_machine(parser)
    return parser


def add_machine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="of both sides")
    add("--threads", type=positive, default=os.cpu_count(), help="CPU threads of both sides")
    add("--repeats", type=positive, default=3, help="rounds; the median counts")


def add_decoding(parser: argparse.ArgumentParser, max_new_tokens: int = 64) -> None:
    add = parser.add_argument
    add("--max-new-tokens", type=positive, default=max_new_tokens, help="cap of both sides")
    add("--batch-size", type=rows_at_once, default="auto", help="hypotheses the engine decodes")


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def rows_at_once(text: str) -> int | str:
    return text if text == "auto" else positive(text)


@dataclass(frozen=True)
class Bench:
    """A model and its inputs. All segments are of one pair and fit the model's window."""

    model: PreTrainedModel
    processor: ProcessorMixin
    segments: list[Row]
    generation: GenerationSettings


def load(options: argparse.Namespace, clips: int | None = None) -> Bench:
    """Raises InputError if an input is missing, too small, or too long to compare."""
    torch.set_num_threads(options.threads)
    processor, segments = load_inputs(options, clips or options.clips)
    generation = GenerationSettings(options.batch_size, options.max_new_tokens, options.precision)
    model = load_for_inference(str(options.model), options.precision)
    return Bench(model, processor, segments, generation)


def load_inputs(options: argparse.Namespace, clips: int) -> tuple[ProcessorMixin, list[Row]]:
    """The processor, and the first segments of the manifests."""
    missing = [path for path in [options.model, *options.segments] if not path.exists()]
    if missing:
        raise InputError(
            f"{missing[0]}: missing; `make run` makes it, or give --model and --segments"
        )
    processor = load_processor(options.model)
    rows = [row for path in options.segments for row in read_jsonl(path)][:clips]
    if len(rows) < clips:
        raise InputError(
            f"the manifests have {len(rows)} segments, fewer than {clips}; lower --clips"
        )
    if len({row["pair"] for row in rows}) != 1:
        raise InputError("the segments are of several pairs; give manifests of one")
    long = [row["id"] for row in rows if row["duration"] > window_seconds(processor)]
    if long:
        raise InputError(f"segment {long[0]} is longer than the model's window; leave it out")
    return processor, rows


def removable(model: PreTrainedModel, count: int | None = None) -> list[int]:
    """All layers but the first and the last, or `count` of them, spread evenly."""
    layers = list(range(1, len(model.get_decoder().layers) - 1))
    if count is None:
        return layers
    if count > len(layers):
        raise InputError(
            f"the model has {len(layers)} removable layers, fewer than {count}; lower --candidates"
        )
    return [layers[(2 * i + 1) * len(layers) // (2 * count)] for i in range(count)]


# The engine. Only this file depends on its interface.


def translate_with_engine(bench: Bench, rows: Sequence[Row]) -> list[str]:
    return translate(bench.model, bench.processor, rows, PROMPT, bench.generation)


def encode_with_engine(bench: Bench, rows: Sequence[Row]) -> list[Any]:
    """The audio embeddings, which a search computes once for all iterations."""
    clips = read_clips(rows, bench.processor)
    return encode_clips(bench.model, bench.processor, clips, ENCODED_AT_ONCE)


def search_with_engine(
    bench: Bench, clips: Sequence[Any], kept: Sequence[int], missing: Sequence[int]
) -> dict[int, list[str]]:
    """One iteration on encoded clips: the hypotheses without each missing layer."""
    texts = translate_variants(
        bench.model, bench.processor, clips, PROMPT, bench.generation, kept, missing
    )
    return dict(zip(missing, texts, strict=True))


def plain_training(**settings: Any) -> TrainingSettings:
    """On one GPU, without decay, warm-up, checkpoints or choice of an epoch, but for `settings`."""
    plain = {
        "gradient_accumulation": 1,
        "scheduler": "cosine",
        "warmup_ratio": 0,
        "weight_decay": 0,
        "max_grad_norm": 1,
        "gradient_checkpointing": False,
        "checkpoint_steps": 0,
        "keep": "last",
        "gpus": 1,
        "nodes": 1,
        "shard": False,
    }
    return TrainingSettings(**plain | settings)


def batches_of_fine_tune(rows: Sequence[Row], batch_size: int, seed: int, family: Family) -> Any:
    """The sampler of fine_tune(), so that another trainer can use the same batches."""
    lengths = list(fine_tuning._dataset(list(rows), family)["length"])
    return updates.LengthGroupedBatches(batch_size, lengths, seed)


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    audio: np.ndarray,
    pair: str,
    prompt: Prompt = PROMPT,
    max_new_tokens: int = 64,
) -> str:
    """A translation by transformers' generate(), with our prompts and features, of any family."""
    [count] = token_counts(processor, [audio])
    batch = Collator(processor, prompt).prompts([pair], [count])
    [features] = clip_features(processor, [audio])
    ends, suppressed = stops(model, processor)
    inputs = {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
        for name, tensor in {**batch, **features}.items()
    }
    tokens = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=ends,
        pad_token_id=processor.tokenizer.pad_token_id,
        suppress_tokens=suppressed or None,
    )
    new = tokens[0, batch["input_ids"].shape[1] :]
    return " ".join(processor.tokenizer.decode(new, skip_special_tokens=True).split())


def choose(hypotheses: dict[int, list[str]], rows: Sequence[Row]) -> tuple[int, str, float]:
    """The layer whose removal scores highest (of equals the deepest), the metric, the score."""
    language = target_code(rows[0]["pair"])
    metric = search_metric(language)
    references = [row["target"] for row in rows]
    scores = {
        layer: score(texts, references, language, [metric])[metric]["score"]
        for layer, texts in hypotheses.items()
    }
    best = max(scores, key=lambda layer: (scores[layer], layer))
    return best, metric, scores[best]


# Timing


@dataclass
class Timing:
    """Seconds of each round, and the result of the last round."""

    seconds: list[float]
    value: Any

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def cells(self, engine: "Timing") -> list[str]:
        """Median, lowest to highest, and the ratio to the engine's median."""
        return [
            f"{self.median:.2f}",
            f"{min(self.seconds):.2f}–{max(self.seconds):.2f}",
            f"{self.median / engine.median:.2f}",
        ]


def compare(
    works: dict[str, Callable[[Sequence[Row]], Any]],
    rows: Sequence[Row],
    *,
    repeats: int,
    warm_up: int = 2,
) -> dict[str, Timing]:
    """Time each function on the rows, after a warm-up on the first few.

    Every round runs all functions in turn, so that other load on the machine affects all.
    """
    timings = {name: Timing([], None) for name in works}
    # Output of transformers is not part of the report.
    with contextlib.redirect_stdout(sys.stderr):
        for work in works.values():
            work(rows[:warm_up])
        for number in range(repeats):
            for name, work in works.items():
                timing = timings[name]
                timing.value, seconds = timed(lambda work=work: work(rows))
                timing.seconds.append(seconds)
                print(f"round {number + 1}, {name}: {seconds:.2f} s")
    return timings


# Printing


def differing(hypotheses: Sequence[str], expected: Sequence[str]) -> str:
    """ "identical", or the number of hypotheses that differ."""
    count = sum(a != b for a, b in zip(hypotheses, expected, strict=True))
    return f"{count} of {len(expected)} differ" if count else "identical"


def report(title: str, about: Sequence[str], *parts: str) -> None:
    """Print a heading, a line on the run and the machine, and the parts."""
    print("\n\n".join([f"## {title}", "; ".join([*about, machine()]) + ".", *parts]))


def machine() -> str:
    """The device, the CPU, and the versions that matter."""
    cpu = "unknown CPU"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        cpu = names[0] if names else cpu
    return (
        f"{device_name()} ({cpu}, {os.cpu_count()} cores), "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


def run(main: Callable[[], None]) -> None:
    """Run a benchmark. An InputError ends it with the message alone."""
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("slimspeech").setLevel(logging.WARNING)
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
