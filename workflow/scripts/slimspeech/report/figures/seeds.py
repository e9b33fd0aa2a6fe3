"""What systems keep of the teacher's quality: means over seeds, their intervals, and each seed."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from slimspeech.report.figures.style import INK, MUTED, Figure
from slimspeech.report.results import Pair, title
from slimspeech.systems import TEACHER

WIDE, NARROW, LINE = 460, 230, 26


def seeds_figure(pair: Pair) -> Figure | None:
    """None without seeds.csv, and for a pair without a teacher."""
    rows = [_point(row) for row in pair.seeds if row["percent_of_teacher"]]
    rows = [row for row in rows if row["system"] != TEACHER]
    if not rows:
        return None
    count = len(rows[0]["seeds"])
    best = max(rows, key=lambda row: row["mean"])
    axis = f"% of the teacher's {title(pair.metric)}"
    return Figure(
        name=f"{pair.code}.seeds",
        title=f"Quality over {count} seeds, {pair.title}",
        alt=f"{axis}, mean of {count} seeds by system; the highest is {best['system']} with "
        f"{best['mean']:.1f} %.",
        sources=["seeds.csv"],
        wide=_chart(rows, axis, WIDE),
        narrow=_chart(rows, axis, NARROW),
    )


def _point(row: dict[str, str]) -> dict[str, Any]:
    name = "percent_of_teacher"
    mean, each = float(row[name]), [float(value) for value in row[f"{name}_of_seeds"].split()]
    ends = {end: float(row[f"{name}_{end}"] or mean) for end in ("low", "high")}
    interval = f" (95 % interval {ends['low']:.1f} to {ends['high']:.1f})"
    label = (
        f"{row['system']}: {mean:.1f} %{interval if row[f'{name}_low'] else ''}; "
        f"seeds {', '.join(f'{value:.1f}' for value in each)}"
    )
    return {"system": row["system"], "mean": mean, **ends, "seeds": each, "label": label}


def _chart(rows: Sequence[dict[str, Any]], axis: str, width: int) -> alt.LayerChart:
    """A line an interval, a dot a mean, a stroke a seed; a dashed line at the teacher's 100 %."""
    values = [value for row in rows for value in (row["low"], row["high"], *row["seeds"])]
    scale = alt.Scale(domain=[min(*values, 99), max(*values, 101)], nice=True, zero=False)
    x = alt.X("mean:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=width // 65))
    y = alt.Y("system:N", title=None, sort=[row["system"] for row in rows])
    means = alt.Chart(alt.Data(values=list(rows)))
    each = [{"system": row["system"], "seed": value} for row in rows for value in row["seeds"]]
    teacher = alt.Chart(alt.Data(values=[{"at": 100}]))
    return alt.layer(
        teacher.mark_rule(color=MUTED, strokeDash=[2, 3], aria=False).encode(x=alt.X("at:Q")),
        means.mark_rule(color=MUTED, strokeWidth=2, aria=False).encode(
            x=alt.X("low:Q"), x2="high:Q", y=y
        ),
        alt.Chart(alt.Data(values=each))
        .mark_tick(color=INK, thickness=1, size=12, aria=False)
        .encode(x=alt.X("seed:Q"), y=y),
        means.mark_point(filled=True, color=INK, size=70, opacity=1).encode(
            x=x, y=y, description=alt.Description("label:N")
        ),
    ).properties(width=width, height=LINE * len(rows))
