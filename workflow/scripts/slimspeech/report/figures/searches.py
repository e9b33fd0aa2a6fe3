"""The search for layers: what each removal costs, what is left, and how far searches agree."""

from collections.abc import Sequence

import altair as alt

from slimspeech.pruning.layer_table import NAMES
from slimspeech.pruning.selection import HIGHER_COSTS_LESS
from slimspeech.report import numbers
from slimspeech.report.figures.style import ACCENT, GRID, INK, MUTED, SERIES, Figure, data
from slimspeech.report.results import Experiment, Iteration, Pair, Search

CELL, LABELLED = 44, 16  # pixels; layers up to which a cell holds its number
# Opacity of the costliest cell: text on it keeps a contrast of 4.5 in the light and the dark theme.
STRONGEST = 0.54


def costs(iteration: Iteration) -> dict[int, float]:
    """By layer: how much worse its removal scores than that of the layer that went."""
    sign = 1 if iteration.metric in HIGHER_COSTS_LESS else -1
    chosen = iteration.scores[iteration.layer]
    return {layer: sign * (chosen - score) for layer, score in iteration.scores.items()}


def heat_map(pair: Pair, search: Search) -> Figure | None:
    measured = [iteration for iteration in search.iterations if iteration.scores]
    if not measured:
        return None
    metric = NAMES.get(measured[0].metric, measured[0].metric)
    order = ", ".join(str(iteration.layer) for iteration in search.iterations)
    return Figure(
        name=f"{pair.code}.search.{search.criterion}",
        title=f"What each removal costs, {pair.title}, by {search.criterion}",
        alt=f"Search by {search.criterion}, {pair.title}: cost of leaving out each layer, one row "
        f"an iteration, in {metric} beyond the layer that went. Removed, in order: {order}.",
        sources=[
            f"{_short(search.folder)}/iter_*/{name}" for name in ("scores.csv", "layers.json")
        ],
        wide=_heat_chart(search, metric, min(CELL, 900 // search.layers)),
    )


def _heat_chart(search: Search, metric: str, cell: int) -> alt.LayerChart:
    largest = max(
        (cost for i in search.iterations if i.scores for cost in costs(i).values()), default=0
    )
    rows = []
    gone: list[int] = []
    for iteration in search.iterations:
        by_layer = costs(iteration) if iteration.scores else {}
        for layer in range(search.layers):
            cost = by_layer.get(layer)
            state = "gone" if layer in gone else "kept"
            state = "removed" if layer == iteration.layer else state
            rows.append(
                {
                    "layer": layer,
                    "iteration": iteration.number,
                    "state": state if cost is not None or state != "kept" else "not measured",
                    "strength": STRONGEST * (max(cost, 0) / largest) ** 0.6
                    if cost and largest
                    else 0,
                    "text": "" if cost is None or state == "removed" else _short_cost(cost),
                    "label": _cell_label(iteration, layer, cost, state, metric),
                }
            )
        gone.append(iteration.layer)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("layer:O", title="Layer of the teacher's decoder", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("iteration:O", title="Iteration"),
    )
    where = alt.datum.state
    layers = [
        base.mark_rect(fill=ACCENT, stroke=GRID, strokeWidth=1).encode(
            fillOpacity=alt.FillOpacity("strength:Q", scale=None, legend=None),
            description=alt.Description("label:N"),
        ),
        base.transform_filter(where == "removed")
        .mark_rect(filled=False, stroke=INK, strokeWidth=2, aria=False)
        .encode(),
        base.transform_filter(where == "removed")
        .mark_text(text="×", fontSize=18, fontWeight="bold", color=INK, aria=False)
        .encode(),
        base.transform_filter(where == "gone").mark_text(text="·", color=MUTED, aria=False),
    ]
    if search.layers <= LABELLED:
        layers.append(
            base.transform_filter(where == "kept")
            .mark_text(fontSize=11, color=INK, aria=False)
            .encode(text="text:N")
        )
    height = max(24, cell * 3 // 4)
    return alt.layer(*layers).properties(width=alt.Step(cell), height=alt.Step(height))


def _short_cost(cost: float) -> str:
    """Two digits, as wide as a cell: 12, 1.2, 0.12."""
    return f"{cost:.0f}" if abs(cost) >= 10 else f"{cost:#.2g}"


def _cell_label(
    iteration: Iteration, layer: int, cost: float | None, state: str, metric: str
) -> str:
    place = f"Iteration {iteration.number}, layer {layer}"
    if state == "gone":
        return f"{place}: removed before"
    if cost is None:
        return f"{place}: " + ("removed" if state == "removed" else "not measured")
    text = f"{place}: {metric} {numbers.ratio(iteration.scores[layer])} without it"
    if state != "removed":
        return f"{text}, {numbers.ratio(cost)} worse than without layer {iteration.layer}"
    text += "; removed"
    if iteration.difference:
        interval = iteration.difference
        text += (
            f", {interval.value:.2f} better than without layer {iteration.runner_up} "
            f"(95 % interval {interval.low:.2f} to {interval.high:.2f})"
        )
    return text


def decline(pair: Pair) -> Figure | None:
    """Score of the search segments over the number of removed layers, where they are translated."""
    searches = [
        search
        for search in pair.searches
        if any(i.score is not None and i.metric in HIGHER_COSTS_LESS for i in search.iterations)
    ]
    if not searches:
        return None
    metric = NAMES[searches[0].iterations[0].metric]
    rows = [
        {
            "criterion": search.criterion,
            "removed": number,
            "score": score,
            "label": f"{search.criterion}: {score:.1f} {metric} with {number} "
            f"{'layer' if number == 1 else 'layers'} removed",
        }
        for search in searches
        for number, score in [
            (0, search.unpruned),
            *((iteration.number, iteration.score) for iteration in search.iterations),
        ]
        if score is not None
    ]
    names = [search.criterion for search in searches]
    started = any(search.unpruned is not None for search in searches)

    def chart(width: int) -> alt.LayerChart:
        base = alt.Chart(data(rows)).encode(
            x=alt.X(
                "removed:Q",
                title="Layers removed",
                axis=alt.Axis(values=sorted({row["removed"] for row in rows}), format="d"),
                scale=alt.Scale(nice=False, padding=14),
            ),
            y=alt.Y("score:Q", title=metric, scale=alt.Scale(zero=False, padding=14)),
            color=alt.Color(
                "criterion:N",
                scale=alt.Scale(domain=names, range=list(SERIES[1 : len(names) + 1])),
                legend=alt.Legend(title=None, orient="top") if len(names) > 1 else None,
            ),
        )
        points = base.mark_point(filled=True, size=80, opacity=1).encode(description="label:N")
        text = base.mark_text(dy=-12, fontSize=11).encode(
            text=alt.Text("score:Q", format=".1f"), color=alt.value(INK)
        )
        layers = [base.mark_line(strokeWidth=2, aria=False), points]
        return alt.layer(*layers, *([text] if len(names) == 1 else [])).properties(
            width=width, height=200
        )

    return Figure(
        name=f"{pair.code}.search.decline",
        title=f"{metric} over layers removed, {pair.title}",
        alt=f"{metric} of the search segments after each removal, before any repair, {pair.title}.",
        sources=[
            *([f"{pair.code}/pruning/iter_00/score.json"] if started else []),
            *(f"{_short(search.folder)}/iter_*/layers.json" for search in searches),
        ],
        wide=chart(520),
        narrow=chart(268),
    )


def agreement(experiment: Experiment) -> Figure | None:
    """Which layers each search of each pair removes, and when."""
    found = [(pair, search) for pair in experiment.pairs for search in pair.searches]
    if len(found) < 2:
        return None
    several = len({search.criterion for _, search in found}) > 1
    names = {
        (pair.code, search.criterion): f"{pair.code}, {search.criterion}" if several else pair.code
        for pair, search in found
    }
    count = max(search.layers for _, search in found)
    rows = [
        {
            "search": names[pair.code, search.criterion],
            "layer": iteration.layer,
            "number": iteration.number,
            "label": f"{names[pair.code, search.criterion]}: layer {iteration.layer} goes in "
            f"iteration {iteration.number}",
        }
        for pair, search in found
        for iteration in search.iterations
    ]
    order = list(names.values())

    def chart(step: int) -> alt.LayerChart:
        base = alt.Chart(data(rows)).encode(
            x=alt.X(
                "layer:O",
                title="Layer of the teacher's decoder",
                axis=alt.Axis(labelAngle=0, grid=True),
                scale=alt.Scale(domain=list(range(count))),
            ),
            y=alt.Y("search:N", title=None, sort=order, axis=alt.Axis(labelLimit=220)),
        )
        return alt.layer(
            base.mark_circle(size=320, color=ACCENT, opacity=0.25).encode(description="label:N"),
            base.mark_text(fontSize=11, color=INK, aria=False).encode(text="number:Q"),
        ).properties(width=alt.Step(step), height=alt.Step(26))

    return Figure(
        name="searches",
        title="Layers removed, search by search",
        alt="Which layers each search removes; the number in a circle is the iteration.",
        sources=[f"{_short(search.folder)}/iter_*/layers.json" for _, search in found],
        wide=chart(min(CELL - 8, 760 // count)),
    )


def overlaps(searches: Sequence[Search]) -> list[dict[str, object]]:
    """How many of its layers each search shares with every other, for a table."""
    removed = {s.criterion: {i.layer for i in s.iterations} for s in searches}
    return [
        {
            "criterion": name,
            "removed": [i.layer for i in search.iterations],
            "shared": {other: len(layers & removed[other]) for other in removed},
        }
        for search in searches
        for name, layers in [(search.criterion, removed[search.criterion])]
    ]


def _short(folder: str) -> str:
    """Without results/{experiment}/, where the report itself lies."""
    return folder.split("/", maxsplit=2)[2]
