"""The losses of several models on the same segments, and their differences from the first model."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # or there is a bar for each segment

import harness
import numpy as np

from slimspeech.artifacts import Row, read_jsonl
from slimspeech.evaluation.metrics import talks_of
from slimspeech.evaluation.significance import Estimate, draw
from slimspeech.formatting import MISSING, aligned
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.pruning.criteria import GoldCorpus, stack_loss


def first_of_each_talk(rows: Sequence[Row], count: int) -> list[Row]:
    return [rows[i] for indices in talks_of(rows).values() for i in indices[:count]]


def losses(directory: Path, rows: Sequence[Row], precision: str) -> tuple[np.ndarray, np.ndarray]:
    """By segment: the loss summed over the tokens of the answer, in nats, and their number."""
    model = load_for_inference(str(directory), precision)
    processor = load_processor(str(directory))
    layers = range(len(model.get_decoder().layers))
    collate = Collator(processor, harness.PROMPT)
    means, counts = [], []
    for row in rows:
        corpus = GoldCorpus(model, processor, [row], harness.PROMPT, 1)
        means.append(stack_loss(corpus, layers))
        counts.append(len(collate.answer(row)))
    return np.multiply(means, counts), np.array(counts)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", help="directories")
    parser.add_argument("--segments", type=Path, required=True, help="manifest of a pair")
    parser.add_argument("--per-talk", type=harness.positive, default=20, help="segments of a talk")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args(arguments)
    rows = first_of_each_talk(read_jsonl(options.segments), options.per_talk)
    times = draw(len(rows))
    cells, first = [], None
    for directory in options.models:
        sums, counts = losses(directory, rows, options.precision)
        drawn = (times @ sums) / (times @ counts)
        first = drawn if first is None else first
        less = Estimate.of(drawn - first)
        interval = MISSING if less.low is None else f"{less.low:+.3f} to {less.high:+.3f}"
        cells.append([str(directory), f"{drawn[0]:.4f}", f"{less.value:+.4f}", interval])
    print(f"{len(rows)} segments, nats a token")
    print(aligned(["model", "loss", "difference", "95 % interval"], cells))


if __name__ == "__main__":
    main()
