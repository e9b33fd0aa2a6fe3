"""Which layers of a stack may be removed.

Some models load only with certain layers as the last one; layers.json names these `may_be_last`.
"""

import logging
from collections.abc import Sequence

from slimspeech.errors import InputError

logger = logging.getLogger(__name__)


def removable(
    kept: Sequence[int],
    protect_first: int,
    protect_last: int,
    may_be_last: Sequence[int] | None = None,
) -> list[int]:
    """The layers that may be removed: all but the protected ones at both ends of `kept`.

    may_be_last: the layers of which one has to be the last; None: any.
    Raises InputError if there is none.
    """
    layers = list(kept[protect_first : len(kept) - protect_last])
    deepest_goes = len(kept) > 1 and layers[-1:] == [kept[-1]]
    if may_be_last is not None and deepest_goes and kept[-2] not in may_be_last:
        logger.info(
            "layer %d stays: without it layer %d would be the last, which the model does not allow",
            *(kept[-1], kept[-2]),
        )
        layers.pop()
    if not layers:
        raise InputError(
            f"no layer can be removed: {len(kept)} are left, {protect_first} + {protect_last} "
            "are protected; lower pruning.iterations"
        )
    return layers


def check_last(kept: Sequence[int], may_be_last: Sequence[int] | None) -> None:
    """Raises InputError for a stack whose last layer the model does not allow there."""
    if may_be_last is not None and kept[-1] not in may_be_last:
        raise InputError(
            f"layer {kept[-1]} cannot be the last one: it attends to a sliding window, and the "
            f"model loads only with one of {list(may_be_last)} as the last; keep one of these, as "
            "pruning.protect_last: 1 does"
        )
