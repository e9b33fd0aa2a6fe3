"""The losses of every training, one small chart per stage, and the scores of each talk."""

import altair as alt

from slimspeech.report.figures.style import INK, SERIES, Figure, color_scale
from slimspeech.report.results import Curve, Pair, title

LOSSES = {"loss": "training", "eval_loss": "validation"}
MOST_TALKS = 16


def training(pair: Pair, curve: Curve) -> Figure:
    rows = [
        {
            "epoch": row["epoch"],
            "loss": row[key],
            "of": name,
            "label": f"epoch {row['epoch']:.2f}: {name} loss {row[key]:.3f}",
        }
        for row in curve.rows
        for key, name in LOSSES.items()
        if key in row
    ]
    last = {name: [r["loss"] for r in rows if r["of"] == name][-1:] for name in LOSSES.values()}
    ends = ", ".join(f"{name} loss {values[0]:.3f}" for name, values in last.items() if values)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, tickCount=5)),
        y=alt.Y("loss:Q", title="Loss (nats per token)", scale=alt.Scale(zero=True)),
        color=alt.Color(
            "of:N",
            scale=alt.Scale(domain=list(LOSSES.values()), range=[SERIES[1], SERIES[2]]),
            legend=alt.Legend(title=None, orient="top"),
        ),
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        description="label:N",
        size=alt.condition(alt.datum.of == "validation", alt.value(60), alt.value(14)),
    )
    chart = alt.layer(base.mark_line(strokeWidth=1.5, aria=False), points)
    return Figure(
        name=f"{pair.code}.training.{curve.stage.replace(' ', '-')}",
        title=f"{curve.stage}, {pair.title}",
        alt=f"Loss of {curve.stage}, {pair.title}, over the epochs. At the end: {ends}.",
        sources=[curve.file.split("/", maxsplit=2)[2]],
        wide=chart.properties(width=215, height=150),
    )


def talks(pair: Pair) -> Figure | None:
    """The score of each talk by each system; None for one talk, or too many."""
    names = list(dict.fromkeys(talk for system in pair.scored for talk in system.talks))
    if not 2 <= len(names) <= MOST_TALKS:
        return None
    rows = [
        {
            "talk": talk,
            "score": scores[pair.metric],
            "system": system.name,
            "label": f"{system.name}, {talk}: {scores[pair.metric]:.1f} {title(pair.metric)}",
        }
        for system in pair.scored
        for talk, scores in system.talks.items()
        if pair.metric in scores
    ]
    if not rows:
        return None
    order = [system.name for system in pair.systems]
    drawn = list(dict.fromkeys(row["system"] for row in rows))

    def chart(width: int, columns: int) -> alt.LayerChart:
        base = alt.Chart(alt.Data(values=rows)).encode(
            y=alt.Y("talk:N", title=None, sort=names, axis=alt.Axis(labelLimit=110, grid=True)),
            x=alt.X("score:Q", title=title(pair.metric), scale=alt.Scale(zero=False, padding=12)),
        )
        marks = base.mark_point(filled=True, size=90, opacity=0.9).encode(
            color=alt.Color(
                "system:N",
                scale=color_scale(order),
                legend=alt.Legend(
                    title=None, orient="top", columns=columns, labelColor=INK, values=drawn
                ),
            ),
            description="label:N",
        )
        return alt.layer(marks).properties(width=width, height=alt.Step(34))

    return Figure(
        name=f"{pair.code}.talks",
        title=f"{title(pair.metric)} of each talk, {pair.title}",
        alt=f"{title(pair.metric)} of each talk of the test set by each system, {pair.title}.",
        sources=pair.sources("scores", pair.metric),
        wide=chart(430, 6),
        narrow=chart(190, 3),
    )
