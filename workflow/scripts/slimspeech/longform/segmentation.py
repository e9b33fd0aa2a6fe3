"""Cut a talk of any length into segments that a model can hear at once, as its samples come in.

Silero's voice activity detector says where speech is. What it calls speech is cut at pauses, the
longest first, and joined to segments up to a given length, as is usual in speech translation
(SHAS, arXiv 2202.04774, in its streaming form). What is held of the talk is two segments at most.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from slimspeech.data.audio import SAMPLING_RATE
from slimspeech.errors import InputError
from slimspeech.longform.vad_regions import Groups, Region, Regions

FRAME = 512  # samples; what the detector takes at a time, 32 ms
FRAME_SECONDS = FRAME / SAMPLING_RATE

Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SegmentationSettings:
    """Lengths in seconds. Threshold, min_silence, min_speech and pad are Silero's own defaults.

    max_seconds: the longest segment. threshold: how sure the detector must be, 0 to 1. min_silence:
    the shortest pause to cut at. max_pause: a longer one always cuts. min_speech: a segment with
    less is noise. pad: silence kept around a segment, at most half the pause. detect: False for no
    detection: then all is speech, and cut where it is quietest.
    """

    max_seconds: float = 18.0
    threshold: float = 0.5
    min_silence: float = 0.1
    max_pause: float = 2.0
    min_speech: float = 0.25
    pad: float = 0.03
    detect: bool = True

    def __post_init__(self):
        if not 0 < self.threshold < 1:
            raise InputError(f"the VAD threshold is between 0 and 1, not {self.threshold:g}")
        for name in ("min_silence", "max_pause", "min_speech", "pad"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is a length in seconds, not {getattr(self, name):g}")
        if self.max_seconds < 1:
            raise InputError(f"segments of {self.max_seconds:g} s are too short; give 1 or more")


@dataclass(frozen=True)
class Segment:
    """Seconds from the start of the talk, and 16 kHz mono float32 samples, shape (samples,)."""

    start: float
    end: float
    audio: np.ndarray = field(repr=False)


class SileroDetector:
    """Probabilities of speech, frame by frame; it remembers what it has heard."""

    def __init__(self) -> None:
        import torch

        # On import silero_vad sets torch to one thread, for everything else in the process too.
        threads = torch.get_num_threads()
        from silero_vad import load_silero_vad

        torch.set_num_threads(threads)
        self._model = load_silero_vad()

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """(n, FRAME) samples that follow those of the last call: (n,) probabilities."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a frame is so little work that more threads make it slower
        try:
            with torch.inference_mode():
                found = [
                    self._model(frame, SAMPLING_RATE).item() for frame in torch.from_numpy(frames)
                ]
        finally:
            torch.set_num_threads(threads)
        return np.array(found, dtype=np.float32)


def segment(
    blocks: Iterable[np.ndarray],
    settings: SegmentationSettings,
    detector: Detector | None = None,
) -> Iterator[Segment]:
    """The segments of a talk given as blocks of 16 kHz mono samples, in order, never overlapping.

    detector: Silero's if not given, a new one for each talk. Audio without speech has none.
    """
    if settings.detect and detector is None:
        detector = SileroDetector()
    segmenter = _Segmenter(settings, detector)
    for block in blocks:
        yield from segmenter.feed(block)
    yield from segmenter.finish()


class _Segmenter:
    """Holds samples from the first that may still become part of a segment."""

    def __init__(self, settings: SegmentationSettings, detector: Detector | None):
        self.settings = settings
        self.detector = detector if settings.detect else None
        self.pad = round(settings.pad * SAMPLING_RATE) if settings.detect else 0
        # Both ends of a segment may be padded.
        longest = (int(settings.max_seconds * SAMPLING_RATE) - 2 * self.pad) // FRAME
        self.regions = Regions(
            threshold=settings.threshold,
            min_silence=_frames(settings.min_silence),
            longest=max(1, longest),
        )
        self.groups = Groups(longest=max(1, longest), max_pause=_frames(settings.max_pause))
        self.held = np.empty(0, dtype=np.float32)
        self.offset = 0  # where in the talk the held samples begin
        self.frame = 0  # the first frame that the detector has not heard
        self.last_end = 0  # sample after the last segment, unpadded

    def feed(self, block: np.ndarray) -> Iterator[Segment]:
        self.held = np.concatenate([self.held, block])
        count = (self.offset + len(self.held)) // FRAME - self.frame
        if count:
            yield from self._hear(self._samples(self.frame * FRAME, (self.frame + count) * FRAME))
        self._forget()

    def finish(self) -> Iterator[Segment]:
        total = self.offset + len(self.held)
        rest = self._samples(self.frame * FRAME, total)
        if len(rest):
            yield from self._hear(np.pad(rest, (0, FRAME - len(rest))))
        closed = self.regions.finish(self.frame)
        groups = [group for region in closed for group in self.groups.push(region)]
        for group, following in [*groups, *self.groups.finish()]:
            yield from self._cut(group, following)

    def _hear(self, samples: np.ndarray) -> Iterator[Segment]:
        frames = samples.reshape(-1, FRAME)
        if self.detector is None:
            sure = np.ones(len(frames), dtype=np.float32)
            quiet = -np.square(frames).mean(axis=1)
        else:
            sure = self.detector(frames)
            quiet = -sure
        for probability, quietness in zip(sure.tolist(), quiet.tolist(), strict=True):
            groups: list[tuple[list[Region], int | None]] = []
            for region in self.regions.push(probability, quietness, self.frame):
                groups += self.groups.push(region)
            self.frame += 1
            if self.regions.start is None:
                groups += self.groups.wait(self.frame)
            for group, following in groups:
                yield from self._cut(group, following)

    def _cut(self, group: Sequence[Region], following: int | None) -> Iterator[Segment]:
        """A group's segment, padded; following: the first frame of the speech after it, if any."""
        end_of_talk = self.offset + len(self.held)
        first, last = group[0].start * FRAME, min(group[-1].end * FRAME, end_of_talk)
        before, self.last_end = first - self.last_end, last
        speech = FRAME_SECONDS * sum(region.end - region.start for region in group)
        if self.detector is not None and speech < self.settings.min_speech:
            return
        after = end_of_talk - last if following is None else (following * FRAME - last) // 2
        # What lies before belongs half to the segment before, if there is one.
        first -= min(self.pad, before if before == first else before // 2)
        last += min(self.pad, after)
        samples = self._samples(first, last).copy()
        yield Segment(first / SAMPLING_RATE, last / SAMPLING_RATE, samples)

    def _samples(self, first: int, last: int) -> np.ndarray:
        return self.held[first - self.offset : last - self.offset]

    def _forget(self) -> None:
        """Let go of what no segment will need."""
        starts = [self.groups.start, self.regions.start, self.frame]
        needed = min(start for start in starts if start is not None) * FRAME
        keep = max(self.offset, needed - self.pad)
        self.held = self.held[keep - self.offset :].copy()
        self.offset = keep


def _frames(seconds: float) -> int:
    return round(seconds / FRAME_SECONDS)
