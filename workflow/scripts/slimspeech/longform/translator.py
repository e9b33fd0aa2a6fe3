"""Translates speech of any length: detects, cuts and translates while it reads the audio."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from bitsandbytes.functional import has_avx512bf16
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.data.audio import SAMPLING_RATE, read_blocks
from slimspeech.errors import InputError
from slimspeech.generation.embeddings import Clip
from slimspeech.generation.translation import GenerationSettings, translate_clips
from slimspeech.longform.segmentation import Segment, SegmentationSettings, segment
from slimspeech.longform.subtitles import Utterance
from slimspeech.models.collation import window_seconds
from slimspeech.models.loading import device, load_for_inference, load_processor
from slimspeech.release.deployment import Deployment, read_deployment

logger = logging.getLogger(__name__)

# Seconds of speech translated together. More make a GPU no faster and delay the first result; a CPU
# gains little from large batches.
BATCH_SECONDS_CPU, BATCH_SECONDS_GPU = 60, 600
SMALL = 10**8  # bytes; the speed of a smaller model does not depend on its weights


@dataclass(eq=False)
class Translator:
    """A loaded model that translates one pair. Call it from one thread at a time."""

    deployment: Deployment
    pair: str
    model: PreTrainedModel
    processor: ProcessorMixin
    settings: GenerationSettings

    @classmethod
    def load(
        cls,
        directory: str | Path,
        target: str | None = None,
        source: str | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | str = "auto",
    ) -> "Translator":
        """The model of a directory (see deployment.read_deployment).

        target, source: language codes or English names; by default those of the model. device:
        "auto", "cpu", "cuda" or "cuda:1". precision: "fp32", "bf16", or "auto": bf16 where the
        device computes it itself. batch_size: segments decoded together,
        or "auto": as many as memory holds. Raises InputError for a directory without a model, for
        languages that the model does not translate, and for a device that does not exist.
        """
        deployment = read_deployment(directory)
        pair = deployment.pair_for(target, source)
        hardware = find_device(device)
        model = load_for_inference(deployment.directory, precision, hardware)
        settings = GenerationSettings(batch_size, deployment.max_new_tokens, precision)
        logger.info("%s: %s on %s in %s", deployment.directory, pair, hardware, model.dtype)
        if is_slow_in_4_bit(model):
            logger.warning(
                "4-bit weights are much slower than bfloat16 on this CPU, which has no "
                "AVX512-BF16; faster is the student's export/bf16, here or in vLLM with --engine "
                "(docs/publish.md)"
            )
        processor = load_processor(deployment.directory, model.config)
        return cls(deployment, pair, model, processor, settings)

    @property
    def window(self) -> float:
        """Length of the model's input window in seconds."""
        return window_seconds(self.processor)

    @property
    def on_gpu(self) -> bool:
        return self.model.device.type == "cuda"

    def segments(
        self,
        path: str | Path,
        segmentation: SegmentationSettings = SegmentationSettings(),  # noqa: B008 (frozen)
        name: str | None = None,
    ) -> Iterator[Segment]:
        """The segments of an audio file, none longer than the model's window, while it is read.

        Raises InputError as audio.read_blocks, when it reaches the damaged part.
        """
        longest = min(segmentation.max_seconds, self.window)
        blocks = read_blocks(path, SAMPLING_RATE, name)
        return segment(blocks, replace(segmentation, max_seconds=longest))

    def translate_segments(self, segments: Sequence[Segment]) -> Iterable[Utterance]:
        """The translations, in the order of the segments. Each must fit the model's window."""
        clips = [Clip(number, self.pair, part.audio) for number, part in enumerate(segments)]
        texts = translate_clips(
            self.model, self.processor, clips, self.deployment.prompt, self.settings, progress=None
        )
        return [
            Utterance(part.start, part.end, text)
            for part, text in zip(segments, texts, strict=True)
        ]

    def translate(
        self,
        path: str | Path,
        segmentation: SegmentationSettings = SegmentationSettings(),  # noqa: B008 (frozen)
        name: str | None = None,
        batch_seconds: float | None = None,
    ) -> Iterator[Utterance]:
        """The translation of an audio file, in order, while it is read, in constant memory.

        name: of the file in messages, by default its path. batch_seconds: as in batches(). Raises
        InputError as audio.read_blocks.
        """
        for batch in self.batches(self.segments(path, segmentation, name), batch_seconds):
            yield from self.translate_segments(batch)

    def batches(
        self, segments: Iterable[Segment], batch_seconds: float | None = None
    ) -> Iterator[list[Segment]]:
        """Groups of segments to translate together: about `batch_seconds` of speech, by default a
        minute, or ten on a GPU."""
        if batch_seconds is None:
            batch_seconds = BATCH_SECONDS_GPU if self.on_gpu else BATCH_SECONDS_CPU
        batch: list[Segment] = []
        seconds = 0.0
        for part in segments:
            batch.append(part)
            seconds += part.end - part.start
            if seconds >= batch_seconds:
                yield batch
                batch, seconds = [], 0.0
        if batch:
            yield batch


def is_slow_in_4_bit(model: PreTrainedModel) -> bool:
    """Whether a model has 4-bit weights that count, on a CPU for which bitsandbytes has no kernel.

    Measured on a layer 4096 wide: benchmarks/README.md.
    """
    is_packed = hasattr(model.config, "quantization_config")
    counts = model.get_memory_footprint() > SMALL
    return is_packed and counts and model.device.type == "cpu" and not has_avx512bf16()


def find_device(name: str) -> torch.device:
    """The device of "auto", "cpu", "cuda" or "cuda:1". Raises InputError if it does not exist."""
    if name == "auto":
        return device()
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"device {name!r}: not supported; give auto, cpu or cuda")
    hardware = torch.device(name)
    if hardware.type == "cuda" and (hardware.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {name!r}: torch finds {torch.cuda.device_count()} GPUs, numbered from 0; give "
            "auto, cpu or one of them"
        )
    return hardware
