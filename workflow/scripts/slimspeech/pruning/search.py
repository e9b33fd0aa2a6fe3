"""One iteration of the layer search: what each removal costs, by the criterion of the config."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score, search_metric
from slimspeech.generation.embeddings import Clip, encode_clips, read_clips
from slimspeech.generation.translation import GenerationSettings, translate_variants
from slimspeech.languages import target_code
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.criteria import (
    GoldCorpus,
    angular_distances,
    block_influence,
    removal_divergences,
    removal_losses,
)
from slimspeech.pruning.layers import (
    audio_encoder,
    keep_encoder_layers,
    keep_layers,
    without_encoder_layer,
)
from slimspeech.pruning.racing import race
from slimspeech.pruning.selection import drop_least_important
from slimspeech.pruning.stack import removable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchSettings:
    """How an iteration measures what each removal costs.

    criterion: "chrf" translates without each layer in turn and scores by `metric` (paper, section
    3); the others are measured in forward passes, "kl" on the teacher's own translations, "loss",
    "block_influence" and "angular" on the references.
    metric: for "chrf"; "auto" is chrF++, or chrF where words are not marked by spaces.
    block: layers of a block, for "angular", which looks at the teacher's whole stack.
    protect_first, protect_last: layers at the ends of the decoder that are never removed.
    racing: for "chrf", whether candidates that cannot win any more are dropped on the way.
    """

    criterion: str
    protect_first: int
    protect_last: int
    metric: str | None = None
    block: int | None = None
    racing: bool | None = None


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

    segments: `target` is the reference, and for "kl" the teacher's translation.
    clips: the segments' audio, as samples or embeddings. Returns score rows (layer, metric,
    score) and, where the criterion translates, hypothesis rows (layer, id, hypothesis).
    Raises InputError if there are no segments, or not all of one pair.
    """
    metric = metric_of(segments, settings.metric)
    if not candidates:  # more shards than layers
        return [], []
    if settings.criterion != "chrf":
        size = 16 if generation.batch_size == "auto" else min(16, generation.batch_size)
        corpus = GoldCorpus(model, processor, segments, prompt, size)
        if settings.criterion == "loss":
            costs = removal_losses(corpus, kept, candidates)
        elif settings.criterion == "kl":
            costs = removal_divergences(corpus, kept, candidates)
        elif settings.criterion == "block_influence":
            costs = block_influence(corpus, kept, candidates)
        else:  # angular looks at the whole stack, whatever was removed and is a candidate
            whole = range(len(model.get_decoder().layers))
            last = families.of(model.config).may_be_last(model.config.text_config)
            ends = (settings.protect_first, settings.protect_last)
            all_removable = removable(whole, *ends, last)
            costs = angular_distances(corpus, all_removable, settings.block)
        name = settings.criterion
        return [{"layer": i, "metric": name, "score": costs[i]} for i in candidates], []

    def translate(layers: Sequence[int], indices: Collection[int]) -> list[list[str]]:
        own = [clip for clip in clips if clip.row in indices]
        return translate_variants(
            model, processor, own, prompt, generation, kept, layers, "without each layer"
        )

    if settings.racing:
        return _raced(race(candidates, segments, metric, translate), segments, metric)
    return _scored(candidates, translate(candidates, range(len(segments))), segments, metric)


def score_unpruned(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    segments: Sequence[Row],
    clips: Sequence[Clip],
    prompt: Prompt,
    generation: GenerationSettings,
    metric: str,
) -> tuple[Row, list[Row]]:
    """Score the whole model on the clips that every removal is scored on.

    clips: as in score_removals(). Returns metric and score, and hypothesis rows (id, hypothesis).
    Raises InputError if there are no segments, or not all of one pair.
    """
    metric = metric_of(segments, metric)
    whole = range(len(model.get_decoder().layers))
    [texts] = translate_variants(
        model, processor, clips, prompt, generation, whole, [None], "with every layer"
    )
    value = score_texts(texts, segments, metric)
    hypotheses = [
        {"id": segment["id"], "hypothesis": text}
        for segment, text in zip(segments, texts, strict=True)
    ]
    return {"metric": metric, "score": value}, hypotheses


def score_encoder_removals(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    candidates: Sequence[int],
    segments: Sequence[Row],
    prompt: Prompt,
    generation: GenerationSettings,
    metric: str,
) -> tuple[list[Row], list[Row]]:
    """score_removals() for layers of the audio encoder, by translating.

    The candidates share the weights only: each has audio embeddings of its own.
    """
    metric = metric_of(segments, metric)
    clips = read_clips(segments, processor)
    decoder = range(len(model.get_decoder().layers))
    translated = []
    for layer in candidates:
        with without_encoder_layer(model, layer):
            embeddings = encode_clips(model, processor, clips)
        name = f"without encoder layer {layer}"
        translated += translate_variants(
            model, processor, embeddings, prompt, generation, decoder, [None], name
        )
    return _scored(candidates, translated, segments, metric)


def prune(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    part: str,
    count: int,
    segments: Sequence[Row],
    prompt: Prompt,
    generation: GenerationSettings,
    settings: SearchSettings,
) -> tuple[Row, list[Row]]:
    """Remove `count` layers of the model's "decoder" or "encoder", greedily, in place.

    Returns the last layers.json, with the layer numbers of the model as given, and the score rows
    of all iterations (iteration, layer, metric, score). The encoder is scored by translating, the
    decoder by the settings' criterion.
    """
    in_decoder = part == "decoder"
    stack = model.get_decoder().layers if in_decoder else audio_encoder(model).layers
    layers: Row = {"kept": list(range(len(stack))), "removed": []}
    last = families.of(model.config).may_be_last(model.config.text_config) if in_decoder else None
    if last is not None:
        layers["may_be_last"] = last
    clips = []
    if in_decoder and settings.criterion == "chrf":
        clips = encode_clips(model, processor, read_clips(segments, processor))
    score_rows = []
    for iteration in range(1, count + 1):
        kept = layers["kept"]
        remaining = removable(kept, settings.protect_first, settings.protect_last, last)
        if in_decoder:
            scores, hypotheses = score_removals(
                model, processor, kept, remaining, segments, clips, prompt, generation, settings
            )
        else:
            # The encoder was pruned in the last iteration, so its layers have new numbers.
            indices = [kept.index(layer) for layer in remaining]
            scores, hypotheses = score_encoder_removals(
                model, processor, indices, segments, prompt, generation, settings.metric
            )
            for row in [*scores, *hypotheses]:
                row["layer"] = kept[row["layer"]]
        layers = drop_least_important(layers, scores, remaining, hypotheses, segments)
        if not in_decoder:
            keep_encoder_layers(model, [kept.index(layer) for layer in layers["kept"]])
        score_rows += [{"iteration": iteration, **row} for row in scores]
    if in_decoder:
        keep_layers(model, layers["kept"])
    return layers, score_rows


def metric_of(segments: Sequence[Row], metric: str | None) -> str | None:
    """The metric that "auto" stands for. Raises InputError if the segments are not of one pair."""
    pairs = {segment["pair"] for segment in segments}
    if len(pairs) != 1:
        raise InputError(
            f"the search has {len(segments)} segments of pairs {sorted(pairs)}; it needs "
            "segments of one pair: check data.split (validation_talks, validation_size) and "
            "pruning.split"
        )
    return search_metric(target_code(pairs.pop())) if metric == "auto" else metric


def score_texts(texts: Sequence[str], segments: Sequence[Row], metric: str) -> float:
    """The score of one translation a segment."""
    references = [segment["target"] for segment in segments]
    language = target_code(segments[0]["pair"])
    return score(texts, references, language, [metric])[metric]["score"]


def _raced(
    texts: Mapping[int, Mapping[int, str]], segments: Sequence[Row], metric: str
) -> tuple[list[Row], list[Row]]:
    """_scored() of each candidate on the segments that it translated; `segments`: how many."""
    scores, hypotheses = [], []
    for layer, own in texts.items():
        translated = [segments[i] for i in sorted(own)]
        rows = _scored([layer], [[own[i] for i in sorted(own)]], translated, metric)
        scores += [row | {"segments": len(own)} for row in rows[0]]
        hypotheses += rows[1]
    return scores, hypotheses


def _scored(
    candidates: Sequence[int],
    translated: Sequence[list[str]],
    segments: Sequence[Row],
    metric: str,
) -> tuple[list[Row], list[Row]]:
    """Score rows and hypothesis rows of the candidates' translations."""
    scores, hypotheses = [], []
    for layer, texts in zip(candidates, translated, strict=True):
        value = score_texts(texts, segments, metric)
        scores.append({"layer": layer, "metric": metric, "score": value})
        hypotheses += [
            {"layer": layer, "id": segment["id"], "hypothesis": text}
            for segment, text in zip(segments, texts, strict=True)
        ]
        logger.info("without layer %d: %s %.2f", layer, metric, value)
    return scores, hypotheses
