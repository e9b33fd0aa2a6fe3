"""The search for layers: the cost of each removal, the remaining score, and shared layers."""

from collections.abc import Sequence

import altair as alt

from slimspeech.pruning.layer_table import NAMES
from slimspeech.pruning.selection import HIGHER_COSTS_LESS
from slimspeech.report import numbers
from slimspeech.report.figures.style import ACCENT, GRID, INK, MUTED, SERIES, Figure
from slimspeech.report.results import Experiment, Iteration, Pair, Search

CELL = 44  # pixels
MOST_LABELLED = 16  # layers; with more, cells have no numbers
# Opacity of the most costly cell: its text has a contrast of 4.5 in the light and dark theme.
STRONGEST = 0.54


def costs(iteration: Iteration) -> dict[int, float]:
    """By layer: how much worse its removal scores than that of the removed layer."""
    sign = 1 if iteration.metric in HIGHER_COSTS_LESS else -1
    best = iteration.scores[iteration.layer]
    return {layer: sign * (best - score) for layer, score in iteration.scores.items()}


def heat_map(pair: Pair, search: Search) -> Figure | None:
    measured = [iteration for iteration in search.iterations if iteration.scores]
    if not measured:
        return None
    metric = NAMES.get(measured[0].metric, measured[0].metric)
    order = ", ".join(str(iteration.layer) for iteration in search.iterations)
    return Figure(
        name=f"{pair.code}.search.{search.criterion}",
        title=f"Cost of each removal, {pair.title}, by {search.criterion}",
        alt=f"Search by {search.criterion}, {pair.title}: cost of removing each layer, one row per "
        f"iteration, in {metric} relative to the removed layer. Removed, in order: {order}.",
        sources=[
            f"{pair.code}/pruning/{search.criterion}/iter_*/{name}"
            for name in ("scores.csv", "layers.json")
        ],
        wide=_heat_chart(search, metric, min(CELL, 900 // search.layers)),
    )


def _heat_chart(search: Search, metric: str, cell: int) -> alt.LayerChart:
    costs_by_iteration = [costs(i) if i.scores else {} for i in search.iterations]
    largest = max(max(by_layer.values(), default=0) for by_layer in costs_by_iteration)
    rows = []
    removed: set[int] = set()
    for iteration, by_layer in zip(search.iterations, costs_by_iteration, strict=True):
        for layer in range(search.layers):
            cost = by_layer.get(layer)
            if layer == iteration.layer:
                state = "removed"
            elif layer in removed:
                state = "removed before"
            else:
                state = "not measured" if cost is None else "kept"
            share = max(cost, 0) / largest if cost and largest else 0
            rows.append(
                {
                    "layer": layer,
                    "iteration": iteration.number,
                    "state": state,
                    "strength": STRONGEST * share**0.6,
                    "text": _short_cost(cost) if state == "kept" else "",
                    "label": _cell_label(iteration, layer, cost, state, metric),
                }
            )
        removed.add(iteration.layer)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("layer:O", title="Layer of the teacher's decoder", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("iteration:O", title="Iteration"),
    )
    layers = [
        base.mark_rect(fill=ACCENT, stroke=GRID, strokeWidth=1).encode(
            fillOpacity=alt.FillOpacity("strength:Q", scale=None, legend=None),
            description=alt.Description("label:N"),
        ),
        base.transform_filter(alt.datum.state == "removed")
        .mark_rect(filled=False, stroke=INK, strokeWidth=2, aria=False)
        .encode(),
        base.transform_filter(alt.datum.state == "removed")
        .mark_text(text="×", fontSize=18, fontWeight="bold", color=INK, aria=False)
        .encode(),
        base.transform_filter(alt.datum.state == "removed before").mark_text(
            text="·", color=MUTED, aria=False
        ),
    ]
    if search.layers <= MOST_LABELLED:
        layers.append(
            base.transform_filter(alt.datum.state == "kept")
            .mark_text(fontSize=11, color=INK, aria=False)
            .encode(text="text:N")
        )
    height = max(24, cell * 3 // 4)
    return alt.layer(*layers).properties(width=alt.Step(cell), height=alt.Step(height))


def _short_cost(cost: float) -> str:
    """Two significant digits, to fit a cell: 12, 1.2, 0.12."""
    return f"{cost:.0f}" if abs(cost) >= 10 else f"{cost:#.2g}"


def _cell_label(
    iteration: Iteration, layer: int, cost: float | None, state: str, metric: str
) -> str:
    cell = f"Iteration {iteration.number}, layer {layer}"
    if cost is None:
        return f"{cell}: {state}"
    text = f"{cell}: {metric} {numbers.ratio(iteration.scores[layer])} without it"
    if state != "removed":
        return f"{text}, {numbers.ratio(cost)} worse than without layer {iteration.layer}"
    text += "; removed"
    if iteration.difference:
        interval = iteration.difference
        text += f", {interval.value:.2f} better than without layer {iteration.runner_up}"
        if interval.has_ends:
            text += f" (95 % interval {interval.low:.2f} to {interval.high:.2f})"
    return text


def decline(pair: Pair) -> Figure | None:
    """Score of the search segments against the number of removed layers, for criteria that
    translate them."""
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
    has_start = any(search.unpruned is not None for search in searches)

    def chart(width: int) -> alt.LayerChart:
        base = alt.Chart(alt.Data(values=rows)).encode(
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
        title=f"{metric} against removed layers, {pair.title}",
        alt=f"{metric} of the search segments after each removal, without training, {pair.title}.",
        sources=[
            *([f"{pair.code}/pruning/iter_00/score.json"] if has_start else []),
            *(f"{pair.code}/pruning/{s.criterion}/iter_*/layers.json" for s in searches),
        ],
        wide=chart(520),
        narrow=chart(268),
    )


def agreement(experiment: Experiment) -> Figure | None:
    """The layers that each search of each pair removes, by iteration."""
    searches = [(pair, search) for pair in experiment.pairs for search in pair.searches]
    if len(searches) < 2:
        return None
    several = len({search.criterion for _, search in searches}) > 1
    names = {
        (pair.code, search.criterion): f"{pair.code}, {search.criterion}" if several else pair.code
        for pair, search in searches
    }
    count = max(search.layers for _, search in searches)
    rows = [
        {
            "search": names[pair.code, search.criterion],
            "layer": iteration.layer,
            "number": iteration.number,
            "label": f"{names[pair.code, search.criterion]}: layer {iteration.layer} is removed in "
            f"iteration {iteration.number}",
        }
        for pair, search in searches
        for iteration in search.iterations
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "layer:O",
            title="Layer of the teacher's decoder",
            axis=alt.Axis(labelAngle=0, grid=True),
            scale=alt.Scale(domain=list(range(count))),
        ),
        y=alt.Y("search:N", title=None, sort=list(names.values()), axis=alt.Axis(labelLimit=220)),
    )
    chart = alt.layer(
        base.mark_circle(size=320, color=ACCENT, opacity=0.25).encode(description="label:N"),
        base.mark_text(fontSize=11, color=INK, aria=False).encode(text="number:Q"),
    )
    step = min(CELL - 8, 760 // count)
    return Figure(
        name="searches",
        title="Removed layers by search",
        alt="The layers that each search removes; the number in a circle is the iteration.",
        sources=[
            f"{pair.code}/pruning/{search.criterion}/iter_*/layers.json"
            for pair, search in searches
        ],
        wide=chart.properties(width=alt.Step(step), height=alt.Step(26)),
    )


def overlaps(searches: Sequence[Search]) -> list[dict[str, object]]:
    """Rows of a table: the removed layers of each search, and how many it shares with others."""
    removed = {search.criterion: [i.layer for i in search.iterations] for search in searches}
    return [
        {
            "criterion": name,
            "removed": layers,
            "shared": {other: len({*layers} & {*removed[other]}) for other in removed},
        }
        for name, layers in removed.items()
    ]
