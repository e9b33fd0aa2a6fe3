"""From a detector's probabilities to stretches of speech, and from these to segments.

All lengths and places are in frames, whatever a frame is.
"""

from dataclasses import dataclass

import numpy as np

# Speech goes on until the detector is this much less sure than where it began (Silero's own rule).
HYSTERESIS = 0.15


@dataclass(frozen=True)
class Region:
    """Frames of speech without a pause to cut at; the end is not in it."""

    start: int
    end: int


class Regions:
    """From probabilities to regions of speech, a frame at a time. Lengths are in frames."""

    def __init__(self, threshold: float, min_silence: int, longest: int):
        self.threshold = threshold
        self.low = max(threshold - HYSTERESIS, 0.01)
        self.min_silence = max(1, min_silence)
        self.longest = longest
        self.start: int | None = None  # of the region that is open
        self._silence: int | None = None  # where its last pause began
        self._quietness: list[float] = []  # of its frames

    def push(self, probability: float, quietness: float, frame: int) -> list[Region]:
        """The region that ends with this frame, if one does."""
        if self.start is None:
            if probability < self.threshold:
                return []
            self.start, self._silence, self._quietness = frame, None, []
        self._quietness.append(quietness)
        if probability >= self.threshold:
            self._silence = None
        elif probability < self.low and self._silence is None:
            self._silence = frame
        if self._silence is not None and frame + 1 - self._silence >= self.min_silence:
            return self._close(self._silence)
        if frame + 1 - self.start >= self.longest:
            return [self._cut_quietest()]
        return []

    def finish(self, frame: int) -> list[Region]:
        """What is open at the end."""
        if self.start is None:
            return []
        return self._close(frame if self._silence is None else self._silence)

    def _close(self, end: int) -> list[Region]:
        start, self.start = self.start, None
        return [Region(start, end)] if end > start else []

    def _cut_quietest(self) -> Region:
        """Cut the open region, which has grown too long, at the quietest frame of its later half;
        it goes on from there."""
        half = max(1, len(self._quietness) // 2)
        late = np.array(self._quietness[half:])
        quietest = np.flatnonzero(late == late.max())  # of silence all frames are alike
        place = half + int(quietest[len(quietest) // 2])
        region = Region(self.start, self.start + place)
        self.start = region.end
        self._quietness = self._quietness[place:]
        if self._silence is not None:
            self._silence = max(self._silence, region.end)
        return region


class Groups:
    """Joins regions to groups that are not too long, each with where the speech after it begins.

    A group that cannot take the next region is cut at the longest pause in its later half.
    """

    def __init__(self, longest: int, max_pause: int):
        self.longest = longest
        self.max_pause = max_pause
        self._waiting: list[Region] = []

    @property
    def start(self) -> int | None:
        """The first frame that is not in a finished group."""
        return self._waiting[0].start if self._waiting else None

    def push(self, region: Region) -> list[tuple[list[Region], int | None]]:
        """The groups that are finished by this region."""
        done: list[tuple[list[Region], int | None]] = []
        while self._waiting:
            if region.start - self._waiting[-1].end > self.max_pause:
                cut = len(self._waiting)
            elif region.end - self._waiting[0].start <= self.longest:
                break
            else:
                cut = self._longest_pause(region)
            group, self._waiting = self._waiting[:cut], self._waiting[cut:]
            done.append((group, (self._waiting or [region])[0].start))
        self._waiting.append(region)
        return done

    def wait(self, frame: int) -> list[tuple[list[Region], int | None]]:
        """The group that is finished because there was no speech up to this frame."""
        if not self._waiting or frame - self._waiting[-1].end <= self.max_pause:
            return []
        group, self._waiting = self._waiting, []
        return [(group, frame)]

    def finish(self) -> list[tuple[list[Region], int | None]]:
        group, self._waiting = self._waiting, []
        return [(group, None)] if group else []

    def _longest_pause(self, region: Region) -> int:
        """How many of the waiting regions go before the cut."""
        followed = [*self._waiting, region]
        start = self._waiting[0].start
        late = [
            number
            for number in range(1, len(followed))
            if followed[number - 1].end - start >= self.longest / 2
        ]
        places = late or [len(self._waiting)]
        return max(places, key=lambda n: (followed[n].start - followed[n - 1].end, n))
