"""Would racing have chosen the layers of a whole search, and how many translations would it save?

No model runs: the translations are those that the search saved.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from slimspeech.artifacts import Row, read_csv, read_jsonl
from slimspeech.evaluation.metrics import score
from slimspeech.formatting import aligned
from slimspeech.languages import target_code
from slimspeech.pruning.racing import finishers, race
from slimspeech.pruning.selection import least_important


def outcome(
    texts: Mapping[int, Sequence[str]], segments: Sequence[Row], metric: str
) -> tuple[bool, float]:
    """Whether a race chooses what the whole search does, and the share of translations it saves."""
    language = target_code(segments[0]["pair"])
    references = [segment["target"] for segment in segments]
    scores = {
        layer: score(list(own), references, language, [metric])[metric]["score"]
        for layer, own in texts.items()
    }

    def translate(layers: Sequence[int], indices: Sequence[int]) -> list[list[str]]:
        return [[texts[layer][i] for i in indices] for layer in layers]

    counts = {n: len(own) for n, own in race(list(texts), segments, metric, translate).items()}
    chosen = least_important({layer: scores[layer] for layer in finishers(counts)}, metric)
    saved = 1 - sum(counts.values()) / (len(texts) * len(segments))
    return chosen == least_important(scores, metric), saved


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("search", type=Path, help="such as results/mini/en-de/pruning/chrf")
    parser.add_argument("--resamples", type=int, default=50, help="of the segments (default: 50)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    segments = read_jsonl(options.search.parent / "segments.jsonl")
    random = np.random.default_rng(options.seed)
    cells = []
    for folder in sorted(options.search.glob("iter_*")):
        metric = read_csv(folder / "scores.csv")[0]["metric"]
        texts: dict[int, dict[str, str]] = {}
        for row in read_jsonl(folder / "hypotheses.jsonl"):
            texts.setdefault(row["layer"], {})[row["id"]] = row["hypothesis"]
        results = []
        for resample in range(options.resamples + 1):
            drawn = random.choice(len(segments), len(segments))
            rows = [segments[i] for i in drawn] if resample else segments
            of_rows = {n: [own[row["id"]] for row in rows] for n, own in texts.items()}
            results.append(outcome(of_rows, rows, metric))
        same, saved = zip(*results, strict=True)
        cells.append(
            [
                folder.name,
                "yes" if same[0] else "no",
                f"{sum(same[1:])} of {options.resamples}",
                f"{100 * saved[0]:.0f} %",
                f"{100 * np.mean(saved):.0f} %",
            ]
        )
    header = ["iteration", "same choice", "in resamples", "translations saved", "in resamples"]
    print(aligned(header, cells))


if __name__ == "__main__":
    main()
