"""Cuts a talk of any length into segments that fit a model's input window, as samples arrive.

Silero's voice activity detector detects speech. Speech is cut at pauses, the longest first, and
joined to segments up to a maximum length, as is usual in speech translation (SHAS, arXiv
2202.04774, in its streaming form). At most two segments are in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from slimspeech.data.audio import SAMPLING_RATE
from slimspeech.errors import InputError
from slimspeech.longform.vad_regions import Groups, Region, Regions

FRAME = 512  # samples per call of the detector, 32 ms
FRAME_SECONDS = FRAME / SAMPLING_RATE
LONGEST_TALK = 10**7  # seconds; a length above it, such as infinity, is never reached

Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SegmentationSettings:
    """Lengths in seconds. threshold, min_silence, min_speech and pad are Silero's own defaults.

    max_seconds: the longest segment. threshold: the required probability of speech, 0 to 1.
    min_silence: the shortest pause to cut at. max_pause: a longer pause always cuts; with infinity
    none does. min_speech: a segment with less speech is noise. pad: silence kept before and after a
    segment, at most half the pause. detect: False for no detection: all audio counts as speech, cut
    where it is quietest.
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
            raise InputError(f"VAD threshold {self.threshold:g}: give a value between 0 and 1")
        for name in ("min_silence", "max_pause", "min_speech", "pad"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} {getattr(self, name):g}: give 0 seconds or more")
        if not self.max_seconds >= 1:
            raise InputError(f"max_seconds {self.max_seconds:g}: give segments of 1 s or more")
        if not 2 * self.pad < self.max_seconds:
            raise InputError(
                f"pad {self.pad:g}: a segment of {self.max_seconds:g} s has no room for speech "
                "between two such pads; give less than half of that"
            )


@dataclass(frozen=True)
class Segment:
    """Seconds from the start of the talk, and 16 kHz mono float32 samples, shape (samples,)."""

    start: float
    end: float
    audio: np.ndarray = field(repr=False)


class SileroDetector:
    """Probabilities of speech, frame by frame; it has a state, so each talk needs a new one."""

    def __init__(self) -> None:
        import torch

        # silero_vad sets torch to one thread when it is imported, for the whole process.
        threads = torch.get_num_threads()
        from silero_vad import load_silero_vad

        torch.set_num_threads(threads)
        self._model = load_silero_vad()

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """(n, FRAME) samples, which follow those of the last call, to (n,) probabilities."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more threads are slower on so short a frame
        try:
            with torch.inference_mode():
                probabilities = [
                    self._model(frame, SAMPLING_RATE).item() for frame in torch.from_numpy(frames)
                ]
        finally:
            torch.set_num_threads(threads)
        return np.array(probabilities, dtype=np.float32)


def segment(
    blocks: Iterable[np.ndarray],
    settings: SegmentationSettings,
    detector: Detector | None = None,
) -> Iterator[Segment]:
    """The segments of a talk, in order and without overlap; none for audio without speech.

    blocks: 16 kHz mono samples, each of shape (samples,). detector: by default a new Silero
    detector.
    """
    if settings.detect and detector is None:
        detector = SileroDetector()
    segmenter = _Segmenter(settings, detector)
    for block in blocks:
        yield from segmenter.feed(block)
    yield from segmenter.finish()


class _Segmenter:
    """Keeps the samples that may still become part of a segment."""

    def __init__(self, settings: SegmentationSettings, detector: Detector | None):
        self.settings = settings
        self.detector = detector if settings.detect else None
        self.pad = round(settings.pad * SAMPLING_RATE) if settings.detect else 0
        # A segment can be padded at both ends.
        longest = (
            int(min(settings.max_seconds, LONGEST_TALK) * SAMPLING_RATE) - 2 * self.pad
        ) // FRAME
        self.regions = Regions(
            threshold=settings.threshold,
            min_silence=_frames(settings.min_silence),
            longest=max(1, longest),
        )
        self.groups = Groups(longest=max(1, longest), max_pause=_frames(settings.max_pause))
        self.buffer = np.empty(0, dtype=np.float32)
        self.offset = 0  # position of the buffer in the talk, in samples
        self.frame = 0  # the first frame not yet given to the detector
        self.last_end = 0  # end of the last segment without padding, in samples

    def feed(self, block: np.ndarray) -> Iterator[Segment]:
        self.buffer = np.concatenate([self.buffer, block])
        count = (self.offset + len(self.buffer)) // FRAME - self.frame
        if count:
            yield from self._process(
                self._samples(self.frame * FRAME, (self.frame + count) * FRAME)
            )
        self._trim()

    def finish(self) -> Iterator[Segment]:
        total = self.offset + len(self.buffer)
        rest = self._samples(self.frame * FRAME, total)
        if len(rest):
            yield from self._process(np.pad(rest, (0, FRAME - len(rest))))
        closed = self.regions.finish(self.frame)
        groups = [group for region in closed for group in self.groups.push(region)]
        for group, following in [*groups, *self.groups.finish()]:
            yield from self._cut(group, following)

    def _process(self, samples: np.ndarray) -> Iterator[Segment]:
        frames = samples.reshape(-1, FRAME)
        if self.detector is None:
            speech = np.ones(len(frames), dtype=np.float32)
            quiet = -np.square(frames).mean(axis=1)
        else:
            speech = self.detector(frames)
            quiet = -speech
        for probability, quietness in zip(speech.tolist(), quiet.tolist(), strict=True):
            groups: list[tuple[list[Region], int | None]] = []
            for region in self.regions.push(probability, quietness, self.frame):
                groups += self.groups.push(region)
            self.frame += 1
            if self.regions.start is None:
                groups += self.groups.wait(self.frame)
            for group, following in groups:
                yield from self._cut(group, following)

    def _cut(self, group: Sequence[Region], following: int | None) -> Iterator[Segment]:
        """The padded segment of a group; following: the first frame of the next speech, if any."""
        end_of_talk = self.offset + len(self.buffer)
        first, last = group[0].start * FRAME, min(group[-1].end * FRAME, end_of_talk)
        before, self.last_end = first - self.last_end, last
        speech = FRAME_SECONDS * sum(region.end - region.start for region in group)
        if self.detector is not None and speech < self.settings.min_speech:
            return
        after = end_of_talk - last if following is None else (following * FRAME - last) // 2
        # Half of the pause before belongs to the previous segment, if there is one.
        first -= min(self.pad, before if before == first else before // 2)
        last += min(self.pad, after)
        samples = self._samples(first, last).copy()
        yield Segment(first / SAMPLING_RATE, last / SAMPLING_RATE, samples)

    def _samples(self, first: int, last: int) -> np.ndarray:
        return self.buffer[first - self.offset : last - self.offset]

    def _trim(self) -> None:
        """Drop the samples that no segment will need."""
        starts = [self.groups.start, self.regions.start, self.frame]
        needed = min(start for start in starts if start is not None) * FRAME
        keep = max(self.offset, needed - self.pad)
        self.buffer = self.buffer[keep - self.offset :].copy()
        self.offset = keep


def _frames(seconds: float) -> int:
    return round(min(seconds, LONGEST_TALK) / FRAME_SECONDS)
