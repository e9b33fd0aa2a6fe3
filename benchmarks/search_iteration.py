"""One iteration of the layer search: the engine, the published loop, and a batched reference."""

from collections.abc import Sequence

import harness
import published_search
from harness import PROMPT


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=100)
    harness.add_decoding(parser)
    parser.add_argument("--candidates", type=harness.positive, help="spread evenly; by default all")
    parser.add_argument(
        "--reference-batch", type=harness.positive, default=100, help="of the second reference"
    )
    options = parser.parse_args(arguments)
    bench = harness.load(options)
    plain = published_search.load_plain(options.model, options.precision)
    kept = list(range(len(bench.model.get_decoder().layers)))
    missing = harness.removable(bench.model, options.candidates)

    def engine(rows):
        clips = harness.encode_with_engine(bench, rows)
        hypotheses = harness.search_with_engine(bench, clips, kept, missing)
        return hypotheses, harness.choose(hypotheses, rows)

    def reference(batch_size):
        def run(rows):
            hypotheses = published_search.search(
                plain,
                bench.processor,
                rows,
                PROMPT,
                kept,
                missing,
                batch_size=batch_size,
                max_new_tokens=options.max_new_tokens,
            )
            return hypotheses, harness.choose(hypotheses, rows)

        return run

    works = {
        "engine": engine,
        "published loop: deep copies, batch 1": reference(1),
        f"HF generate on each pruned model, batch {options.reference_batch}": reference(
            options.reference_batch
        ),
    }
    timings = harness.compare(works, bench.segments, repeats=options.repeats)
    hypotheses, choice = timings["engine"].value
    lines = []
    for name, timing in timings.items():
        expected, expected_choice = timing.value
        texts = [
            [text for layer in missing for text in by_layer[layer]]
            for by_layer in (hypotheses, expected)
        ]
        same = "same" if choice[0] == expected_choice[0] else "another"
        lines.append(
            [
                name,
                *timing.cells(timings["engine"]),
                "" if name == "engine" else harness.differing(*texts),
                "{} ({} {:.2f})".format(*expected_choice)
                + ("" if name == "engine" else f", {same}"),
            ]
        )
    head = ["", "seconds", "lowest–highest", "ratio", "engine's hypotheses", "layer chosen"]
    harness.report(
        "One search iteration",
        [
            f"{len(bench.segments)} clips, {len(missing)} candidates of {len(kept)} layers",
            f"{options.precision}, median of {options.repeats}",
            "encoding and scoring included, loading not",
        ],
        harness.table(head, lines),
    )


if __name__ == "__main__":
    harness.run(main)
