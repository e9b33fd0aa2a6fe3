"""The GPU memory that a training needs, estimated from the shape of the model before it is loaded.

Weights, gradients and optimiser states are counted; activations are rough. No GPU has confirmed the
estimate yet (`make check-gpu` measures it), so it warns and refuses nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.families.family import Family
from slimspeech.models.loading import read_config
from slimspeech.models.shapes import skeleton
from slimspeech.training.settings import LoraSettings, TrainingSettings

log = logging.getLogger(__name__)

PROMPT_TOKENS = 40
# NF4 with double quantisation: 4 bits, 8 for the scale of each 64 weights, 32 for each 256 scales.
NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256)
# AdamW's two states in 8 bits, each with an fp32 scale for every 256 weights.
EIGHT_BIT_STATES = 2 * (1 + 4 / 256)
# The paper's adapter (section 4), for the hint that a qlora stage may fit.
PAPER_LORA = LoraSettings(r=64, alpha=128, dropout=0, rslora=True, target_modules="all-linear")


@dataclass(frozen=True)
class ModelShape:
    """The counts that memory depends on.

    weights: all; linear: those of the layers that QLoRA holds in 4 bits; edges: the sum of inputs
    and outputs of these layers, which a rank multiplies to the weights of an adapter.
    """

    weights: int
    linear: int
    edges: int
    hidden: int
    intermediate: int
    layers: int
    vocabulary: int
    audio_hidden: int
    audio_intermediate: int
    audio_layers: int
    family: Family

    @classmethod
    def of(cls, model: PreTrainedModel) -> "ModelShape":
        """Of a model, which may be on the meta device."""
        head = model.get_output_embeddings()
        linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
        text, family = model.config.text_config, families.of(model.config)
        audio_hidden, audio_intermediate, audio_layers = family.audio_shape(model.config)
        return cls(
            weights=sum(weight.numel() for weight in model.parameters()),
            linear=sum(layer.weight.numel() for layer in linear),
            edges=sum(layer.in_features + layer.out_features for layer in linear),
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            layers=text.num_hidden_layers,
            vocabulary=text.vocab_size,
            audio_hidden=audio_hidden,
            audio_intermediate=audio_intermediate,
            audio_layers=audio_layers,
            family=family,
        )

    @classmethod
    def read(cls, directory: str | Path) -> "ModelShape":
        """Of a model directory, by its config.json; no weight is read."""
        return cls.of(skeleton(read_config(directory)))


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on the GPU.

    activations: what a micro-batch keeps for the backward pass, with the bf16 copies of fp32
    weights that autocast keeps meanwhile.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    accumulates: bool = False

    @property
    def total(self) -> int:
        """The peak. Gradients replace activations, unless an earlier batch has left gradients."""
        working = (self.gradients, self.activations)
        return self.weights + self.optimizer + (sum if self.accumulates else max)(working)


def estimate_training(
    shape: ModelShape,
    training: TrainingSettings,
    lora: LoraSettings | None,
    *,
    seconds: float,
    answer_tokens: int = 60,
) -> TrainingMemory:
    """Memory of a training of all weights, or of an adapter on 4-bit weights if `lora` is given, on
    each of its GPUs.

    seconds: length of each clip of the micro-batch, the longest for a peak. The adapter is assumed
    to be on every linear layer.
    """
    whole = training.compute_precision == "fp32"
    stochastic = training.precision == "bf16_stochastic"
    if lora is None:
        trained, own = shape.weights, 2 if stochastic else 4
        weights = own * shape.weights
        # Of autocast; the weights of checkpointed layers are copied again in the backward pass.
        copies = 0 if whole or stochastic else 2 * shape.weights
    else:
        trained = lora.r * shape.edges
        weights = NF4_BYTES * shape.linear + 4 * (shape.weights - shape.linear + trained)
        copies = 0 if whole else 2 * (shape.vocabulary * shape.hidden + trained)
    clip = _clip_activations(
        shape,
        4 if whole else 2,
        seconds,
        answer_tokens,
        checkpointing=training.gradient_checkpointing,
        adapters=lora is not None,
    )
    shares = training.gpus if training.shard else 1
    return TrainingMemory(
        weights=round(weights / shares),
        gradients=round(trained * (2 if lora is None and stochastic else 4) / shares),
        optimizer=round(trained * (EIGHT_BIT_STATES if stochastic else 8) / shares),
        activations=round(copies + training.batch_size * clip),
        accumulates=training.gradient_accumulation > 1,
    )


def _clip_activations(
    shape: ModelShape,
    width: int,
    seconds: float,
    answer_tokens: int,
    *,
    checkpointing: bool,
    adapters: bool,
) -> float:
    """Bytes that one clip keeps for the backward pass; width: bytes of a number.

    A decoder layer keeps the inputs of its products (2 hidden for q, k, v and gate, up), q, k, v
    and the attention's result twice, three inputs of its gated unit and one of the last product,
    and its two norms keep theirs in fp32. An encoder layer is alike. An adapter keeps its own copy
    of the input of every product. A checkpointed layer keeps its input, and one layer at a time
    the rest. Of the logits, those of the answer are kept three times over.
    """
    family, padded = shape.family, shape.family.padded_seconds(seconds)
    tokens = PROMPT_TOKENS + answer_tokens + family.tokens_per_second * padded
    states = family.states_per_second * padded
    h, i = shape.hidden, shape.intermediate
    layer = tokens * (width * (9 * h + 4 * i) + 8 * h)
    d, f = shape.audio_hidden, shape.audio_intermediate
    audio_layer = states * (width * (9 * d + 2 * f) + 8 * d)
    if adapters:
        layer += tokens * width * (6 * h + i)
        audio_layer += states * width * (5 * d + f)
    if checkpointing:
        kept = shape.layers * tokens * 4 * h + shape.audio_layers * states * 4 * d
        layers = kept + max(layer, audio_layer)
    else:
        layers = shape.layers * layer + shape.audio_layers * audio_layer
    return layers + answer_tokens * shape.vocabulary * (width + 8)


def warn_about_memory(
    model: str | Path,
    rows: Sequence[Row],
    training: TrainingSettings,
    lora: LoraSettings | None = None,
    *,
    available: int | None = None,
) -> None:
    """Log the estimate of a training, as a warning with advice if the GPU has less memory.

    available: bytes; by default those of the GPU present, and without a GPU nothing is estimated.
    """
    if available is None:
        if not torch.cuda.is_available():
            return
        available = torch.cuda.get_device_properties(0).total_memory
    shape = ModelShape.read(model)
    seconds = max((row["duration"] for row in rows), default=0.0)

    def peak(settings: TrainingSettings, lora: LoraSettings | None) -> int:
        return estimate_training(shape, settings, lora, seconds=seconds).total

    method = "full" if lora is None else "qlora"
    expected = peak(training, lora)
    if expected <= available:
        log.info("%s training is estimated at %.0f GB of GPU memory", method, expected / 1e9)
        return
    lowest = peak(replace(training, batch_size=1, gradient_accumulation=1), lora)
    if lowest <= available:
        log.warning(
            "%s training with %d clips at once may need %.0f GB and the GPU has %.0f GB; if that "
            "runs out, fewer clips are computed at once and the updates stay the same",
            *(method, training.batch_size, expected / 1e9, available / 1e9),
        )
        return
    peaks = {name: peak(*settings) for name, settings in _alternatives(training, lora).items()}
    fitting = [f"{name} ({peak / 1e9:.0f} GB)" for name, peak in peaks.items() if peak <= available]
    log.warning(
        "%s: %s training with precision: %s is estimated at %.0f GB of GPU memory even with one "
        "clip of %.0f s at a time, and the GPU has %.0f GB; %s. No GPU has confirmed the estimate, "
        "so the training starts all the same",
        *(model, method, training.compute_precision, lowest / 1e9, seconds, available / 1e9),
        f"what should fit: {'; '.join(fitting)}" if fitting else "no settings fit this GPU",
    )


def _alternatives(
    training: TrainingSettings, lora: LoraSettings | None
) -> dict[str, tuple[TrainingSettings, LoraSettings | None]]:
    """Other settings for the config, one clip at a time; those nearest to `training` first."""
    clips = training.batch_size * training.gradient_accumulation
    saving = replace(
        training, batch_size=1, gradient_accumulation=clips, gradient_checkpointing=True
    )
    checkpointed = "with gradient_checkpointing: true and batch_size: 1"
    if lora is not None:
        return {
            f"this {checkpointed}": (saving, lora),
            f"lora.r: 16 {checkpointed}": (saving, replace(lora, r=min(16, lora.r))),
        }
    stochastic = replace(saving, precision="bf16_stochastic")
    return {
        f"this {checkpointed}": (saving, None),
        f"precision: bf16_stochastic {checkpointed}": (stochastic, None),
        f"a qlora stage {checkpointed}": (replace(saving, precision="bf16"), PAPER_LORA),
    }
