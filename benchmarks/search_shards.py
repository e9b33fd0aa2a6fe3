"""A search split over several jobs: predicted and measured seconds.

The shards run one after the other. The slowest gives the time of parallel jobs.
"""

from collections.abc import Sequence
from math import ceil

import harness

from slimspeech.evaluation.cost import timed
from slimspeech.models.loading import load_for_inference
from slimspeech.pruning.shards import share

MEASURED = (1, 2, 4)
PREDICTED = (1, 2, 4, 8, 16)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=100)
    harness.add_decoding(parser)
    add = parser.add_argument
    add("--iterations", type=harness.positive, default=3, help="layers that the search removes")
    add("--start", type=float, default=10.0, help="seconds of a job before its script, and queue")
    options = parser.parse_args(arguments)
    bench = harness.load(options)
    layers = harness.removable(bench.model)
    kept = [0, *layers, layers[-1] + 1]
    clips = harness.encode_with_engine(bench, bench.segments)
    _, load = timed(lambda: load_for_inference(str(options.model), options.precision))

    def seconds(parts: Sequence[Sequence[int]]) -> list[float]:
        """The median of several rounds, for each part."""
        works = {
            str(number): lambda rows, part=tuple(part): harness.search_with_engine(
                bench, clips, kept, part
            )
            for number, part in enumerate(parts)
        }
        timings = harness.compare(works, bench.segments, repeats=options.repeats)
        return [timing.median for timing in timings.values()]

    # A line through two points: one candidate of middle depth, and all candidates.
    [one, whole] = seconds([harness.removable(bench.model, 1), layers])
    each = (whole - one) / (len(layers) - 1)
    shared = one - each

    def predicted(candidates: int, jobs: int) -> float:
        return shared + each * ceil(candidates / jobs)

    rows = []
    for jobs in MEASURED:
        slowest = max(seconds([share(layers, number, jobs) for number in range(1, jobs + 1)]))
        expected = predicted(len(layers), jobs)
        rows.append([jobs, f"{expected:.2f}", f"{slowest:.2f}", f"{slowest / expected - 1:+.0%}"])
    count = len(layers)
    totals = {
        jobs: sum(
            options.start + load + predicted(count - removed, jobs)
            for removed in range(min(options.iterations, count))
        )
        for jobs in PREDICTED
    }
    searches = [
        [jobs, f"{total:.0f}", f"{totals[1] / total:.2f}"] for jobs, total in totals.items()
    ]
    harness.report(
        "A search split over jobs",
        [
            f"{len(kept)} layers, {options.precision}, median of {options.repeats}",
            f"loading {load:.2f} s, shared part {shared:.2f} s, each candidate {each:.2f} s",
        ],
        harness.table(["jobs", "predicted, s", "measured, s", "off by"], rows),
        f"Predicted: {options.iterations} iterations, {options.start:g} s to start a job.",
        harness.table(["jobs", "seconds", "times as fast"], searches),
    )


if __name__ == "__main__":
    harness.run(main)
