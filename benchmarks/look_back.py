"""Would a look back over a finished search help? Each removed layer swapped with its neighbours.

For every removed layer, the stack without the layer beside it is scored in place of the stack
without that layer, on the clips given. Layers are chosen on the clips of the search, so give other
clips to see whether a gain is more than luck.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import harness

from slimspeech.artifacts import read_json
from slimspeech.evaluation.metrics import search_metric
from slimspeech.evaluation.significance import difference, draw, text_scores
from slimspeech.formatting import MISSING, aligned
from slimspeech.languages import target_code


def swaps(kept: Sequence[int], removed: Sequence[int]) -> dict[int, list[int]]:
    """By removed layer, its neighbours in the stack that could go instead; the ends may not."""
    inner = sorted(kept)[1:-1]
    return {
        layer: [
            *[n for n in inner if n < layer][-1:],
            *[n for n in inner if n > layer][:1],
        ]
        for layer in sorted(removed)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=100)
    harness.add_decoding(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--layers",
        type=Path,
        default=harness.RESULTS / "pruning" / "chrf" / "iter_03" / "layers.json",
        help="layers.json of the last iteration of a search",
    )
    options = parser.parse_args(arguments)
    bench = harness.load(options)
    layers = read_json(options.layers)
    clips = harness.encode_with_engine(bench, bench.segments)
    language = target_code(bench.segments[0]["pair"])
    metric = search_metric(language)
    references = [row["target"] for row in bench.segments]
    times = draw(len(references))
    cells = []
    for layer, neighbours in swaps(layers["kept"], layers["removed"]).items():
        whole = sorted([*layers["kept"], layer])
        texts = harness.search_with_engine(bench, clips, whole, [layer, *neighbours])
        scores = {n: text_scores(t, references, language, metric, times) for n, t in texts.items()}
        for other in neighbours:
            gain = difference(scores[other], scores[layer])
            interval = MISSING if gain.low is None else f"{gain.low:.2f} to {gain.high:.2f}"
            score = f"{scores[layer][0]:.2f}"
            cells.append([str(layer), str(other), score, f"{gain.value:+.2f}", interval])
    header = ["removed", "instead", f"{metric} now", "gain of the swap", "95 % interval"]
    print(aligned(header, cells))


if __name__ == "__main__":
    main()
