"""What a run shows, from the events that Snakemake passes to log handlers."""

import io
import logging

import pytest
from screen import Screen, duration
from snakemake_interface_logger_plugins.common import LogEvent

SENTENCE = "made.zip: neither zip nor tar; give one of these as data/archive"
KILLED = "CalledProcessError in file …\nCommand … died with <Signals.SIGKILL: 9>."


class Run:
    """A run of two jobs, of which the tests say how they end."""

    def __init__(self, folder):
        self.screen = Screen(io.StringIO())
        self.logs = [folder / "0.log", folder / "1.log"]
        self.tell(LogEvent.RUN_INFO, stats={"train_teacher": 2, "all": 1, "total": 3})
        for jobid, log in enumerate(self.logs):
            wildcards = {"experiment": "mini", "pair": ("en-de", "en-zh")[jobid]}
            self.tell(
                LogEvent.JOB_INFO,
                jobid=jobid,
                rule_name="train_teacher",
                wildcards=wildcards,
                log=[str(log)],
            )

    def tell(self, event, message="", level=logging.INFO, **fields):
        record = {"event": event, "msg": message, "levelno": level} | fields
        self.screen.handle(logging.makeLogRecord(record))

    def finish(self, jobid, done):
        self.tell(LogEvent.JOB_FINISHED, job_id=jobid)
        self.tell(LogEvent.PROGRESS, done=done, total=3)

    def fail(self, jobid, log="", exception=""):
        self.logs[jobid].write_text(log, encoding="utf-8")
        self.tell(LogEvent.ERROR, exception, logging.ERROR)
        self.tell(
            LogEvent.JOB_ERROR,
            jobid=jobid,
            rule_name="train_teacher",
            rule_msg=None,
            log=[str(self.logs[jobid])],
        )

    def lines(self):
        return self.screen.stream.getvalue().splitlines()


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_job_that_ends_is_a_line(run):
    run.finish(1, done=1)
    run.finish(0, done=2)
    assert [line.rsplit("  ", 1)[0] for line in run.lines()] == [
        "1/3  train_teacher en-zh",
        "2/3  train_teacher en-de",
    ]


def test_messages_are_shown_unless_they_tell_a_user_nothing(run):
    run.tell(None, "Select jobs to execute...")
    run.tell(LogEvent.RESOURCES_INFO, "Provided cores: 2")
    run.tell(None, "Nothing to be done (all requested files are present and up to date).")
    run.tell(LogEvent.ERROR, "WorkflowError: config: unknown key", logging.ERROR)
    assert [line.split(" ")[0] for line in run.lines()] == ["Nothing", "WorkflowError:"]


def test_a_wrong_config_ends_with_its_sentence(run):
    place = 'WorkflowError in file "common.smk", line 28:'
    trace = '  File "common.smk", line 28, in <module>'
    run.tell(LogEvent.ERROR, f"{place}\nconfig: unknown key x\n{trace}", logging.ERROR)
    assert run.lines() == ["config: unknown key x"]


def test_a_failed_run_ends_with_the_sentence_of_its_log(run):
    run.fail(0, f"Loading\n2026-11-27 17:00:00,000 CRITICAL root: {SENTENCE}\n", KILLED)
    run.tell(None, "Exiting because a job execution failed.", logging.ERROR)
    run.screen.fail("make report")
    lines = run.lines()
    assert lines[-1] == f"train_teacher en-de: {SENTENCE}"
    assert any("make report" in line for line in lines)
    assert any(str(run.logs[0]) in line for line in lines)
    assert not any("CalledProcessError" in line or "Exiting" in line for line in lines)


def test_a_run_that_the_user_stops_has_not_failed(run):
    run.tell(None, "Terminating processes on user request, this might take some time.")
    run.fail(0, "2026-11-27 17:00:00,000 CRITICAL root: failed\nKeyboardInterrupt\n")
    run.screen.fail("make report")
    text = "\n".join(run.lines())
    assert "same command" in text and "make report" in text
    assert "failed" not in text and "KeyboardInterrupt" not in text


def test_a_job_that_is_killed_leaves_its_signal(run):
    run.fail(0, "Loading weights: 12%", KILLED)
    run.screen.fail("make report")
    assert "SIGKILL" in run.lines()[-1]


def test_a_job_without_an_error_leaves_the_end_of_its_log(run):
    run.fail(0, "Collecting torch\nERROR: no matching distribution\n")
    run.screen.fail("make report")
    assert run.lines()[-1] == "train_teacher en-de: ERROR: no matching distribution"


def test_a_job_that_succeeds_at_last_has_not_failed(run):
    run.fail(1, "first try")
    run.tell(
        LogEvent.JOB_INFO,
        jobid=1,
        rule_name="train_teacher",
        wildcards={},
        log=[str(run.logs[1])],
    )
    run.finish(1, done=1)
    run.fail(0, "no luck")
    run.screen.fail("make report")
    assert [line for line in run.lines()[-2:] if line] == ["train_teacher en-de: no luck"]


def test_progress_is_that_of_the_last_bar(run):
    run.logs[0].write_text(
        " 1%|          | 1/190 [00:19<1:02:35, 19s/it]\r 12%|█▏        | 23/190 [07:33<54:10, …",
        encoding="utf-8",
    )
    assert (
        run.screen.running() == "train_teacher en-de (12%, 23/190, 54:10 left); train_teacher en-zh"
    )


@pytest.mark.parametrize(
    "seconds, text", [(8.4, "8 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
