"""The first screen: the size of the students, and how much of the teacher's score they keep."""

from dataclasses import dataclass

from slimspeech import systems
from slimspeech.evaluation.score_table import BASE
from slimspeech.report import numbers
from slimspeech.report.results import Experiment, Pair, System, title

# Of each pair. More would hide the table behind them.
MOST_CARDS = 4


@dataclass(frozen=True)
class Fact:
    """A number in large type, and its meaning."""

    figure: str
    meaning: str


@dataclass(frozen=True)
class Card:
    system: System
    pair: Pair
    facts: list[Fact]


def cards(experiment: Experiment) -> list[Card]:
    """One card per student; in each pair the smallest first, students without size last.

    A student whose training another one continues is a control, and has its row in the table alone.
    So have all students but four: those without a score, then those with the best.
    """
    controls = systems.continued_students(experiment.config)
    names = experiment.config["students"].keys() - controls
    students = []
    for pair in experiment.pairs:
        shown = _best(pair, [s for s in pair.systems if s.name in names])
        for system in sorted(shown, key=lambda s: (s.bytes is None, s.bytes)):
            students.append(Card(system, pair, _facts(pair, system)))
    return students


def _best(pair: Pair, students: list[System]) -> list[System]:
    lost = [student for student in students if pair.metric not in student.scores]
    scored = [student for student in students if pair.metric in student.scores]
    scored.sort(key=lambda student: student.scores[pair.metric].score.value, reverse=True)
    return (lost + scored)[:MOST_CARDS]


def _facts(pair: Pair, system: System) -> list[Fact]:
    if system not in pair.scored:
        return []
    facts = []
    retention = pair.retention(system)
    if retention:
        metric = title(pair.metric)
        interval = "; its interval was not computed"
        if retention.has_ends:
            interval = f" (95 % interval {retention.low:.1f} to {retention.high:.1f})"
        meaning = f"of the teacher’s {metric} on {len(pair.segments)} segments{interval}"
        facts.append(Fact(f"{retention.value:.1f} %", meaning))
    whole = pair.system(BASE) or pair.teacher
    if system.bytes and whole and whole.bytes:
        share = f"{100 * system.bytes / whole.bytes:.0f} % of the {whole.name}’s "
        facts.append(Fact(numbers.size(system.bytes), share + numbers.size(whole.bytes)))
    # While the test set was translated, other jobs may have run: those times are not compared here.
    if system.timed_alone and pair.teacher and pair.teacher.timed_alone:
        facts.append(_speed(system, pair.teacher))
    return facts


def _speed(system: System, teacher: System) -> Fact:
    own, whole = (s.cost.best.seconds_per_audio_second.value for s in (system, teacher))
    return Fact(
        f"{whole / own:.2f}×",
        f"the teacher’s speed: {numbers.ratio(own)} s per second of audio, the teacher "
        f"{numbers.ratio(whole)} s",
    )
