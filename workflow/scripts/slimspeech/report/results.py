"""The results of an experiment as the report shows them, each with its source files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slimspeech import languages
from slimspeech.evaluation.score_table import TEACHER, TITLES

SCORED, FAILED, NOT_RUN = "scored", "failed", "not run"


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 95 % interval or of its range over repeats, if known."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def has_ends(self) -> bool:
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class Score:
    """One metric of one system over the whole test set."""

    score: Interval
    signature: str | None = None
    retention: Interval | None = None  # percent of the teacher's score
    retention_by_talk: Interval | None = None  # the same with its interval over talks
    p_value: float | None = None


@dataclass(frozen=True)
class Timing:
    """Speed at one batch size."""

    batch_size: int | str
    best: bool
    seconds_per_audio_second: Interval
    tokens_per_second: Interval | None = None


@dataclass(frozen=True)
class Cost:
    """Speed and memory of a system on one machine."""

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
        """At the fastest batch size, or at the only one."""
        return next((timing for timing in self.timings if timing.best), self.timings[-1])


@dataclass(frozen=True)
class System:
    """One system of one pair; values not measured are empty or None. files: the sources by kind."""

    name: str
    state: str  # SCORED, FAILED or NOT_RUN
    reason: str = ""
    log: str | None = None
    text_only: bool = False  # a text of the config, of which only scores are measured
    scores: Mapping[str, Score] = field(default_factory=dict)
    talks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    decoder_layers: int | None = None
    weights: int | None = None
    bytes: int | None = None
    quantization: str | None = None
    cost: Cost | None = None
    checks: Mapping[str, Any] | None = None
    packing: Mapping[str, Any] | None = None  # of a student whose last stage trained an adapter
    vocabulary: Mapping[str, Any] | None = None  # of a student whose vocabulary was trimmed
    budget: Mapping[str, Any] | None = None  # what a budget chose
    hypotheses: Sequence[str] = ()  # in the order of the manifest
    segment_scores: Mapping[str, Sequence[float]] = field(default_factory=dict)  # same order
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def timed_alone(self) -> bool:
        """Whether its cost was measured separately, not while it translated the test set."""
        return "cost" in self.files


@dataclass(frozen=True)
class Engine:
    """A student's export in a serving engine. score: by the metric of the pair, if it translated
    the whole test set. files: the sources by kind.
    """

    name: str  # "B, vLLM int8"
    student: str
    cost: Cost
    score: float | None
    files: Mapping[str, str]


@dataclass(frozen=True)
class Iteration:
    """One removal of a search for layers, with its measurements."""

    number: int
    layer: int
    scores: Mapping[int, float]  # by removed layer; empty if nothing was measured
    kept: Sequence[int]
    metric: str | None = None
    score: float | None = None
    runner_up: int | None = None
    difference: Interval | None = None
    shares: Mapping[str, float] = field(default_factory=dict)  # of resamples, by chosen layer
    regret: float | None = None


@dataclass(frozen=True)
class Search:
    criterion: str
    iterations: Sequence[Iteration]
    layers: int  # of the teacher's decoder
    unpruned: float | None = None  # with all layers, by the metric of the iterations


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
    metric: str  # that ranks the systems
    segments: Sequence[Mapping[str, Any]]  # rows of the test manifest
    manifests: Mapping[str, Mapping[str, float]]  # by part: segments and hours
    systems: Sequence[System]
    searches: Sequence[Search]
    curves: Sequence[Curve]
    distillation: Mapping[str, int] | None
    sensitivities: Mapping[str, Any] | None  # the content of sensitivities.json
    comparison: Sequence[str]  # source of the intervals, relative to the report; may be empty
    seeds: Sequence[Mapping[str, str]]  # rows of seeds.csv; empty if there is one seed
    engines: Sequence[Engine]

    @property
    def target(self) -> str:
        return languages.target_code(self.code)

    @property
    def scored(self) -> list[System]:
        return [system for system in self.systems if system.state == SCORED]

    def system(self, name: str) -> System | None:
        return next((system for system in self.systems if system.name == name), None)

    def place(self, name: str) -> int:
        """Of a system among all, which decides its colour."""
        return [system.name for system in self.systems].index(name)

    @property
    def teacher(self) -> System | None:
        system = self.system(TEACHER)
        return system if system and system.state == SCORED else None

    def sources(self, *kinds: str, systems: Collection[str] | None = None) -> list[str]:
        """Paths of these kinds of files relative to the report, with `*` for the system.

        systems: names; None for all systems with scores.
        """
        paths = [
            system.files[kind].split("/", 2)[2].replace(f"/{system.name}/", "/*/")
            for kind in kinds
            for system in self.scored
            if kind in system.files and (systems is None or system.name in systems)
        ]
        return list(dict.fromkeys(paths))

    @property
    def utterance_sources(self) -> list[str]:
        kinds = ["hypotheses", "segments", *(f"{metric} segments" for metric in self.metrics)]
        return [f"{self.code}/data/test.jsonl", *self.sources(*kinds)]

    def retention(self, system: System) -> Interval | None:
        """Percent of the teacher's score, by the pair's metric; None if it is undefined."""
        own = system.scores.get(self.metric)
        teacher = self.teacher.scores.get(self.metric) if self.teacher else None
        if own is None or teacher is None or not teacher.score.value:
            return None
        return own.retention or Interval(100 * (own.score.value / teacher.score.value))

    @property
    def has_talk_intervals(self) -> bool:
        """Whether there are enough talks for intervals over talks."""
        ranked = [system.scores.get(self.metric) for system in self.scored]
        return any(s and s.retention_by_talk and s.retention_by_talk.has_ends for s in ranked)

    @property
    def metrics(self) -> list[str]:
        """The metrics of all systems, in order."""
        return list(dict.fromkeys(name for system in self.scored for name in system.scores))


@dataclass(frozen=True)
class Experiment:
    name: str
    folder: str  # results/{name}
    config: Mapping[str, Any]
    corpora: Sequence[Mapping[str, Any]]
    pairs: Sequence[Pair]


def title(metric: str) -> str:
    """The title of a metric; for a COMET model its name in the config."""
    return TITLES.get(metric, metric)
