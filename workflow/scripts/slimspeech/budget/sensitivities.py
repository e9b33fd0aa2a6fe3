"""How much a model loses when one part of it alone is made smaller."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.generation.embeddings import Clip, encode_clips, read_clips
from slimspeech.generation.translation import GenerationSettings, translate_variants
from slimspeech.models.collation import window_seconds
from slimspeech.models.prompts import Prompt
from slimspeech.pruning.criteria import GoldCorpus, stack_loss
from slimspeech.pruning.search import metric_of, score_texts
from slimspeech.quantization.nf4 import NAMED, rounded
from slimspeech.quantization.predicted_size import part_weights

logger = logging.getLogger(__name__)

HEARING = ("audio_tower", "projector")  # what decides the audio embeddings
BATCH = 16  # clips


@dataclass(frozen=True)
class Task:
    """A model, and what it is measured on: segments, their audio embeddings, and a metric."""

    model: PreTrainedModel
    processor: ProcessorMixin
    segments: Sequence[Row]
    prompt: Prompt
    generation: GenerationSettings
    metric: str

    def listen(self) -> list[Clip]:
        return encode_clips(self.model, self.processor, read_clips(self.segments, self.processor))

    def measure(self, clips: Sequence[Clip], kept: Sequence[int], name: str) -> Row:
        """`loss` on the references, in nats a token, and `score` of the translations."""
        batch = self.generation.batch_size
        size = BATCH if batch == "auto" else min(BATCH, batch)
        corpus = GoldCorpus(self.model, self.processor, self.segments, self.prompt, size)
        [texts] = translate_variants(
            self.model, self.processor, clips, self.prompt, self.generation, kept, [None], name
        )
        score = score_texts(texts, self.segments, self.metric)
        measured = {"loss": stack_loss(corpus, kept), "score": score}
        logger.info("%s: loss %.4f, %s %.2f", name, measured["loss"], self.metric, score)
        return measured


def measure_sensitivities(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    segments: Sequence[Row],
    removals: Mapping[str, Sequence[int]],
    prompt: Prompt,
    generation: GenerationSettings,
    metric: str,
) -> Row:
    """The content of sensitivities.json; docs/outputs.md lists its keys.

    Measured are the whole model; the model with each part, with the usual parts together, and with
    each decoder layer in NF4; and the model after each removal of layers, not trained again.
    removals: layers in the order of their removal, by criterion. metric: "auto" as in the search.
    Segments beyond the model's window are left out. Raises InputError if none is left.
    """
    window = window_seconds(processor)
    segments = [row for row in segments if row["duration"] <= window]
    metric = metric_of(segments, metric)
    task = Task(model, processor, segments, prompt, generation, metric)
    clips, stack = task.listen(), range(len(model.get_decoder().layers))
    weights, layer_of = part_weights(model.config), families.of(model.config).layer_of

    def rounding(names: Sequence[str], name: str, hears: bool = False) -> Row:
        with rounded(model, names):
            return task.measure(task.listen() if hears else clips, stack, f"{name} in NF4")

    usual = [
        name for part, names in weights.items() if NAMED["nf4"][part] == "nf4" for name in names
    ]
    return {
        "segments": len(segments),
        "metric": metric,
        "whole": task.measure(clips, stack, "whole"),
        "parts": {part: rounding(names, part, part in HEARING) for part, names in weights.items()},
        "together": rounding(usual, "usual parts", hears=True),
        "layers": [
            rounding([n for n in weights["decoder"] if layer_of(n) == layer], f"layer {layer}")
            for layer in stack
        ],
        "removed": {
            criterion: [
                task.measure(
                    clips,
                    [layer for layer in stack if layer not in layers[:count]],
                    f"{count} layers removed by {criterion}",
                )
                for count in range(1, len(layers) + 1)
            ]
            for criterion, layers in removals.items()
        },
    }
