"""Why a system has no scores: failed, by the log that one of its steps left, or not run."""

from collections.abc import Mapping
from typing import Any

from slimspeech.logs import last_error
from slimspeech.report.read.files import Reader
from slimspeech.report.results import FAILED, NOT_RUN, System
from slimspeech.steps import steps

STOPPED = "left neither a result nor an error; it was stopped, or is still running"


def state_of(reader: Reader, config: Mapping[str, Any], pair: str, name: str) -> System:
    """A system without scores: failed at the first step that left a log and no output.

    A job that was killed, or one that is running now, looks the same, but for its log's last line.
    """
    folders = {"experiment": config["experiment"], "pair": pair}
    for step in steps(config, name):
        if reader.exists(step.output.format_map(folders)):
            continue
        logs = [
            (rule, log)
            for rule, pattern in step.logs.items()
            for log in reader.glob(pattern.format_map(folders))
        ]
        if not logs:
            return System(name, NOT_RUN, f"waits for {next(iter(step.logs))}")
        errors = [(rule, log, error) for rule, log in logs if (error := _last_error(reader, log))]
        rule, log, error = errors[-1] if errors else (*logs[-1], STOPPED)
        return System(name, FAILED, f"{rule}: {error}", log)
    return System(name, NOT_RUN, "waits for score_hypotheses")


def _last_error(reader: Reader, log: str) -> str | None:
    """What a log ends with, if that is an error."""
    return last_error((reader.root / log).read_text(encoding="utf-8", errors="replace"))
