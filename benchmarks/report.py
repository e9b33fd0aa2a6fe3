"""Write the report of 884 segments and ten systems, with linked and with embedded audio."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import harness
from made_results import make_results

from slimspeech.report.report import write_report

PUBLISHED = Path(__file__).parents[1] / "workflow" / "report" / "published.yaml"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=884)
    parser.add_argument("--systems", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=7.8, help="length of a clip")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = make_results(
            root, segments=options.segments, systems=options.systems, seconds=options.seconds
        )
        for audio in ("link", "embed"):
            config["report"]["audio"] = audio
            times = []
            for _ in range(options.repeats):
                start = time.perf_counter()
                write_report(config, PUBLISHED, root)
                times.append(time.perf_counter() - start)
            size = (root / "results" / "made" / "report.html").stat().st_size
            spread = f"{min(times):.1f}–{max(times):.1f}"
            lines.append([audio, f"{statistics.median(times):.1f}", spread, f"{size / 1e6:.1f}"])
    harness.report(
        "Report",
        [f"{options.segments} segments of {options.seconds} s, {options.systems} systems"],
        harness.table(["audio", "seconds", "lowest–highest", "MB"], lines),
    )


if __name__ == "__main__":
    main()
