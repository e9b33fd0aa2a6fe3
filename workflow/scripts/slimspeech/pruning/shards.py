"""Shards of one iteration of the layer search: which layers each scores, and their merging."""

from collections.abc import Sequence

from slimspeech.artifacts import Row
from slimspeech.errors import InputError

# Must be the same in all shards, or their scores cannot be compared.
SHARED = ("iteration", "kept", "model", "segments", "settings", "candidates")


def number_of(shard: str) -> tuple[int, int]:
    """(number, count) of a shard's name: (1, 4) for "1-of-4"."""
    number, count = shard.split("-of-")
    return int(number), int(count)


def share(candidates: Sequence[int], number: int, count: int) -> list[int]:
    """The layers that shard `number`, from 1, of `count` scores. More shards than layers: none.

    The deeper a removed layer is, the more of its work is shared with the other candidates, so the
    shards take turns in both directions: 1, 2, 3, 3, 2, 1, 1, …, and each gets the same mix.
    """
    turns = (number - 1, 2 * count - number)
    return [layer for index, layer in enumerate(candidates) if index % (2 * count) in turns]


def gather(shards: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Merge the shards of an iteration: score rows and hypothesis rows, both by layer.

    The result does not depend on the number of shards, nor on their order. Raises InputError if
    the shards are not of one search, or do not score each candidate once.
    """
    first = shards[0]
    for shard in shards[1:]:
        for field in SHARED:
            if shard[field] != first[field]:
                raise InputError(
                    f"shards {first['shard']} and {shard['shard']} are not of one search, their "
                    f"`{field}` differs; remove the older one and score its layers again"
                )
    scores, hypotheses = (
        sorted((row for shard in shards for row in shard[rows]), key=lambda row: row["layer"])
        for rows in ("scores", "hypotheses")
    )
    scored = [row["layer"] for row in scores]
    if scored != sorted(first["candidates"]):
        names = ", ".join(shard["shard"] for shard in shards)
        raise InputError(
            f"shards {names} score the layers {scored} and not {sorted(first['candidates'])}; give "
            "each shard of the set once"
        )
    return scores, hypotheses
