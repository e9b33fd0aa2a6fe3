"""One training and its translations on what stands for other machines, and with another seed.

Other numbers of threads and older instructions add the same numbers in another order.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")  # or every training has bars of its own

import harness
import torch

from slimspeech.artifacts import read_json, read_jsonl, write_json
from slimspeech.evaluation.metrics import search_metric
from slimspeech.evaluation.significance import difference, draw, text_scores
from slimspeech.languages import target_code
from slimspeech.models.loading import load_for_inference, load_model, load_processor, save_model
from slimspeech.training.fine_tuning import fine_tune

# As on a CPU without AVX: for the kernels of torch itself, of oneDNN and of MKL.
OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}


@dataclass(frozen=True)
class Machine:
    threads: int = 1
    seed: int = 0
    environment: dict[str, str] = field(default_factory=dict)


MACHINES = {
    "one thread": Machine(),
    "the same again": Machine(),
    "two threads": Machine(threads=2),
    "SSE instructions": Machine(environment=OLDER),
    "another seed": Machine(seed=1),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    harness.add_decoding(parser)
    add = parser.add_argument
    add("--model", type=Path, default=Path("resources/mini/base"), help="to train: its directory")
    add("--train", type=Path, default=harness.RESULTS / "data" / "train.jsonl", help="manifest")
    add(
        "--segments",
        type=Path,
        nargs="+",
        default=[harness.RESULTS / "data" / "test.jsonl"],
        help="manifests; their first rows are translated",
    )
    add("--clips", type=harness.positive, default=184, help="how many segments")
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="of all")
    add("--epochs", type=harness.positive, default=5, help="of the training")
    add("--learning-rate", type=float, default=5e-4, help="of the training")
    add("--only", help=f"of {', '.join(MACHINES)}: run it here, and write to --out")
    add("--out", type=Path, help="of --only: a JSON file")
    options = parser.parse_args(arguments)
    if options.only:
        write_json(options.out, run_here(options, MACHINES[options.only]))
        return
    _, rows = harness.load_inputs(options, options.clips)
    with tempfile.TemporaryDirectory() as folder:
        found = {name: run_there(options, name, Path(folder, "out.json")) for name in MACHINES}
    language = target_code(rows[0]["pair"])
    metric, references = search_metric(language), [row["target"] for row in rows]
    times = draw(len(rows))
    first = found["one thread"]

    def score(texts):
        return text_scores(texts, references, language, metric, times)

    cells = []
    for name, of in found.items():
        less = difference(score(of["trained"]), score(first["trained"]))
        interval = "" if less.low is None else f" [{less.low:+.2f}, {less.high:+.2f}]"
        cells.append(
            [
                name,
                harness.differing(of["untrained"], first["untrained"]),
                harness.differing(of["trained"], first["trained"]),
                f"{score(of['trained'])[0]:.2f}",
                f"{less.value:+.2f}{interval}",
            ]
        )
    head = ["", "translations, untrained", "trained", metric, "difference"]
    harness.report(
        "One training on several machines",
        [f"{len(rows)} segments", f"{options.epochs} epochs", options.precision],
        harness.table(head, cells),
    )


def run_there(options: argparse.Namespace, name: str, out: Path) -> dict[str, Any]:
    """In a process of its own: a library chooses its instructions once, when it starts."""
    chosen = {
        "--model": options.model,
        "--train": options.train,
        "--clips": options.clips,
        "--epochs": options.epochs,
        "--learning-rate": options.learning_rate,
        "--precision": options.precision,
        "--batch-size": options.batch_size,
        "--max-new-tokens": options.max_new_tokens,
        "--only": name,
        "--out": out,
    }
    words = [str(word) for pair in chosen.items() for word in pair]
    print(name, file=sys.stderr)
    environment = os.environ | MACHINES[name].environment
    script = [sys.executable, __file__, *words, "--segments", *map(str, options.segments)]
    subprocess.run(script, env=environment, check=True)
    return read_json(out)


def run_here(options: argparse.Namespace, machine: Machine) -> dict[str, Any]:
    options.threads = machine.threads
    bench = harness.load(options)
    untrained = harness.translate_with_engine(bench, bench.segments)
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(options.model, torch.float32)
        settings = harness.plain_training(
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            batch_size=8,
            gradient_accumulation=2,
            precision=options.precision,
        )
        rows = read_jsonl(options.train)
        processor = load_processor(options.model)
        fine_tune(
            model,
            processor,
            rows,
            [],
            harness.PROMPT,
            settings,
            seed=machine.seed,
            workspace=f"{folder}/workspace",
        )
        save_model(model.to(torch.bfloat16), processor, f"{folder}/model")
        bench = replace(bench, model=load_for_inference(f"{folder}/model", options.precision))
        trained = harness.translate_with_engine(bench, bench.segments)
    return {"untrained": untrained, "trained": trained}


if __name__ == "__main__":
    harness.run(main)
