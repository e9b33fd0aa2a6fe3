"""What the teacher loses when one part of it alone is rounded to NF4."""

import altair as alt

from slimspeech.evaluation.score_table import TITLES
from slimspeech.report.figures.style import ACCENT, MUTED, Figure
from slimspeech.report.results import Pair

ROW = 20  # pixels


def sensitivities(pair: Pair) -> Figure | None:
    """A bar for each part, and one for each decoder layer: by how much the loss rises."""
    measured = pair.sensitivities
    if not measured:
        return None
    whole, metric = measured["whole"], TITLES[measured["metric"]]
    changes = {part.replace("_", " "): own for part, own in measured["parts"].items()}
    changes["together, but embedding and head"] = measured["together"]
    parts = len(changes)
    changes |= {f"layer {number}": own for number, own in enumerate(measured["layers"])}
    rows = [
        {
            "name": name,
            "rise": own["loss"] - whole["loss"],
            "kind": "part" if number < parts else "layer",
            "label": f"{name} in NF4: loss {own['loss'] - whole['loss']:+.4f}, "
            f"{metric} {own['score'] - whole['score']:+.2f}",
        }
        for number, (name, own) in enumerate(changes.items())
    ]

    def chart(width: int) -> alt.Chart:
        return (
            alt.Chart(alt.Data(values=rows))
            .mark_bar()
            .encode(
                x=alt.X("rise:Q", title="Rise of the loss, nats a token"),
                y=alt.Y(
                    "name:N",
                    title=None,
                    sort=[row["name"] for row in rows],
                    axis=alt.Axis(labelLimit=240),
                ),
                color=alt.Color(
                    "kind:N",
                    scale=alt.Scale(domain=["part", "layer"], range=[ACCENT, MUTED]),
                    legend=None,
                ),
                description="label:N",
            )
            .properties(width=width, height=alt.Step(ROW))
        )

    return Figure(
        name=f"{pair.code}.sensitivities",
        title=f"Loss by rounding one part alone, {pair.title}",
        alt=f"By how much the teacher's loss on {measured['segments']} segments rises when one "
        f"part, or one decoder layer, is in NF4, {pair.title}.",
        sources=[f"{pair.code}/sensitivities.json"],
        wide=chart(480),
        narrow=chart(220),
    )
