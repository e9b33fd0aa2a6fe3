"""What an experiment found, as the report shows it. Every part knows the files it came from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slimspeech import languages
from slimspeech.evaluation.score_table import TEACHER, TITLES

SCORED, FAILED, NOT_RUN = "scored", "failed", "not run"


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its 95 % interval, or of its spread over repeats, if known."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> bool:
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class Score:
    """One metric of one system over the whole test set."""

    score: Interval
    signature: str | None = None
    retention: Interval | None = None  # percent of the teacher's score
    difference: Interval | None = None  # the score less the teacher's
    p_value: float | None = None


@dataclass(frozen=True)
class Timing:
    """Work at one batch size; seconds_per_audio_second: lower is faster."""

    batch_size: int | str
    best: bool
    seconds_per_audio_second: Interval
    tokens_per_second: Interval | None = None


@dataclass(frozen=True)
class Cost:
    """How fast a system is and what it takes, on one machine."""

    device: str
    dtype: str
    clips: int
    repeats: int
    timings: Sequence[Timing]
    load_seconds: Interval | None = None
    peak_memory: int | None = None
    memory_kind: str | None = None  # "gpu" or "rss"

    @property
    def best(self) -> Timing:
        """At the best batch size, or at the only one."""
        return next((timing for timing in self.timings if timing.best), self.timings[-1])


@dataclass(frozen=True)
class System:
    """One system of one pair. What was not measured is empty or None; `files` says from where."""

    pair: str
    name: str
    state: str  # SCORED, FAILED or NOT_RUN
    reason: str = ""
    log: str | None = None
    given: bool = False  # text alone, from the config; nothing of it is measured but scores
    scores: Mapping[str, Score] = field(default_factory=dict)
    talks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    decoder_layers: int | None = None
    weights: int | None = None
    bytes: int | None = None
    quantization: str | None = None
    cost: Cost | None = None
    checks: Mapping[str, Any] | None = None
    hypotheses: Sequence[str] = ()  # in the order of the manifest
    segment_scores: Mapping[str, Sequence[float]] = field(default_factory=dict)  # same order
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def timed_alone(self) -> bool:
        """Whether its cost was measured by itself, not while the test set was translated."""
        return "cost" in self.files


@dataclass(frozen=True)
class Iteration:
    """One removal of a search for layers, and what was measured for it."""

    number: int
    layer: int
    scores: Mapping[int, float]  # by the layer left out; empty where nothing was measured
    kept: Sequence[int]
    metric: str | None = None
    score: float | None = None
    runner_up: int | None = None
    difference: Interval | None = None
    within_noise: bool | None = None


@dataclass(frozen=True)
class Search:
    criterion: str
    iterations: Sequence[Iteration]
    layers: int  # of the teacher's decoder
    folder: str
    unpruned: float | None = None  # with every layer, by the metric of the iterations


@dataclass(frozen=True)
class Curve:
    """The losses of one training: rows of step, epoch, and loss or eval_loss."""

    stage: str
    rows: Sequence[Mapping[str, float]]
    file: str


@dataclass(frozen=True)
class Pair:
    code: str
    title: str
    metric: str  # that systems are ranked by
    segments: Sequence[Mapping[str, Any]]  # rows of the test manifest
    manifests: Mapping[str, Mapping[str, float]]  # by part: segments and hours
    systems: Sequence[System]
    searches: Sequence[Search]
    curves: Sequence[Curve]
    distillation: Mapping[str, int] | None
    comparison: str | None  # the file that the intervals are from

    @property
    def target(self) -> str:
        return languages.target_code(self.code)

    @property
    def scored(self) -> list[System]:
        return [system for system in self.systems if system.state == SCORED]

    def system(self, name: str) -> System | None:
        return next((system for system in self.systems if system.name == name), None)

    @property
    def teacher(self) -> System | None:
        system = self.system(TEACHER)
        return system if system and system.state == SCORED else None

    def sources(self, *kinds: str, systems: Collection[str] | None = None) -> list[str]:
        """Where these kinds of files are, seen from the report; `*` is a system.

        systems: names; None for all that have scores.
        """
        found = [
            system.files[kind].split("/", 2)[2].replace(f"/{system.name}/", "/*/")
            for kind in kinds
            for system in self.scored
            if kind in system.files and (systems is None or system.name in systems)
        ]
        return list(dict.fromkeys(found))

    @property
    def utterance_sources(self) -> list[str]:
        kinds = ["hypotheses", "segments", *(f"{metric} segments" for metric in self.metrics)]
        return [f"{self.code}/data/test.jsonl", *self.sources(*kinds)]

    def retention(self, system: System) -> Interval | None:
        """Percent of the teacher's score by the pair's metric; None where there is no ratio."""
        own = system.scores.get(self.metric)
        whole = self.teacher.scores.get(self.metric) if self.teacher else None
        if own is None or whole is None or not whole.score.value:
            return None
        return own.retention or Interval(100 * (own.score.value / whole.score.value))

    @property
    def compared(self) -> list[str]:
        """The file of the intervals, seen from the report, or nothing."""
        return [self.comparison.split("/", 2)[2]] if self.comparison else []

    @property
    def metrics(self) -> list[str]:
        """All that any system was scored by, in their order."""
        return list(dict.fromkeys(name for system in self.scored for name in system.scores))


@dataclass(frozen=True)
class Experiment:
    name: str
    folder: str  # results/{name}
    config: Mapping[str, Any]
    corpora: Sequence[Mapping[str, Any]]
    pairs: Sequence[Pair]


def title(metric: str) -> str:
    """How a metric is written for people; a COMET model goes by its name in the config."""
    return TITLES.get(metric, metric)
