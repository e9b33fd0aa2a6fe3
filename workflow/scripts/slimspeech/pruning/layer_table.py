"""Tables of the layers that each search removes, and of how far the searches agree."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from slimspeech import languages
from slimspeech.artifacts import Row
from slimspeech.evaluation.score_table import TITLES
from slimspeech.evaluation.significance import MIN_SEGMENTS
from slimspeech.formatting import MISSING, aligned
from slimspeech.pruning.selection import COMET

NAMES = TITLES | {
    "loss": "loss",
    "kl": "KL divergence",
    "block_influence": "block influence",
    "angular": "angular distance",
}

SHARES = (
    "The segments of a search were drawn again 1000 times. Chosen in: the share of the draws in\n"
    "which the removed layer is the best choice. Next: the layer that most of the other draws\n"
    "choose. Regret: by how many points the removed layer falls short of the best, on average.\n"
    "Better than: the runner-up on all segments, with the 95 % interval of the difference."
)


def tabulate_layers(
    removals: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """One row for each removal, in order; a value that its criterion does not measure is empty.

    removals: pair, criterion and iteration. results: the layers.json of each.
    """
    measured = ("metric", "score", "saved", "runner_up", "difference", "low", "high")
    judged = ("share", "rival", "rival_share", "regret")
    rows = []
    for removal, layers in zip(removals, results, strict=True):
        low, high = layers.get("interval", ["", ""])
        values = {**layers, "low": low, "high": high, **_shares(layers)}
        rows.append(
            {
                **{key: removal[key] for key in ("pair", "criterion", "iteration")},
                "layer": layers["removed"][-1],
                **{key: values.get(key, "") for key in (*measured, *judged)},
            }
        )
    return rows


def _shares(layers: Mapping[str, Any]) -> dict[str, Any]:
    if "shares" not in layers:
        return {}
    share, rival, rival_share = chosen_in(layers["shares"], layers["removed"][-1])
    return {"share": share, "rival": rival, "rival_share": rival_share}


def chosen_in(shares: Mapping[str, float], layer: int) -> tuple[float, int | str, float | str]:
    """How sure the removal of a layer is: (share, rival, rival_share), by `shares` of layers.json.

    share: of the resamples that choose the layer. rival: the layer that most others choose, and
    its share; both "" if there is none.
    """
    others = [name for name in shares if name != str(layer)]
    rival, rival_share = (int(others[0]), shares[others[0]]) if others else ("", "")
    return shares.get(str(layer), 0.0), rival, rival_share


def overlap(first: Sequence[int], second: Sequence[int]) -> int:
    """How many layers two searches both remove."""
    return len(set(first) & set(second))


def layers_markdown(
    rows: Sequence[Mapping[str, Any]], names: dict[str, str], searched: Mapping[str, str]
) -> str:
    """The rows of tabulate_layers() for people: one section a pair.

    names: of languages by code, beside those that slimspeech.languages has. searched: by pair,
    describe_segments() of what its searches used.
    """
    sections = ["# Layers removed", "Layers are numbered from 0, as in the teacher."]
    if any(row["share"] != "" for row in rows):
        sections.append(SHARES)
    for pair, group in groupby(rows, key=lambda row: row["pair"]):
        sections += _section(
            f"{languages.title(pair, names)} ({pair})", list(group), searched[pair]
        )
    return "\n\n".join(sections) + "\n"


def _section(title: str, rows: Sequence[Mapping[str, Any]], searched: str) -> list[str]:
    removed = {
        criterion: [row["layer"] for row in group]
        for criterion, group in groupby(rows, key=lambda row: row["criterion"])
    }
    parts = [f"## {title}", searched]
    first = next(iter(removed))
    summary = [
        [criterion, ", ".join(map(str, layers)), f"{overlap(layers, removed[first])}/{len(layers)}"]
        for criterion, layers in removed.items()
    ]
    parts.append(aligned(["criterion", "removed, in order", f"shared with {first}"], summary))
    for criterion, group in groupby(rows, key=lambda row: row["criterion"]):
        measured = [row for row in group if row["metric"]]
        if measured:
            parts += _iterations(criterion, measured)
    return parts


def _iterations(criterion: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    metric = NAMES.get(rows[0]["metric"], rows[0]["metric"])
    compared = any(row["runner_up"] != "" for row in rows)
    header = ["iteration", "layer", f"{metric} without it"]
    cells = [
        [str(row["iteration"]), str(row["layer"]), f"{float(row['score']):.4g}"] for row in rows
    ]
    if compared:
        header += ["chosen in", "next", "regret", "better than, by"]
        for line, row in zip(cells, rows, strict=True):
            line += _comparison(row)
    parts = [f"### {criterion}", aligned(header, cells)]
    if saved := [row["saved"] for row in rows if row["saved"] != ""]:
        parts.append(f"Racing left out {100 * fmean(saved):.0f} % of the translations.")
    if any(row["runner_up"] != "" and row["share"] == "" for row in rows):
        parts.append(
            f"The search has fewer than {MIN_SEGMENTS} segments, too few to say how sure a choice "
            "is."
        )
    return parts


def _comparison(row: Mapping[str, Any]) -> list[str]:
    if row["runner_up"] == "":
        return [MISSING] * 4
    digits = 4 if COMET in row["metric"] else 2
    better = f"{row['runner_up']}, {row['difference']:.{digits}f}"
    if row["share"] == "":
        return [*[MISSING] * 3, better]
    return [
        f"{100 * row['share']:.0f} %",
        MISSING if row["rival"] == "" else f"{row['rival']} in {100 * row['rival_share']:.0f} %",
        f"{row['regret']:.{digits}f}",
        f"{better} ({row['low']:.{digits}f} to {row['high']:.{digits}f})",
    ]
