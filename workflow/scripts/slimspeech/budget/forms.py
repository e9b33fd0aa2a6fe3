"""The ways to store each part of a student, with their bytes and what they are expected to cost."""

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from transformers import PretrainedConfig

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.budget.programme import Option
from slimspeech.quantization.nf4 import PARTS
from slimspeech.quantization.predicted_size import TRIMMED_PARTS, part_weights, tensor_bytes
from slimspeech.quantization.vocabulary import ROWS

# Bytes of the headers of a model's files, beside what they say of tensors.
FILES = 1000
NF4, PLAIN = "nf4", "none"


@dataclass(frozen=True)
class Vocabulary:
    """A number of tokens, None for all; and how much longer text gets with them, in percent."""

    size: int | None
    longer_percent: float


@dataclass(frozen=True)
class Request:
    """What may be chosen.

    kept: the decoder layers that are left, one list for each number of removed layers that may be
    chosen. quantization: of the student's recipe; the formats that it lists are fixed.
    """

    kept: Sequence[Sequence[int]]
    quantization: str | Mapping[str, str]
    vocabularies: Sequence[Vocabulary]


@dataclass(frozen=True)
class Losses:
    """What each change is expected to cost, in nats a token.

    removed: for each of a request's `kept`. parts: in NF4. layers: of each decoder layer in NF4.
    whole: the loss of the whole model.
    """

    removed: Sequence[float]
    parts: Mapping[str, float]
    layers: Sequence[float]
    whole: float


def without_losses(config: PretrainedConfig, request: Request) -> Losses:
    """For sizes alone."""
    count = config.text_config.num_hidden_layers
    return Losses([0.0] * len(request.kept), {}, [0.0] * count, 0.0)


def expected_losses(sensitivities: Row, removed: Sequence[Row], repair: float) -> Losses:
    """From sensitivities.json. A change that measured better than the whole model costs nothing.

    removed: what was measured for each of a request's `kept`; {} for the whole stack. repair: the
    share of the loss of removed layers that training is expected to win back.
    """
    whole = sensitivities["whole"]["loss"]

    def rise(measured: Row) -> float:
        return max(0.0, measured.get("loss", whole) - whole)

    return Losses(
        removed=[(1 - repair) * rise(row) for row in removed],
        parts={part: rise(row) for part, row in sensitivities["parts"].items()},
        layers=[rise(row) for row in sensitivities["layers"]],
        whole=whole,
    )


def options(
    config: PretrainedConfig, request: Request, losses: Losses, without: Sequence[str] = ()
) -> dict[str, list[Option]]:
    """The options of a student by group: the decoder, its vocabulary, and each other part.

    config: of the teacher. without: parts that packed students do without.
    """
    config = copy.deepcopy(config)
    family = families.of(config)
    for part in without:
        setattr(config, family.unused_parts[part], None)
    formats, sizes = _formats(config, request.quantization), _sizes(config)
    parts = {part for part, _, _ in sizes}
    fixed = FILES + sum(
        size for (part, form, _), size in sizes.items() if part not in PARTS and form == PLAIN
    )
    groups = {"fixed": [Option({}, fixed, 0.0)]}
    groups["decoder"] = [
        Option(
            {"kept": list(kept), "decoder": form},
            sum(sizes["decoder", form, layer] for layer in (*kept, None)),
            removal + (_rounding(losses, kept) if form == NF4 else 0),
        )
        for (kept, removal), form in product(
            zip(request.kept, losses.removed, strict=True), formats["decoder"]
        )
    ]
    for part in sorted(parts & set(PARTS) - {"decoder", *TRIMMED_PARTS}):
        groups[part] = [
            Option(
                {part: form},
                sizes[part, form, None],
                losses.parts.get(part, 0.0) if form == NF4 else 0.0,
            )
            for form in formats[part]
        ]
    groups["vocabulary"] = list(_vocabularies(config, request, losses, formats))
    return groups


def _sizes(
    config: PretrainedConfig, vocabulary: int | None = None
) -> dict[tuple[str, str, int | None], int]:
    """Bytes by part, format and decoder layer, None for what is in no layer."""
    family, sizes = families.of(config), defaultdict(int)
    for form in (PLAIN, NF4):
        tensors = tensor_bytes(config, dict.fromkeys(PARTS, form), vocabulary, headers=True)
        for name, size in tensors.items():
            sizes[family.part_of(name), form, family.layer_of(name)] += size
    return sizes


def _rounding(losses: Losses, kept: Sequence[int]) -> float:
    """Of the kept decoder layers: their share of what rounding the whole decoder costs."""
    whole = sum(losses.layers)
    share = sum(losses.layers[layer] for layer in kept) / whole if whole else 1
    return share * losses.parts.get("decoder", 0.0)


def _vocabularies(
    config: PretrainedConfig,
    request: Request,
    losses: Losses,
    formats: Mapping[str, Sequence[str]],
) -> Iterator[Option]:
    """Every token more than with the whole vocabulary is expected to cost as much as a token."""
    stored = [part for part in TRIMMED_PARTS if part in formats]
    for vocabulary in request.vocabularies:
        sizes = _sizes(config, vocabulary.size and vocabulary.size // ROWS * ROWS)
        longer = vocabulary.longer_percent / 100 * losses.whole
        for forms in product(*(formats[part] for part in stored)):
            chosen = dict(zip(stored, forms, strict=True))
            rounding = [losses.parts.get(part, 0.0) for part in stored if chosen[part] == NF4]
            yield Option(
                {"vocabulary": vocabulary.size, **chosen},
                sum(sizes[part, form, None] for part, form in chosen.items()),
                longer + sum(rounding),
            )


def _formats(
    config: PretrainedConfig, quantization: str | Mapping[str, str]
) -> dict[str, Sequence[str]]:
    """The formats that each part may have.

    Those of the recipe are fixed, and all by `none`. A 4-bit embedding needs a loader of its own,
    so it is never chosen. What cannot be 4-bit is bfloat16.
    """
    fits = {*part_weights(config), *families.of(config).unused_parts}
    stored = {families.of(config).part_of(name) for name in tensor_bytes(config, "none")}
    choice = {
        part: (NF4, PLAIN) if part in fits and part != "embedding" else (PLAIN,)
        for part in PARTS
        if part in stored
    }
    if quantization == PLAIN:
        return dict.fromkeys(choice, (PLAIN,))
    fixed = {} if isinstance(quantization, str) else quantization
    return {part: (fixed[part],) if part in fixed else forms for part, forms in choice.items()}
