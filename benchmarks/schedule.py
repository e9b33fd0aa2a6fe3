"""Predict the time of a run on 1, 2, 4 … workers from the times of its jobs.

For every file that it made, Snakemake keeps the rule, the inputs, and the start and end of the job
(.snakemake/metadata). From these come the jobs and their dependencies. A worker does one job at a
time, and the job with the longest path to the end goes first. A worker is a core or a GPU of one
machine, or a job of a cluster. Measure the run with as many workers as it will have: jobs that
share cores take longer than alone.
"""

import argparse
import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path

import harness

from slimspeech.errors import InputError

WORKERS = (1, 2, 4, 8)
LISTED = 12  # the longest jobs of the critical path, which are printed


@dataclass(frozen=True)
class Job:
    name: str
    seconds: float
    needs: frozenset[str]  # names of the jobs whose outputs it reads


def read_jobs(metadata: Path, experiment: str) -> dict[str, Job]:
    """The jobs that made results/{experiment}, and those that these needed, by name.

    Raises InputError if the metadata has none.
    """
    makers: dict[str, str] = {}  # from a file or folder to the job that made it
    records: dict[str, list[dict]] = {}
    for path, record in _records(metadata):
        name = _name(record)
        makers[path] = name
        records.setdefault(name, []).append(record)
    jobs = {}
    waiting = [name for path, name in makers.items() if path.startswith(f"results/{experiment}/")]
    while waiting:
        name = waiting.pop()
        if name in jobs:
            continue
        begun = min(record["starttime"] for record in records[name])
        ended = max(record["endtime"] for record in records[name])
        read = {path for record in records[name] for path in record["input"]}
        needs = {maker for path in read for maker in _maker(path, makers)} - {name}
        jobs[name] = Job(name, ended - begun, frozenset(needs))
        waiting += needs
    if not jobs:
        raise InputError(
            f"{metadata}: nothing of results/{experiment} was made here; run the experiment from "
            "this folder, or name its .snakemake/metadata"
        )
    return jobs


def _records(metadata: Path) -> Iterator[tuple[str, dict]]:
    """Path and record of each finished output. The path, in base64, is the record's file name; the
    beginning of a long one is in names of folders that begin with @."""
    for file in sorted(metadata.rglob("*")):
        if not file.is_file():
            continue
        parts = file.relative_to(metadata).parts
        try:
            path = base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in parts))
            record = json.loads(file.read_text(encoding="utf-8"))
        except (binascii.Error, json.JSONDecodeError):
            continue
        timed = None not in (record.get("starttime"), record.get("endtime"))
        if timed and not record.get("incomplete"):
            yield path.decode(), record


def _name(record: Mapping) -> str:
    """The rule and its log. No two jobs have the same log."""
    return " ".join([record["rule"], *record["log"]])


def _maker(path: str, makers: Mapping[str, str]) -> Iterator[str]:
    """The job that made a file or the folder that it is in."""
    for output in (path, *map(str, Path(path).parents)):
        if output in makers:
            yield makers[output]
            return


def ways_to_the_end(jobs: Mapping[str, Job]) -> dict[str, float]:
    """Seconds from the start of each job to the end of the last job that depends on it."""
    followers: dict[str, list[str]] = {name: [] for name in jobs}
    for job in jobs.values():
        for needed in job.needs:
            followers[needed].append(job.name)
    seconds: dict[str, float] = {}
    for name in reversed(_in_order(jobs)):
        rest = max((seconds[follower] for follower in followers[name]), default=0.0)
        seconds[name] = jobs[name].seconds + rest
    return seconds


def _in_order(jobs: Mapping[str, Job]) -> list[str]:
    """Each job after those that it needs."""
    order: dict[str, None] = {}
    while len(order) < len(jobs):
        ready = [n for n, job in jobs.items() if n not in order and job.needs <= order.keys()]
        order |= dict.fromkeys(ready)
    return list(order)


def critical_path(jobs: Mapping[str, Job]) -> list[Job]:
    """The chain of jobs that takes longest; no number of workers makes the run faster."""
    ways = ways_to_the_end(jobs)
    path = [max(jobs, key=ways.get)]
    while following := [job.name for job in jobs.values() if path[-1] in job.needs]:
        path.append(max(following, key=ways.get))
    return [jobs[name] for name in path]


def makespan(jobs: Mapping[str, Job], workers: int, start: float = 0.0) -> float:
    """Seconds of the run with a number of workers. start: seconds before each job begins."""
    ways = ways_to_the_end(jobs)
    missing = {name: len(job.needs) for name, job in jobs.items()}
    ready = [(-ways[name], name) for name, count in missing.items() if not count]
    ready.sort()
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, name = heappop(ready)
            heappush(running, (now + start + jobs[name].seconds, name))
        now, ended = heappop(running)
        for job in jobs.values():
            if ended in job.needs:
                missing[job.name] -= 1
                if not missing[job.name]:
                    heappush(ready, (-ways[job.name], job.name))
    return now


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--experiment", default="mini", help="its folder in results/ (mini)")
    add("--metadata", type=Path, default=Path(".snakemake/metadata"), help="of the run")
    add("--start", type=float, default=0.0, help="seconds until a job begins, such as in a queue")
    options = parser.parse_args(arguments)
    jobs = read_jobs(options.metadata, options.experiment)
    path = critical_path(jobs)
    total = sum(job.seconds for job in jobs.values())
    longest = sum(job.seconds for job in path)
    times = {count: makespan(jobs, count, options.start) for count in WORKERS}
    rows = [[n, f"{time:.0f}", f"{times[1] / time:.2f}"] for n, time in times.items()]
    shown = sorted(path, key=lambda job: -job.seconds)[:LISTED]
    chain = [[job.name, f"{job.seconds:.0f}"] for job in path if job in shown]
    harness.report(
        f"A run of {options.experiment} on several workers",
        [f"{len(jobs)} jobs, {total:.0f} s of work, {options.start:g} s before each"],
        harness.table(["workers", "seconds", "times as fast"], rows),
        f"The critical path takes {longest:.0f} s in {len(path)} jobs; its longest jobs:",
        harness.table(["job", "seconds"], chain),
    )


if __name__ == "__main__":
    harness.run(main)
