"""Depth pruning: drop decoder layers, and find those whose absence costs least.

Layers are numbered by their 0-based index in the teacher, everywhere.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.generation import GenerationSettings, translate_variants
from slimspeech.languages import target_code
from slimspeech.metrics import score, search_metric
from slimspeech.prompts import Prompt

logger = logging.getLogger(__name__)


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Reduce the decoder to these layers, in place, as if it had been built with them.

    Raises InputError when a layer is not there, or the list is empty, unordered or repeats one.
    """
    decoder = model.get_decoder()
    count = len(decoder.layers)
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < count:
        raise InputError(
            f"layers {list(kept)} do not fit a decoder of {count} layers: "
            f"give each once, ascending, from 0 to {count - 1}"
        )
    decoder.layers = nn.ModuleList(decoder.layers[i] for i in kept)
    for index, layer in enumerate(decoder.layers):
        layer.self_attn.layer_idx = index  # the key-value cache is indexed by it
    # layer_types is checked against the count on reload, so both change together
    decoder.config.layer_types = [decoder.config.layer_types[i] for i in kept]
    decoder.config.num_hidden_layers = len(kept)


@dataclass(frozen=True)
class SearchSettings:
    """How one iteration measures what each removal costs.

    metric: "auto" is chrF++, or chrF where words are not marked by spaces (paper, section 3).
    protect_first, protect_last: layers at the ends of the decoder that never go.
    """

    metric: str = "auto"
    protect_first: int = 1
    protect_last: int = 1


def candidates(kept: Sequence[int], settings: SearchSettings) -> list[int]:
    """The layers that may go. Protected ones never leave, so the ends of `kept` are theirs.

    Raises InputError if none is left.
    """
    removable = list(kept[settings.protect_first : len(kept) - settings.protect_last])
    if not removable:
        raise InputError(
            f"no layer can go: {len(kept)} are left and {settings.protect_first} + "
            f"{settings.protect_last} are protected; lower pruning.iterations"
        )
    return removable


def score_removals(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    kept: Sequence[int],
    segments: Sequence[Row],
    prompt: Prompt,
    generation: GenerationSettings,
    settings: SearchSettings,
) -> tuple[list[Row], list[Row]]:
    """Translate the segments without each removable layer in turn (paper, section 3).

    Returns score rows (layer, metric, score), and hypothesis rows (layer, id, hypothesis).
    Raises InputError if there are no segments, all of one pair, or no removable layer.
    """
    pairs = {segment["pair"] for segment in segments}
    if len(pairs) != 1:
        raise InputError(
            f"the search has {len(segments)} segments of pairs {sorted(pairs)}; it needs some, of "
            "one pair: check data.split (validation_talks, validation_size) and pruning.split"
        )
    language = target_code(pairs.pop())
    metric = search_metric(language) if settings.metric == "auto" else settings.metric
    references = [segment["target"] for segment in segments]
    removable = candidates(kept, settings)
    translated = translate_variants(
        model, processor, segments, prompt, generation, kept, removable, "without each layer"
    )
    scores, found = [], []
    for layer, hypotheses in zip(removable, translated, strict=True):
        value = score(hypotheses, references, language, [metric])[metric]["score"]
        scores.append({"layer": layer, "metric": metric, "score": value})
        found += [
            {"layer": layer, "id": segment["id"], "hypothesis": hypothesis}
            for segment, hypothesis in zip(segments, hypotheses, strict=True)
        ]
        logger.info("without layer %d: %s %.2f", layer, metric, value)
    return scores, found
