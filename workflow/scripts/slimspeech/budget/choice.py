"""The form of a student that fits a budget: the content of bounds.json and of budget.json."""

import logging
from collections.abc import Mapping, Sequence

from transformers import PretrainedConfig

from slimspeech.artifacts import Row
from slimspeech.budget.forms import (
    NF4,
    Losses,
    Request,
    Vocabulary,
    options,
    without_losses,
)
from slimspeech.budget.programme import Choice, Groups, best_choice, extremes, front
from slimspeech.errors import InputError
from slimspeech.formatting import file_size, parse_size
from slimspeech.quantization.predicted_size import layer_bytes

logger = logging.getLogger(__name__)


def check_bounds(
    config: PretrainedConfig,
    budget: str,
    removed: Sequence[int],
    sizes: Sequence[int | None],
    quantization: str | Mapping[str, str],
    without: Sequence[str] = (),
) -> Row:
    """`budget`, and the `smallest` and `largest` form, in bytes; which layers go is not known yet.

    removed: the numbers of removed layers that may be chosen. sizes: of vocabularies, None for all
    tokens. Raises InputError for a budget that no form fits, or that every form fits.
    """
    bytes_of = layer_bytes(config)
    by_size = sorted(range(len(bytes_of)), key=bytes_of.__getitem__)
    least, most = min(removed), max(removed)
    kept = [sorted(by_size[least:]), sorted(by_size[: len(by_size) - most])]
    vocabularies = [Vocabulary(size, 0.0) for size in sizes]
    request = Request(kept, quantization, vocabularies)
    return _bounds(options(config, request, without_losses(config, request), without), budget)


def spend(
    config: PretrainedConfig,
    budget: str,
    request: Request,
    losses: Losses,
    removals: Sequence[int],
    without: Sequence[str] = (),
) -> Row:
    """The content of budget.json; docs/outputs.md lists its keys.

    config: of the teacher. removals: its layers in the order of their removal. Raises InputError as
    check_bounds().
    """
    groups = options(config, request, losses, without)
    bounds = _bounds(groups, budget)
    choice = best_choice(groups, bounds["budget"])
    if choice is None:  # between the smallest form and what the solver takes for the budget
        raise InputError(_too_small(bounds["smallest"], budget))
    kept = choice.options["decoder"].form["kept"]
    points = [_point(point, config) for point in front(groups)]
    point = _point(choice, config)
    reason = _reason(point, choice, points, budget)
    logger.info(reason)
    return {
        "kept": kept,
        "removed": list(removals[: point["layers_removed"]]),
        **point,
        **bounds,
        "reason": reason,
        "front": points,
    }


def _bounds(groups: Groups, budget: str) -> Row:
    smallest, largest = extremes(groups)
    size = parse_size(budget)
    if size < smallest:
        raise InputError(_too_small(smallest, budget))
    if size >= largest:
        raise InputError(
            f"a budget of {budget} is no limit: without rounding, and with the fewest layers "
            f"removed, the student takes {file_size(largest)}; lower students.*.budget or leave it "
            "out"
        )
    return {"budget": size, "smallest": smallest, "largest": largest}


def _too_small(smallest: int, budget: str) -> str:
    return (
        f"a budget of {budget} is below {file_size(smallest)}, the smallest form of this student; "
        "raise students.*.budget, or allow more: more layers removed, fewer tokens, or a 4-bit "
        "embedding (quantization: {embedding: nf4})"
    )


def _point(choice: Choice, config: PretrainedConfig) -> Row:
    form = {key: value for option in choice.options.values() for key, value in option.form.items()}
    kept, vocabulary = form.pop("kept"), form.pop("vocabulary")
    return {
        "layers_removed": config.text_config.num_hidden_layers - len(kept),
        "quantization": dict(sorted(form.items())),
        "vocabulary": vocabulary,
        "bytes": choice.bytes,
        "loss": choice.loss,
    }


def _reason(point: Row, choice: Choice, points: Sequence[Row], budget: str) -> str:
    four_bit = [_spoken(part) for part, form in point["quantization"].items() if form == NF4]
    losses = [
        f"{_spoken(name)} {option.loss:.3f}"
        for name, option in choice.options.items()
        if option.loss
    ]
    count = point["layers_removed"]
    larger = [other for other in points if other["bytes"] > point["bytes"]]
    text = (
        f"{file_size(point['bytes'])} of {budget}: {count} layer{'s' * (count != 1)} removed, "
        f"{', '.join(four_bit) or 'nothing'} in NF4, "
        f"{point['vocabulary'] or 'all'} tokens. Of all forms that fit, this one has the least "
        f"expected loss, {point['loss']:.3f} nats a token more than the teacher"
    )
    text += f" ({', '.join(losses)})" if losses else ""
    if larger:
        text += f"; for {larger[-1]['loss']:.3f} it would take {file_size(larger[-1]['bytes'])}"
    return text + "."


def _spoken(part: str) -> str:
    return part.replace("_", " ")
