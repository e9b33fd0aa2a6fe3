"""Speech of any length to text: detection, segments and a model, as the audio is read."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.data.audio import SAMPLING_RATE, read_blocks
from slimspeech.errors import InputError
from slimspeech.generation.embeddings import Clip
from slimspeech.generation.translation import GenerationSettings, translate_clips
from slimspeech.longform.segmentation import Segment, SegmentationSettings, segment
from slimspeech.models.collation import window_seconds
from slimspeech.models.qwen2audio import device, load_for_inference, load_processor
from slimspeech.release.deployment import Deployment, read_deployment

logger = logging.getLogger(__name__)

# Seconds of speech that are translated at a time. More make a GPU no faster, and what waits for
# them is not shown; a CPU gains little from a batch.
HELD_CPU, HELD_GPU = 60, 600


@dataclass(frozen=True)
class Utterance:
    """What was said from second `start` to `end` of the talk, translated; may be empty."""

    start: float
    end: float
    text: str


class Translator:
    """A loaded model that translates one pair. Not to be called from two threads at once."""

    def __init__(
        self,
        deployment: Deployment,
        pair: str,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        settings: GenerationSettings,
    ):
        self.deployment = deployment
        self.pair = pair
        self.model = model
        self.processor = processor
        self.settings = settings

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

        target, source: language codes or English names; by default what the model was made for.
        device: "auto", "cpu", "cuda" or "cuda:1". precision: "fp32", "bf16", or "auto": bf16 on a
        GPU; a 4-bit model computes in bf16 always. batch_size: segments decoded at once, or
        "auto", what memory holds. Raises InputError for a directory without a model, for another
        language than the model's, and for a device that is not there.
        """
        deployment = read_deployment(directory)
        pair = deployment.pair_for(target, source)
        place = find_device(device)
        if precision == "auto":
            precision = "bf16" if place.type == "cuda" else "fp32"
        model = load_for_inference(deployment.directory, precision, place)
        settings = GenerationSettings(batch_size, deployment.max_new_tokens, precision)
        logger.info("%s: %s on %s in %s", deployment.directory, pair, place, model.dtype)
        return cls(deployment, pair, model, load_processor(deployment.directory), settings)

    @property
    def window(self) -> float:
        """Seconds that the model hears at once."""
        return window_seconds(self.processor)

    def segments(
        self,
        path: str | Path,
        segmentation: SegmentationSettings = SegmentationSettings(),  # noqa: B008 (frozen)
        name: str | None = None,
    ) -> Iterator[Segment]:
        """The segments of an audio file, none longer than the model's window, as it is read.

        Raises InputError as audio.read_blocks, when it has come to what is wrong.
        """
        longest = min(segmentation.max_seconds, self.window)
        blocks = read_blocks(path, SAMPLING_RATE, name)
        return segment(blocks, replace(segmentation, max_seconds=longest))

    def translate_segments(self, segments: Sequence[Segment]) -> list[Utterance]:
        """All of them in one go, in their order. Each has to fit the model's window."""
        clips = [Clip(number, self.pair, heard.audio) for number, heard in enumerate(segments)]
        texts = translate_clips(
            self.model, self.processor, clips, self.deployment.prompt, self.settings, progress=None
        )
        return [
            Utterance(heard.start, heard.end, text)
            for heard, text in zip(segments, texts, strict=True)
        ]

    def translate(
        self,
        path: str | Path,
        segmentation: SegmentationSettings = SegmentationSettings(),  # noqa: B008 (frozen)
        name: str | None = None,
        at_a_time: float | None = None,
    ) -> Iterator[Utterance]:
        """The translation of an audio file, in order, as it is read: memory does not grow with it.

        name stands in messages for the path; at_a_time: as in batches(). Raises InputError as
        audio.read_blocks.
        """
        for batch in self.batches(self.segments(path, segmentation, name), at_a_time):
            yield from self.translate_segments(batch)

    def batches(
        self, segments: Iterable[Segment], at_a_time: float | None = None
    ) -> Iterator[list[Segment]]:
        """As many segments as are translated at a time: about `at_a_time` seconds of speech, by
        default a minute, or ten on a GPU."""
        limit = at_a_time
        if limit is None:
            limit = HELD_GPU if self.model.device.type == "cuda" else HELD_CPU
        batch: list[Segment] = []
        held = 0.0
        for heard in segments:
            batch.append(heard)
            held += heard.end - heard.start
            if held >= limit:
                yield batch
                batch, held = [], 0.0
        if batch:
            yield batch


def find_device(name: str) -> torch.device:
    """Of "auto", "cpu", "cuda" or "cuda:1". Raises InputError if it is not there."""
    if name == "auto":
        return device()
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r}: unknown; give auto, cpu or cuda") from error
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r}: not supported; give auto, cpu or cuda")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: torch finds no GPU here; give cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {name!r}: there are {torch.cuda.device_count()} GPUs, counted from 0"
        )
    return place
