"""The time of one iteration of the engine's layer search, by phase and by operation."""

import contextlib
from collections.abc import Iterator, Sequence
from unittest import mock

import harness
import torch
from torch.autograd.profiler import record_function
from torch.profiler import ProfilerActivity, profile

from slimspeech.generation import greedy

PHASES = {"prompts' pass": "_prompt", "decoding steps": "_step"}
ENCODING = "encoding of the clips"
# aten's names by kind of operation.
KINDS = {
    "attention": ("_scaled_dot_product", "_flash_attention", "_efficient_attention"),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "moving keys, values and rows": ("index", "cat", "copy_", "index_put_", "_index_put_impl_"),
}


def kind_of(name: str) -> str:
    name = name.removeprefix("aten::")
    for kind, names in KINDS.items():
        if name in names or (kind == "attention" and name.startswith(names)):
            return kind
    return "everything else"


@contextlib.contextmanager
def named_phases() -> Iterator[None]:
    """Mark the engine's phases for the profiler."""
    with contextlib.ExitStack() as stack:
        for label, method in PHASES.items():
            original = getattr(greedy._Batch, method)

            def named(self, *arguments, label=label, original=original):
                with record_function(label):
                    return original(self, *arguments)

            stack.enter_context(mock.patch.object(greedy._Batch, method, named))
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=100)
    harness.add_decoding(parser)
    parser.set_defaults(threads=1)  # so that shares of CPU time are shares of elapsed time
    parser.add_argument("--candidates", type=harness.positive, help="as in search_iteration.py")
    options = parser.parse_args(arguments)
    bench = harness.load(options)
    kept = list(range(len(bench.model.get_decoder().layers)))
    missing = harness.removable(bench.model, options.candidates)

    def iteration(rows):
        with record_function(ENCODING):
            clips = harness.encode_with_engine(bench, rows)
        return harness.search_with_engine(bench, clips, kept, missing)

    iteration(bench.segments[:2])
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with named_phases(), profile(activities=activities) as profiled:
        _, seconds = harness.timed(lambda: iteration(bench.segments))
    events = profiled.key_averages()
    phases = {event.key: event.cpu_time_total / 1e6 for event in events}
    phases = {name: phases[name] for name in (ENCODING, *PHASES)}
    kinds = dict.fromkeys([*KINDS, "everything else"], 0.0)
    for event in events:
        if event.key.startswith("aten::"):
            kinds[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    harness.report(
        "Profile of one search iteration",
        [
            f"{len(bench.segments)} clips, {len(missing)} candidates of {len(kept)} layers",
            f"{options.precision}, {options.threads} threads, {seconds:.1f} s with the profiler on",
        ],
        harness.table(["phase", "seconds", "share"], shares(phases, sum(phases.values()))),
        harness.table(["operations", "seconds", "share"], shares(kinds, sum(kinds.values()))),
    )


def shares(seconds: dict[str, float], whole: float) -> list[list[str]]:
    return [[name, f"{time:.2f}", f"{100 * time / whole:.0f} %"] for name, time in seconds.items()]


if __name__ == "__main__":
    harness.run(main)
