"""Tables of the layers that each search removes, and of how far the searches agree."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from slimspeech import languages
from slimspeech.artifacts import Row
from slimspeech.evaluation.score_table import TITLES
from slimspeech.formatting import MISSING, aligned
from slimspeech.pruning.selection import COMET

NAMES = TITLES | {
    "loss": "loss",
    "block_influence": "block influence",
    "angular": "angular distance",
}


def tabulate_layers(
    removals: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """One row for each removal, in order; a value that its criterion does not measure is empty.

    removals: pair, criterion and iteration. results: the layers.json of each.
    """
    measured = ("metric", "score", "runner_up", "difference", "low", "high", "within_noise")
    rows = []
    for removal, layers in zip(removals, results, strict=True):
        low, high = layers.get("interval", ["", ""])
        values = {**layers, "low": low, "high": high}
        rows.append(
            {
                **{key: removal[key] for key in ("pair", "criterion", "iteration")},
                "layer": layers["removed"][-1],
                **{key: values.get(key, "") for key in measured},
            }
        )
    return rows


def overlap(first: Sequence[int], second: Sequence[int]) -> int:
    """How many layers two searches both remove."""
    return len(set(first) & set(second))


def layers_markdown(rows: Sequence[Mapping[str, Any]], names: dict[str, str]) -> str:
    """The rows of tabulate_layers() for people: one section a pair.

    names: of languages by code, beside those that slimspeech.languages has.
    """
    sections = ["# Layers removed", "Layers are numbered from 0, as in the teacher."]
    for pair, group in groupby(rows, key=lambda row: row["pair"]):
        sections += _section(f"{languages.title(pair, names)} ({pair})", list(group))
    return "\n\n".join(sections) + "\n"


def _section(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    removed = {
        criterion: [row["layer"] for row in group]
        for criterion, group in groupby(rows, key=lambda row: row["criterion"])
    }
    parts = [f"## {title}"]
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
        header += ["runner-up", "difference (95 % interval)", "within noise"]
        for line, row in zip(cells, rows, strict=True):
            line += _comparison(row)
    parts = [f"### {criterion}", aligned(header, cells)]
    noisy = sum(row["within_noise"] is True for row in rows)
    if noisy:
        parts.append(
            f"{noisy} of {len(rows)} choices are within noise: on other segments the runner-up "
            "might have been removed."
        )
    return parts


def _comparison(row: Mapping[str, Any]) -> list[str]:
    if row["runner_up"] == "":
        return [MISSING] * 3
    digits = 4 if COMET in row["metric"] else 2
    ends = [f"{row[key]:.{digits}f}" for key in ("difference", "low", "high")]
    interval = "{} ({} to {})".format(*ends)
    return [str(row["runner_up"]), interval, "yes" if row["within_noise"] else "no"]
