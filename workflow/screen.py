"""What a run shows: its plan, a line for each job that ends, and at its end why a job failed.

Snakemake passes events to handlers of Python's logging (snakemake_interface_logger_plugins). This
handler writes one line where Snakemake's own writes ten; those are in .snakemake/log, or on the
screen with `--verbose`. What jobs print is in their logs.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from slimspeech.logs import last_error

SNAKEMAKES_OWN = "DefaultStreamHandler"
# What a user does not need to see.
UNSHOWN = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.SHELLCMD,
    LogEvent.JOB_STARTED,
    LogEvent.GROUP_INFO,
    LogEvent.GROUP_ERROR,
    LogEvent.DEBUG_DAG,
    LogEvent.RULEGRAPH,
}
UNSHOWN_MESSAGE = re.compile(
    "Assuming unrestricted|Building DAG|Using shell|Conda environments: ignored|Select jobs|"
    "Execute \\d+ jobs|Shutting down|Exiting because a job|Complete log|Elapsed time|"
    "WorkflowError:\\s+At least one job did not complete|Removing output files|"
    "Removing temporary output"
)
STOPPED_BY_USER = "Terminating processes on user request"
SIGNAL = re.compile(r"died with <Signals\.(SIG\w+)")
# The end of a bar of tqdm: percentage, steps, and the time that is left.
BAR = re.compile(r"(\d+%)\|[^|]*\| (\S+/\S+) \[[^<\]]*<([\d:]+)")
TAIL = 4000  # bytes of a log that are searched for its last bar
NAMED = 4  # jobs that are running and are named; of others the number is shown
# Seconds between lines on jobs that are running: a twentieth of the run so far, within these.
SHORTEST, LONGEST = 15, 600
REPEAT = 4  # times as many seconds before the same line again

MINI_TIME = "The mini experiment takes about 50 minutes on two cores without bf16."
OTHER_TIME = (
    "How long this takes depends on model and machine: docs/full-size.md tells what was measured."
)


@dataclass(frozen=True)
class Job:
    name: str
    log: Path | None
    start: float


class Screen(logging.Handler):
    """The screen of one run. Begin it in `onstart`, and end it in `onsuccess` or `onerror`."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        super().__init__()
        self.stream = stream
        self.quiet = quiet
        self.start = time.monotonic()
        self.shown = self.start
        self.jobs: dict[int, Job] = {}
        self.ended: list[Job] = []
        self.failures: dict[int, tuple[Job, str]] = {}
        self.exception = ""
        self.stopped = False
        self.counts: Mapping[str, int] = {}

    def write(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()
        self.shown = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event in UNSHOWN:
            return
        events = {
            LogEvent.RUN_INFO: self._plan,
            LogEvent.JOB_INFO: self._begin_job,
            LogEvent.JOB_FINISHED: self._end_job,
            LogEvent.JOB_ERROR: self._fail_job,
            LogEvent.PROGRESS: self._progress,
        }
        if event in events:
            events[event](record)
        elif event == LogEvent.ERROR and "CalledProcessError" in record.getMessage():
            self.exception = record.getMessage()
        elif record.msg and not UNSHOWN_MESSAGE.match(message := record.getMessage()):
            self.exception = message if record.levelno >= logging.ERROR else self.exception
            self.stopped |= message.startswith(STOPPED_BY_USER)
            self.write(without_place(message) if "\nconfig: " in message else message)

    def _plan(self, record: logging.LogRecord) -> None:
        counts = record.stats.items()
        self.counts = {job: count for job, count in counts if job not in ("all", "total")}

    def _begin_job(self, record: logging.LogRecord) -> None:
        values = [value for key, value in record.wildcards.items() if key != "experiment"]
        log = Path(record.log[0]) if record.log else None
        name = " ".join([record.rule_name, *values])
        self.jobs[record.jobid] = Job(name, log, time.monotonic())

    def _end_job(self, record: logging.LogRecord) -> None:
        self.failures.pop(record.job_id, None)
        if job := self.jobs.pop(record.job_id, None):
            self.ended.append(job)

    def _progress(self, record: logging.LogRecord) -> None:
        width = len(str(record.total))
        for job in self.ended:
            if not self.quiet and job.name != "all":
                took = duration(time.monotonic() - job.start)
                self.write(f"{record.done:{width}}/{record.total}  {job.name}  {took}")
        self.ended = []

    def _fail_job(self, record: logging.LogRecord) -> None:
        log = Path(record.log[0]) if record.log else None
        job = self.jobs.pop(record.jobid, Job(record.rule_name, log, self.start))
        why = why_failed(job.log, str(record.rule_msg or self.exception))
        self.exception = ""
        self.failures[record.jobid] = (job, why)
        if not self.stopped:
            self.write(f"FAILED  {job.name}: {why}")

    def begin(self, experiment: str, *, expected: str, cores: int | None, models: set[str]) -> None:
        """Say what the run will do, and how long it may take.

        expected: a sentence on the time.
        models: the rules that load a model; their jobs take most of the time.
        """
        counts = self.counts
        chosen = ", ".join(f"{count} {job}" for job, count in counts.items() if job in models)
        total = sum(counts.values())
        where = f" on {number_of(cores, 'core')}" if cores else ""
        self.write(f"{experiment}: {number_of(total, 'job')}{where}.")
        if chosen:
            self.write(f"Jobs that load a model: {chosen}.")
            self.write(expected)
        self.write("Ctrl-C stops the run; the same command continues it.")
        self.write("A line is shown for each job that ends. What the jobs print is in logs/.\n")
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Show the jobs that are running when no line has been written for some time."""
        last = ""
        while True:
            time.sleep(1)
            with self.lock:
                now = time.monotonic()
                pause = min(max((now - self.start) / 20, SHORTEST), LONGEST)
                if self.quiet or not self.jobs or now - self.shown < pause:
                    continue
                if (line := f"… {self.running()}") != last or now - self.shown >= REPEAT * pause:
                    self.write(line)
                    last = line

    def running(self) -> str:
        """The jobs that are running, the oldest first, with the progress of each."""
        jobs = list(self.jobs.values())
        shown = [job.name + progress_of(job.log) for job in jobs[:NAMED]]
        return "; ".join(shown) + (f"; {len(jobs) - NAMED} more" if len(jobs) > NAMED else "")

    def succeed(self, results: Sequence[str]) -> None:
        """Say that the run is done, and where its results are."""
        with self.lock:
            self.jobs = {}
            self.write(f"\nDone in {duration(time.monotonic() - self.start)}.")
            for path in results:
                if Path(path).exists():
                    self.write(f"Result: {path}")

    def fail(self, report_command: str) -> None:
        """Say how to go on, and last of all why the run failed: the file and the fix."""
        with self.lock:
            self.jobs = {}
            why = "is stopped. The" if self.stopped else "failed. After the fix, the"
            self.write(f"\nThe run {why} same command continues it.")
            self.write(f"The report of what is there so far: {report_command}")
            if self.stopped:
                return
            for job, _ in self.failures.values():
                if job.log:
                    self.write(f"Log of {job.name}: {job.log}")
            self.write("")
            for job, why in self.failures.values():
                self.write(f"{job.name}: {why}")


def without_place(message: str) -> str:
    """What is wrong with a config, without the line of our code that raises it."""
    lines = message.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("WorkflowError", '  File "')))


def why_failed(log: Path | None, exception: str) -> str:
    """The sentence of a job that failed: its last error in the log, or else what ended it."""
    text = log.read_text(encoding="utf-8", errors="replace") if log and log.is_file() else ""
    if error := last_error(text):
        return error
    if signal := SIGNAL.search(exception):
        memory = "; the usual cause is too little memory" if signal[1] == "SIGKILL" else ""
        return f"was stopped by {signal[1]}{memory}"
    lines = [line for line in text.splitlines() if line.strip()]
    return (lines or exception.strip().splitlines() or ["failed without a message"])[-1].strip()


def progress_of(log: Path | None) -> str:
    """How far a job is, by the last bar in its log."""
    if log is None or not log.is_file():
        return ""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        bars = BAR.findall(file.read().decode("utf-8", errors="replace"))
    return " ({}, {}, {} left)".format(*bars[-1]) if bars and bars[-1][0] != "100%" else ""


def number_of(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def duration(seconds: float) -> str:
    """Such as "8 s", "2 min 05 s" or "3 h 20 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def show(workflow: Any) -> Screen:
    """Replace Snakemake's own screen in a run; other commands, such as a dry run, keep theirs."""
    settings = workflow.output_settings
    screen = Screen(sys.stderr, quiet=bool(set(settings.quiet or ()) - {Quietness.HOST}))
    if settings.dryrun or not workflow.is_main_process:
        return screen
    logger = logging.getLogger("snakemake.logging")
    if not settings.verbose:
        for handler in [handler for handler in logger.handlers if handler.name == SNAKEMAKES_OWN]:
            logger.removeHandler(handler)
    logger.addHandler(screen)
    return screen
