"""One iteration of the layer search against the published loop, on the same clips.

The engine is measured on the whole iteration. The loop is timed on a few clips and candidates, and
its total is calculated. Random weights end no translation, so every hypothesis runs to the cap.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest import mock

import harness
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from gpu_checks.lines import Lines
from gpu_checks.subject import Subject
from slimspeech import families
from slimspeech.data.audio import read_audio
from slimspeech.evaluation.cost import peak_memory, reset_peak_memory
from slimspeech.generation.embeddings import Clip, encode_clips
from slimspeech.generation.translation import GenerationSettings, translate_variants
from slimspeech.pruning.layers import keep_layers

TOKENS = 48
WEIGHTS, WITH_COPY = 0.7, 0.85  # shares of the memory: for the weights, and with a copy of them
PUBLISHED_CANDIDATES, PUBLISHED_CLIPS = 212, 100  # 30 + 29 + … + 23: eight layers of 32


@dataclass(frozen=True)
class Sizes:
    clips: int
    candidates: int | None
    timed_clips: int
    timed_candidates: int


FULL = Sizes(100, None, 5, 2)
QUICK = Sizes(24, None, 2, 1)
TINY = Sizes(3, None, 2, 2)


def check(subject: Subject, lines: Lines) -> None:
    sizes = TINY if subject.tiny else QUICK if subject.quick else FULL
    width = subject.dtype.itemsize
    layers = subject.fitting_layers(lambda n: width * subject.weights(n), WEIGHTS)
    model = subject.make(layers, subject.dtype)
    rows = subject.clips(sizes.clips)
    audio = [read_audio(row["audio"]) for row in rows]
    clips = [Clip(number, subject.pair, samples) for number, samples in enumerate(audio)]
    missing = harness.removable(model, sizes.candidates)
    timed_layers = harness.removable(model, min(sizes.timed_candidates, len(missing)))
    few = clips[: sizes.timed_clips]

    copies = 2 * width * subject.weights(layers) <= WITH_COPY * subject.memory
    loop = time_published_loop(subject, model, few, timed_layers, copies)
    text = f"a clip {loop.clip:.3f} s, a deep copy "
    text += f"{loop.copy:.3f} s" if copies else "does not fit, and is counted as 0 s"
    lines.measured("published loop", text + subject.of_all(layers))

    families.of(model.config).prepare(model)
    engine = Engine(subject, model)
    with lines.attempt("engine"):
        measure_engine(engine, clips, missing, loop, lines)
        ours = [text for texts in engine.search(few, timed_layers) for text in texts]
        verdict = harness.differing(ours, loop.hypotheses)
        rounding = " (by rounding, in bf16)" if subject.has_gpu and verdict != "identical" else ""
        good = verdict == "identical" or subject.has_gpu
        lines.expect(good, "hypotheses of both", f"{len(ours)}: {verdict}{rounding}")


class Engine:
    """The project's search, one iteration at a time."""

    def __init__(self, subject: Subject, model: PreTrainedModel):
        self.subject = subject
        self.model = model

    def search(self, clips: Sequence[Clip], missing: Sequence[int]) -> list[list[str]]:
        settings = GenerationSettings("auto", TOKENS, self.subject.precision)
        processor, kept = self.subject.base.processor, range(len(self.model.get_decoder().layers))
        heard = encode_clips(self.model, processor, clips)
        return translate_variants(
            *(self.model, processor, heard, self.subject.prompt, settings, kept, missing), None
        )


def measure_engine(
    engine: Engine, clips: Sequence[Clip], missing: Sequence[int], loop: "Loop", lines: Lines
) -> None:
    with Work(engine.model) as work:  # also the warm-up
        engine.search(clips, missing)
    reset_peak_memory()
    _, seconds = harness.timed(lambda: engine.search(clips, missing))
    count = len(clips) * len(missing)
    expected = len(missing) * loop.copy + count * loop.clip
    layers = len(engine.model.get_decoder().layers)
    lines.measured(
        "engine",
        f"{seconds:.1f} s for {len(missing)} candidates and {len(clips)} clips, "
        f"{count / seconds:.1f} hypotheses of {TOKENS} tokens a second; the loop {expected:.0f} s, "
        f"{expected / seconds:.1f} times as long",
        seconds=seconds,
        ratio=expected / seconds,
        hypotheses_per_second=count / seconds,
        layers=layers,
        peak_bytes=peak_memory(),
    )
    lines.measured("peak memory of the engine", f"{peak_memory() / 1e9:.1f} GB")
    whole = PUBLISHED_CANDIDATES * PUBLISHED_CLIPS * seconds / count
    published = PUBLISHED_CANDIDATES * (loop.copy + PUBLISHED_CLIPS * loop.clip)
    lines.measured(
        "the published search of 8 of 32 layers, extrapolated",
        f"{whole / 3600:.2f} h, the loop {published / 3600:.1f} h",
    )
    bandwidth, product = peaks(engine.subject)
    lines.measured(
        "use of the card by the engine, at least",
        f"{100 * work.bytes / seconds / bandwidth:.0f} % of the {bandwidth / 1e12:.2f} TB/s of a "
        f"copy, {100 * work.operations / seconds / product:.0f} % of the {product / 1e12:.1f} T "
        "operations a second of a matrix product",
    )


@dataclass(frozen=True)
class Loop:
    """Median seconds of a deep copy and of a clip, and the hypotheses, candidate by candidate."""

    copy: float
    clip: float
    hypotheses: list[str]


def time_published_loop(
    subject: Subject,
    model: PreTrainedModel,
    clips: Sequence[Clip],
    candidates: Sequence[int],
    copies: bool,
) -> Loop:
    """copies: whether each candidate is a deep copy; otherwise it shares the model's weights."""

    def translate(pruned: PreTrainedModel, clip: Clip) -> str:
        processor, prompt = subject.base.processor, subject.prompt
        return harness.generate(pruned, processor, clip.audio, subject.pair, prompt, TOKENS)

    translate(model, clips[0])
    layers = range(len(model.get_decoder().layers))
    seconds_of_copies, seconds_of_clips, hypotheses = [], [], []
    for layer in candidates:
        kept = [number for number in layers if number != layer]
        pruned, seconds = harness.timed(lambda kept=kept: without(model, kept, copies))
        seconds_of_copies.append(seconds if copies else 0.0)
        for clip in clips:
            text, seconds = harness.timed(lambda p=pruned, clip=clip: translate(p, clip))
            hypotheses.append(text)
            seconds_of_clips.append(seconds)
        del pruned
    return Loop(median(seconds_of_copies), median(seconds_of_clips), hypotheses)


def without(model: PreTrainedModel, kept: Sequence[int], copies: bool) -> PreTrainedModel:
    """A model of the kept layers, that copies the weights or shares them."""
    tensors = [] if copies else [*model.parameters(), *model.buffers()]
    pruned = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    keep_layers(pruned, kept)
    return pruned


class Work:
    """Counts bytes and operations of a model's linear layers and of attention.

    Bytes: the weights at every call, and the keys and values that attention reads. Operations: two
    for each weight and token, and two for each number of a key or a value that a query meets. Both
    are lower bounds, because all else is left out.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.bytes = self.operations = 0

    def __enter__(self) -> "Work":
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
        self.hooks = [m.register_forward_pre_hook(self._linear) for m in linear]
        name = "scaled_dot_product_attention"
        self.attention = mock.patch.object(F, name, self._counted(getattr(F, name)))
        self.attention.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.attention.stop()
        for hook in self.hooks:
            hook.remove()

    def _linear(self, module: nn.Linear, inputs: tuple) -> None:
        weight = module.weight
        self.bytes += weight.numel() * weight.element_size()
        self.operations += 2 * weight.numel() * (inputs[0].numel() // weight.shape[1])

    def _counted(self, attention: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def counted(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
            self.bytes += key.numel() * key.element_size() + value.numel() * value.element_size()
            self.operations += 4 * query.numel() * key.shape[2]
            return attention(query, key, value, **options)

        return counted


def peaks(subject: Subject) -> tuple[float, float]:
    """The device's bytes per second in a copy and operations per second in a matrix product."""
    size, side = (2**20, 256) if subject.tiny else (2**30, 8192)
    source = torch.empty(size, dtype=torch.uint8, device=subject.device)
    target = torch.empty_like(source)
    matrix = torch.randn(side, side, dtype=subject.dtype, device=subject.device)

    def best(work: Callable[[], Any]) -> float:
        return min(harness.timed(work)[1] for _ in range(10))

    return 2 * size / best(lambda: target.copy_(source)), 2 * side**3 / best(
        lambda: matrix @ matrix
    )
