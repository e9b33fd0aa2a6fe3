"""Which layer goes: the decision, apart from the costly scores, so that it can be taken again."""

import math
from collections.abc import Mapping, Sequence

from slimspeech.artifacts import Row
from slimspeech.errors import InputError


def least_important(scores: Mapping[int, float]) -> int:
    """The layer whose absence scores highest; of equals, the deepest.

    Raises InputError if there is no score, or one that is not a number.
    """
    if not scores:
        raise InputError("no candidate has a score, so no layer can be chosen")
    broken = [layer for layer, score in scores.items() if not math.isfinite(score)]
    if broken:
        raise InputError(f"the scores without layers {broken} are not numbers; score them again")
    return max(scores, key=lambda layer: (scores[layer], layer))


def drop_least_important(layers: Row, rows: Sequence[Mapping[str, str]]) -> Row:
    """The next layers.json: `kept` ascending, `removed` in the order of removal, and the `score`.

    layers: the one before. rows: of scores.csv, with layer and score. Raises InputError if a
    candidate is doubled or no longer in the stack.
    """
    scores = {int(row["layer"]): float(row["score"]) for row in rows}
    if len(scores) != len(rows):
        raise InputError("scores.csv lists a layer twice; remove it and score the layers again")
    strangers = sorted(scores.keys() - set(layers["kept"]))
    if strangers:
        raise InputError(
            f"scores.csv has layers {strangers}, which are not in the stack {layers['kept']}; it "
            "belongs to another iteration: remove it and score the layers again"
        )
    dropped = least_important(scores)
    return {
        "kept": [layer for layer in layers["kept"] if layer != dropped],
        "removed": [*layers["removed"], dropped],
        "score": scores[dropped],
    }
