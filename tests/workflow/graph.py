"""The jobs that a dry-run prints, to be read in many ways."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from project import Project


@dataclass(frozen=True)
class Job:
    rule: str
    input: list[str]
    output: list[str]
    log: list[str]
    benchmark: list[str]


class Graph:
    def __init__(self, jobs: list[Job]):
        self.jobs = jobs
        self.made = {path: job for job in jobs for path in job.output}

    def job(self, rule: str) -> Job:
        [job] = [job for job in self.jobs if job.rule == rule]
        return job

    def upstream(self, *targets: str) -> list[Job]:
        """The jobs that lead to the targets."""
        seen: dict[int, Job] = {}
        waiting = list(targets)
        while waiting:
            job = self.made.get(waiting.pop())
            if job and id(job) not in seen:
                seen[id(job)] = job
                waiting += job.input
        return list(seen.values())

    def count(self, *targets: str) -> dict[str, int]:
        """How many jobs of each rule lead to the targets."""
        return dict(Counter(job.rule for job in self.upstream(*targets)))


def read_graph(project: Project, *targets: str, config: dict[str, Any] | None = None) -> Graph:
    """All jobs behind the targets, or behind the default target."""
    chosen = ["--configfile", project.write_config(config)] if config else []
    text = project.succeed(*targets, "--dry-run", "--forceall", *chosen)
    jobs = []
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, re.M):
        files = dict(re.findall(r"^    (input|output|log|benchmark): (.+)$", block, re.M))
        lists = {
            key: re.sub(r" \(.*?\)", "", files[key]).split(", ") if key in files else []
            for key in ("input", "output", "log", "benchmark")
        }
        jobs.append(Job(rule, **lists))
    assert jobs
    return Graph(jobs)
