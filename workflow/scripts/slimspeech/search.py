"""One iteration of the layer search: what each removal costs, by the criterion of the config."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.embeddings import Clip
from slimspeech.errors import InputError
from slimspeech.generation import GenerationSettings, translate_variants
from slimspeech.influence import angular_distances, block_influence, removal_losses
from slimspeech.languages import target_code
from slimspeech.metrics import score, search_metric
from slimspeech.prompts import Prompt
from slimspeech.selection import removable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchSettings:
    """How an iteration measures what each removal costs.

    criterion: "chrf" translates without each layer in turn and scores by `metric` (paper, section
    3); "loss", "block_influence" and "angular" are measured in forward passes on the references.
    metric: "auto" is chrF++, or chrF where words are not marked by spaces.
    block: layers of a block, for "angular", which looks at the teacher's whole stack.
    protect_first, protect_last: layers at the ends of the decoder that never go.
    """

    criterion: str = "chrf"
    metric: str = "auto"
    block: int = 1
    protect_first: int = 1
    protect_last: int = 1


def score_removals(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    kept: Sequence[int],
    candidates: Sequence[int],
    segments: Sequence[Row],
    clips: Sequence[Clip],
    prompt: Prompt,
    generation: GenerationSettings,
    settings: SearchSettings,
) -> tuple[list[Row], list[Row]]:
    """Measure the stack of `kept` layers without each candidate in turn.

    clips: the segments' audio, as samples or embeddings. Returns score rows (layer, metric,
    score) and, where the criterion translates, hypothesis rows (layer, id, hypothesis).
    Raises InputError if there are no segments, or not all of one pair.
    """
    pairs = {segment["pair"] for segment in segments}
    if len(pairs) != 1:
        raise InputError(
            f"the search has {len(segments)} segments of pairs {sorted(pairs)}; it needs some, of "
            "one pair: check data.split (validation_talks, validation_size) and pruning.split"
        )
    if not candidates:  # more shards than layers
        return [], []
    if settings.criterion != "chrf":
        given = (model, processor, segments, prompt)
        size = 16 if generation.batch_size == "auto" else min(16, generation.batch_size)
        if settings.criterion == "loss":
            found = removal_losses(*given, kept, candidates, size)
        elif settings.criterion == "block_influence":
            found = block_influence(*given, kept, candidates, size)
        else:  # angular: whatever is gone already, and whatever else is a candidate
            whole = range(len(model.get_decoder().layers))
            all_removable = removable(whole, settings.protect_first, settings.protect_last)
            found = angular_distances(*given, all_removable, settings.block, size)
        metric = settings.criterion
        return [{"layer": i, "metric": metric, "score": found[i]} for i in candidates], []
    language = target_code(pairs.pop())
    metric = search_metric(language) if settings.metric == "auto" else settings.metric
    references = [segment["target"] for segment in segments]
    translated = translate_variants(
        model, processor, clips, prompt, generation, kept, candidates, "without each layer"
    )
    scores, hypotheses = [], []
    for layer, texts in zip(candidates, translated, strict=True):
        value = score(texts, references, language, [metric])[metric]["score"]
        scores.append({"layer": layer, "metric": metric, "score": value})
        hypotheses += [
            {"layer": layer, "id": segment["id"], "hypothesis": text}
            for segment, text in zip(segments, texts, strict=True)
        ]
        logger.info("without layer %d: %s %.2f", layer, metric, value)
    return scores, hypotheses
