"""The whole layer search by the engine, and how its time grows with clips and candidates."""

from collections.abc import Sequence

import harness

GROWTH = (1, 2, 4)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=100)
    harness.add_decoding(parser)
    parser.add_argument(
        "--iterations",
        type=harness.positive,
        default=3,
        help="layers that the whole search removes",
    )
    options = parser.parse_args(arguments)
    bench = harness.load(options, clips=max(GROWTH) * options.clips)
    layers = harness.removable(bench.model)
    kept = [0, *layers, layers[-1] + 1]

    few = max(1, len(layers) // 4)
    cases = [("clips", factor, options.clips * factor, layers) for factor in GROWTH] + [
        ("candidates", factor, options.clips, harness.removable(bench.model, few * factor))
        for factor in GROWTH
        if few * factor <= len(layers)
    ]
    lines, first = [], 0.0
    for growing, factor, count, missing in cases:

        def engine(rows, missing=tuple(missing)):
            clips = harness.encode_with_engine(bench, rows)
            return harness.choose(harness.search_with_engine(bench, clips, kept, missing), rows)

        rows = bench.segments[:count]
        timing = harness.compare({"engine": engine}, rows, repeats=options.repeats)["engine"]
        if factor == 1:
            first = timing.median
        lines.append(
            [
                growing,
                count,
                len(missing),
                f"{sum(row['duration'] for row in rows):.0f}",
                f"{timing.median:.2f}",
                f"x{timing.median / first:.2f} at x{factor}",
                f"{1000 * timing.median / (count * len(missing)):.1f}",
            ]
        )
    head = ["growing", "clips", "candidates", "audio, s", "seconds", "growth", "ms a hypothesis"]
    harness.report(
        "The whole search, and the growth of an iteration",
        [f"{len(kept)} layers, {options.precision}", f"median of {options.repeats}"],
        whole_search(bench, bench.segments[: options.clips], options.iterations),
        harness.table(head, lines),
    )


def whole_search(bench: harness.Bench, rows: Sequence[harness.Row], iterations: int) -> str:
    """Remove one layer after the other; returns a table of seconds by iteration."""
    clips, encoding = harness.timed(lambda: harness.encode_with_engine(bench, rows))
    layers = harness.removable(bench.model)
    missing, kept = list(layers), [0, *layers, layers[-1] + 1]
    lines, total = [["encode the clips", "", "", f"{encoding:.2f}", ""]], encoding
    for number in range(1, min(iterations, len(layers)) + 1):

        def step(kept=tuple(kept), missing=tuple(missing)):
            return harness.choose(harness.search_with_engine(bench, clips, kept, missing), rows)

        (layer, metric, value), seconds = harness.timed(step)
        lines.append(
            [
                f"iteration {number}",
                len(rows),
                len(missing),
                f"{seconds:.2f}",
                f"{layer} ({metric} {value:.2f})",
            ]
        )
        missing.remove(layer)
        kept.remove(layer)
        total += seconds
    lines.append(["the whole search, loading not included", "", "", f"{total:.2f}", ""])
    return harness.table(["", "clips", "candidates", "seconds", "layer chosen"], lines)


if __name__ == "__main__":
    harness.run(main)
