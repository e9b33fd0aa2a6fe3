"""Shards of one iteration of the layer search: which layers each scores, and their merging."""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.errors import InputError

# What must be alike for scores to be compared.
SHARED = ("iteration", "kept", "model", "segments", "settings", "candidates")
SHOWN = 60  # characters of a value, around the difference


def number_of(shard: str) -> tuple[int, int]:
    """(number, count) of a shard's name: (1, 4) for "1-of-4". Raises InputError if it is none."""
    found = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", shard)
    number, count = map(int, found.groups()) if found else (1, 0)
    if number > count:
        raise InputError(f"{shard!r} is no shard; name it 1-of-4 for the first of four")
    return number, count


def share(candidates: Sequence[int], number: int, count: int) -> list[int]:
    """The layers that shard `number`, from 1, of `count` scores. More shards than layers: none.

    The deeper a missing layer, the more of its work is shared with the other candidates, so the
    shards take turns to and fro: 1, 2, 3, 3, 2, 1, 1, …, and every shard gets the same mix.
    """
    turns = (number - 1, 2 * count - number)
    return [layer for place, layer in enumerate(candidates) if place % (2 * count) in turns]


def gather(shards: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Merge the shards of an iteration: score rows and hypothesis rows, both by layer.

    The result does not depend on the count of shards, nor on their order here. Raises InputError
    if a shard is missing or doubled, the shards are not of one search, or one has not exactly the
    scores of its share, or hypotheses of another's.
    """
    _check_count(shards)
    translated = any(shard["hypotheses"] for shard in shards)  # a search by loss has none
    for shard in shards:
        _check_search(shards[0], shard)
        _check_share(shard, translated)
    return tuple(
        sorted((row for shard in shards for row in shard[rows]), key=lambda row: row["layer"])
        for rows in ("scores", "hypotheses")
    )


def _check_count(shards: Sequence[Row]) -> None:
    names = Counter(shard["shard"] for shard in shards)
    counts = {number_of(name)[1] for name in names}
    if len(counts) != 1:
        raise InputError(
            f"shards {', '.join(names) or 'none'} are not one set; remove them and score the "
            "layers again"
        )
    [count] = counts
    wanted = [f"{number}-of-{count}" for number in range(1, count + 1)]
    missing = [name for name in wanted if name not in names]
    doubled = [name for name, times in names.items() if times > 1]
    if missing or doubled:
        raise InputError(
            f"shards missing: {', '.join(missing) or 'none'}, given twice: "
            f"{', '.join(doubled) or 'none'}; give each of the {count} once"
        )


def _check_search(first: Row, shard: Row) -> None:
    for field in SHARED:
        if shard[field] != first[field]:
            here, there = _differing(first[field], shard[field])
            raise InputError(
                f"shards {first['shard']} and {shard['shard']} are not of one search: `{field}` "
                f"is {here} in one and {there} in the other; remove the older one and score its "
                "layers again"
            )


def _check_share(shard: Row, translated: bool) -> None:
    wanted = share(shard["candidates"], *number_of(shard["shard"]))
    scored = Counter(row["layer"] for row in shard["scores"])
    written = {row["layer"] for row in shard["hypotheses"]}
    problems = {
        "no score for": [layer for layer in wanted if layer not in scored],
        "two scores for": [layer for layer, times in scored.items() if times > 1],
        "scores, not its own, for": sorted(scored.keys() - set(wanted)),
        "no hypotheses for": sorted(set(wanted) - written) if translated else [],
        "hypotheses, not its own, for": sorted(written - set(wanted)),
    }
    found = [f"{problem} layers {layers}" for problem, layers in problems.items() if layers]
    if found:
        raise InputError(
            f"shard {shard['shard']} has {'; '.join(found)}; remove it and score its layers again"
        )


def _differing(first: Any, second: Any) -> list[str]:
    """Both as JSON, cut to where they differ."""
    texts = [json.dumps(value, ensure_ascii=False, sort_keys=True) for value in (first, second)]
    start = max(0, len(os.path.commonprefix(texts)) - SHOWN // 2)
    return [
        f"{'…' * (start > 0)}{text[start : start + SHOWN]}{'…' * (len(text) > start + SHOWN)}"
        for text in texts
    ]
