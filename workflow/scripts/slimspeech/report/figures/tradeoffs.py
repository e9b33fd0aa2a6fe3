"""Quality against size and against speed: one point per system, with the Pareto front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from slimspeech.report import numbers
from slimspeech.report.figures.style import ACCENT, INK, MUTED, Figure, color_scale
from slimspeech.report.results import Cost, Interval, Pair, System, title

WIDE, NARROW, HEIGHT = 520, 268, 300
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1}


@dataclass(frozen=True)
class Point:
    name: str
    x: Interval
    y: Interval
    label: str
    published: bool = False
    student: str | None = None  # whose export a serving engine runs


def quality(pair: Pair, system: System) -> tuple[Interval, str] | None:
    """The quality of a system and its axis title: percent of the teacher's score if the pair has a
    teacher, else the score; None if the pair's metric was not measured."""
    if pair.metric not in system.scores:
        return None
    retention = pair.retention(system)
    if retention is None:
        return system.scores[pair.metric].score, title(pair.metric)
    return retention, f"% of the teacher's {title(pair.metric)}"


def front(points: Sequence[Point]) -> list[Point]:
    """The Pareto front: the points for which no other has a smaller x and at least the same y."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x.value, -p.y.value)):
        if not best or point.y.value > best[-1].y.value:
            best.append(point)
    return best


def size_figure(pair: Pair, published: Sequence[Mapping[str, Any]] = ()) -> Figure | None:
    """published: rows of name, gigabytes, metric and percent of this pair."""
    unit = _unit(pair)
    points = []
    for system in pair.scored:
        measured = quality(pair, system)
        if measured and system.bytes:
            points.append(_size_point(system, unit, measured[0], _quality_text(*measured)))
    if pair.teacher:
        for row in published:
            text = f"{row['percent']} % of its teacher by {row['metric']}"
            points.append(_published_point(row, unit, row["percent"], text))
    return _figure(pair, points, "quality_size", f"Size on disk ({unit})", "Quality against size")


def comet_figure(
    pair: Pair, metric: str, published: Sequence[Mapping[str, Any]] = ()
) -> Figure | None:
    """COMET times 100 against size, as the IWSLT compression track ranks systems.

    metric: its name in the config. published: rows of name, gigabytes and comet of this pair.
    """
    unit = _unit(pair)
    axis = f"{title(metric)} × 100"
    points = []
    for system in pair.scored:
        if metric in system.scores and system.bytes:
            score = system.scores[metric].score
            ends = (score.low, score.high) if score.has_ends else ()
            value = Interval(*(100 * number for number in (score.value, *ends)))
            points.append(_size_point(system, unit, value, _quality_text(value, axis)))
    if points:
        for row in published:
            points.append(_published_point(row, unit, row["comet"], f"COMET {row['comet']}"))
    return _figure(
        pair,
        points,
        f"{metric}_size",
        f"Size on disk ({unit})",
        f"{title(metric)} against size",
        axis,
    )


def _unit(pair: Pair) -> str:
    largest = max((system.bytes or 0 for system in pair.scored), default=0)
    return next((unit for unit, step in UNITS.items() if largest >= step), "B")


def _size_point(system: System, unit: str, value: Interval, text: str) -> Point:
    label = f"{system.name}: {numbers.size(system.bytes)}, {text}"
    return Point(system.name, Interval(system.bytes / UNITS[unit]), value, label)


def _published_point(row: Mapping[str, Any], unit: str, value: float, text: str) -> Point:
    label = f"{row['name']} (published): {row['gigabytes']} GB, {text}"
    x = Interval(row["gigabytes"] * 1e9 / UNITS[unit])
    return Point(row["name"], x, Interval(value), label, published=True)


def speed_figure(pair: Pair) -> Figure | None:
    """With the serving engines that translated the whole test set."""
    points, axes = [], []
    for system in pair.scored:
        measured = quality(pair, system)
        if measured and system.cost:
            points.append(_speed_point(system.name, system.cost, *measured))
            axes.append(measured[1])
    scored = pair.teacher.scores.get(pair.metric) if pair.teacher else None
    teacher = scored.score.value if scored else None
    for engine in pair.engines:
        if axes and engine.score is not None:
            value = Interval(100 * engine.score / teacher if teacher else engine.score)
            point = _speed_point(engine.name, engine.cost, value, axes[0])
            points.append(replace(point, student=engine.student))
    axis = "Seconds per second of audio"
    return _figure(pair, points, "quality_speed", axis, "Quality against speed")


def _speed_point(name: str, cost: Cost, value: Interval, axis: str) -> Point:
    speed = cost.best.seconds_per_audio_second
    label = (
        f"{name}: {numbers.ratio(speed.value)} s per second of audio at batch size "
        f"{cost.best.batch_size}, {_quality_text(value, axis)}"
    )
    return Point(name, speed, value, label)


def _quality_text(value: Interval, axis: str) -> str:
    text = numbers.spread(value, numbers.percent)
    interval = f" (95 % interval {text})" if text else ""
    return f"{value.value:.1f} {axis}{interval}"


def _figure(
    pair: Pair,
    points: Sequence[Point],
    name: str,
    x_title: str,
    heading: str,
    y_title: str | None = None,
) -> Figure | None:
    """y_title: by default that of quality()."""
    if not points:
        return None
    ours = [point for point in points if not point.published]
    drawn = {point.name for point in ours}
    best = ", ".join(point.name for point in front(ours))
    y_title = y_title or next(
        value[1] for system in pair.scored if (value := quality(pair, system))
    )
    timed = "cost" if any(system.timed_alone for system in pair.scored) else "translation"
    keys = ("scores", timed if name == "quality_speed" else "size")
    order = [system.name for system in pair.systems]
    files = ("cost.json", "parity.json") if any(point.student for point in ours) else ()
    engines = [f"{pair.code}/students/*/parity/*/*/{file}" for file in files]
    return Figure(
        name=f"{pair.code}.{name}",
        title=f"{heading}, {pair.title}",
        alt=f"{heading}, {pair.title}. On the Pareto front: {best}.",
        sources=pair.sources(*keys, systems=drawn) + engines + list(pair.comparison),
        wide=_chart(points, order, x_title, y_title, WIDE),
        narrow=_chart(points, order, x_title, y_title, NARROW),
    )


def _chart(
    points: Sequence[Point], order: Sequence[str], x_title: str, y_title: str, width: int
) -> alt.LayerChart:
    ends = [v for p in points for v in (p.x.high, p.x.value) if v is not None]
    x_scale = alt.Scale(domain=[0, 1.06 * max(ends)], nice=False)
    heights = [v for p in points for v in (p.y.low, p.y.value, p.y.high) if v is not None]
    low, high = min(heights), max(heights)
    margin = 0.08 * (high - low) or 1
    y_scale = alt.Scale(domain=[low - margin, high + margin], nice=False, zero=False)
    ticks = alt.Axis(tickCount=width // 65)
    x = alt.X("x:Q", title=x_title, scale=x_scale, axis=ticks)
    y = alt.Y("y:Q", title=y_title, scale=y_scale)
    rows = _rows(points, x_scale.domain, y_scale.domain, width)
    ours = [row for row in rows if not row["published"]]
    theirs = [row for row in rows if row["published"]]
    with_y_interval = alt.Chart(alt.Data(values=[row for row in rows if row["low"] is not None]))
    with_x_interval = alt.Chart(alt.Data(values=[row for row in rows if row["left"] is not None]))
    edge = front([point for point in points if not point.published])
    steps = alt.Chart(alt.Data(values=[{"x": p.x.value, "y": p.y.value} for p in edge]))
    color = alt.Color("system:N", scale=color_scale(order), legend=None)
    describe = alt.Description("label:N")
    layers = [
        steps.mark_line(
            interpolate="step-after", color=MUTED, strokeDash=[2, 3], strokeWidth=1, aria=False
        ).encode(x=x, y=y),
        with_y_interval.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
            x=x, y=alt.Y("low:Q"), y2="high:Q", color=color
        ),
        with_x_interval.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
            x=alt.X("left:Q"), x2="right:Q", y=y, color=color
        ),
    ]
    for shape in ("circle", "square"):
        alike = [row for row in ours if row["shape"] == shape]
        if alike:
            layers.append(
                alt.Chart(alt.Data(values=alike))
                .mark_point(shape=shape, filled=True, size=110, opacity=1)
                .encode(x=x, y=y, color=color, description=describe)
            )
    if theirs:
        layers.append(
            alt.Chart(alt.Data(values=theirs))
            .mark_point(shape="diamond", size=100, stroke=ACCENT, strokeWidth=1.5, filled=False)
            .encode(x=x, y=y, description=describe)
        )
    for align in ("left", "right"):
        near = [row for row in rows if row["align"] == align]
        layers.append(
            alt.Chart(alt.Data(values=near))
            .mark_text(align=align, dx=9 if align == "left" else -9, fontSize=12, color=INK)
            .encode(x=x, y=alt.Y("text_y:Q"), text="text:N")
        )
    return alt.layer(*layers).properties(width=width, height=HEIGHT)


def _rows(
    points: Sequence[Point],
    x_domain: Sequence[float],
    y_domain: Sequence[float],
    width: int,
) -> list[dict[str, Any]]:
    """Points with the positions of their labels, which must not overlap or leave the chart."""
    span = y_domain[1] - y_domain[0]
    line = 15 / HEIGHT * span
    placed: list[tuple[float, float, float]] = []  # left end, right end, height
    rows = []
    for point in sorted(points, key=lambda p: -p.y.value):
        text = f"{point.name} (published)" if point.published and width == WIDE else point.name
        length = (7 * len(text) + 14) / width * (x_domain[1] - x_domain[0])
        align = "right" if point.x.value + length > x_domain[1] else "left"
        start = point.x.value - (length if align == "right" else 0)
        y = min(point.y.value, y_domain[1] - line / 2)
        while any(
            start < right and left < start + length and abs(y - at) < line
            for left, right, at in placed
        ):
            y -= line / 4
        placed.append((start, start + length, y))
        rows.append(
            {
                "name": point.name,
                "system": point.student or point.name,
                "shape": "square" if point.student else "circle",
                "text": text,
                "x": point.x.value,
                "left": point.x.low,
                "right": point.x.high,
                "y": point.y.value,
                "low": point.y.low,
                "high": point.y.high,
                "text_y": y,
                "align": align,
                "label": point.label,
                "published": point.published,
            }
        )
    return rows
