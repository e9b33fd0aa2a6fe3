"""The prediction of a run's time, on jobs made by hand."""

import base64
import importlib
import json

import pytest
from project import REPOSITORY

from slimspeech.errors import InputError

BENCHMARKS = REPOSITORY / "benchmarks"


@pytest.fixture
def schedule(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("schedule")


@pytest.fixture
def jobs(schedule):
    """Data; for each of two pairs a teacher and two jobs that need it; a table of all."""
    table = {
        "data": (2, ()),
        "de": (10, ("data",)),
        "zh": (6, ("data",)),
        "de.search": (5, ("de",)),
        "de.test": (3, ("de",)),
        "zh.search": (5, ("zh",)),
        "zh.test": (3, ("zh",)),
        "table": (1, ("de.search", "de.test", "zh.search", "zh.test")),
    }
    return {
        name: schedule.Job(name, seconds, frozenset(needs))
        for name, (seconds, needs) in table.items()
    }


def test_one_worker_does_all_in_turn(schedule, jobs):
    assert schedule.makespan(jobs, 1) == 35
    assert schedule.makespan(jobs, 1, start=2) == 35 + 8 * 2


def test_many_workers_take_as_long_as_the_longest_chain(schedule, jobs):
    path = schedule.critical_path(jobs)
    assert [job.name for job in path] == ["data", "de", "de.search", "table"]
    assert schedule.makespan(jobs, 8) == sum(job.seconds for job in path) == 18


def test_two_workers(schedule, jobs):
    """2: data; 8: zh; 12: de; 13: zh.search; 17: de.search; 16, 19: the tests; 20: table."""
    assert schedule.makespan(jobs, 2) == 20


def record(rule, log, begin, end, *inputs, **more):
    times = {"starttime": begin, "endtime": end, "incomplete": False}
    return {"rule": rule, "log": [log], "input": list(inputs), **times, **more}


@pytest.fixture
def metadata(tmp_path):
    """As Snakemake writes it: a file for each output, with its name in base64."""
    files = {
        "results/corpora/a.zip": record("get", "logs/get.log", 0, 3),
        "results/x/data": record("cut", "logs/x/cut.log", 3, 5, "results/corpora/a.zip"),
        "results/x/rows.jsonl": record("cut", "logs/x/cut.log", 3, 5.5, "results/corpora/a.zip"),
        "results/x/score": record("score", "logs/x/score.log", 9, 10, "results/x/data/1.wav"),
        "results/y/score": record("score", "logs/y/score.log", 9, 19, "results/x/data/1.wav"),
        "results/x/half": record("cut", "logs/x/half.log", 0, 9, incomplete=True),
    }
    for path, content in files.items():
        name = base64.urlsafe_b64encode(path.encode()).decode()
        file = tmp_path / name
        if path == "results/x/data":  # as if it were too long for a file name
            file = tmp_path / f"@{name[:9]}" / name[9:]
            file.parent.mkdir()
        file.write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_jobs_of_an_experiment_are_read(schedule, metadata):
    jobs = schedule.read_jobs(metadata, "x")
    assert {(job.seconds, job.needs) for job in jobs.values()} == {
        (3, frozenset()),
        (2.5, frozenset({"get logs/get.log"})),
        (1, frozenset({"cut logs/x/cut.log"})),
    }


def test_the_table(schedule, metadata, capsys):
    schedule.main(["--metadata", str(metadata), "--experiment", "y"])
    out = capsys.readouterr().out
    assert "3 jobs, 16 s of work" in out
    assert "takes 16 s in 3 jobs" in out


def test_a_folder_without_the_experiment_is_named(schedule, metadata):
    with pytest.raises(InputError, match="nothing of results/z was made here"):
        schedule.read_jobs(metadata, "z")
