"""The segments that a search translates or measures."""

from collections.abc import Sequence

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import talks_of

ORDERS = ("round_robin", "manifest")


def choose_segments(rows: Sequence[Row], count: int | None, order: str) -> list[Row]:
    """`count` rows of a manifest, in its order; all if it has no more, or count is None.

    order: "round_robin" takes a segment of each talk in turn, so that the choice of layers hangs
    on no single talk or speaker; "manifest" takes the first rows.
    """
    if order not in ORDERS:
        raise InputError(f"pruning.order is one of {', '.join(ORDERS)}, not {order!r}")
    if count is None or order == "manifest":
        return list(rows[:count])
    turns = sorted(
        (turn, number, index)
        for number, indices in enumerate(talks_of(rows).values())
        for turn, index in enumerate(indices)
    )
    return [rows[index] for index in sorted(index for *_, index in turns[:count])]


def with_translations(rows: Sequence[Row], translations: Sequence[Row]) -> list[Row]:
    """The segments with a model's translations in place of the references.

    translations: rows (id, hypothesis). Raises InputError if they are not of the same segments.
    """
    texts = {row["id"]: row["hypothesis"] for row in translations}
    if texts.keys() != {row["id"] for row in rows}:
        raise InputError(
            "the translations are not of the segments of the search; delete pruning/iter_00 "
            "and run again"
        )
    return [row | {"target": texts[row["id"]]} for row in rows]


def describe_segments(rows: Sequence[Row], order: str) -> str:
    """The sentence for layers.md: how many segments of how many talks, and how they were taken."""
    talks = talks_of(rows)
    sizes = sorted({len(indices) for indices in talks.values()})
    of_each = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
    taken = "in turn from every talk" if order == "round_robin" else "in the order of the manifest"
    return (
        f"The searches use {len(rows)} segments, taken {taken}: {of_each} of each of "
        f"{len(talks)} talks."
        if len(talks) > 1
        else f"The searches use {len(rows)} segments, all of one talk."
    )
