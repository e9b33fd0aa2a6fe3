"""Translate many clips: the engine, and HF `generate` with padding to the window."""

from collections.abc import Sequence

import harness
import published_search
from harness import PROMPT


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=784)
    harness.add_decoding(parser)
    options = parser.parse_args(arguments)
    bench = harness.load(options)
    plain = published_search.load_plain(options.model, options.precision)

    def reference(batch_size):
        return lambda rows: published_search.translate(
            plain,
            bench.processor,
            rows,
            PROMPT,
            batch_size=batch_size,
            max_new_tokens=options.max_new_tokens,
        )

    works = {
        "engine": lambda rows: harness.translate_with_engine(bench, rows),
        "HF generate, batch 1": reference(1),
        "HF generate, batch 16": reference(16),
    }
    timings = harness.compare(works, bench.segments, repeats=options.repeats)
    hypotheses = timings["engine"].value
    lines = [
        [
            name,
            *timing.cells(timings["engine"]),
            f"{len(hypotheses) / timing.median:.1f}",
            "" if name == "engine" else harness.differing(hypotheses, timing.value),
        ]
        for name, timing in timings.items()
    ]
    head = ["", "seconds", "lowest–highest", "ratio", "clips a second", "engine's hypotheses"]
    audio = sum(row["duration"] for row in bench.segments)
    harness.report(
        "Translation",
        [
            f"{len(hypotheses)} clips, {audio:.0f} s of audio",
            f"{options.precision}, median of {options.repeats}",
        ],
        harness.table(head, lines),
    )


if __name__ == "__main__":
    harness.run(main)
