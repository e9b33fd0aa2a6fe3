"""From a detector's probabilities to regions of speech, and from these to groups for segments.

All lengths and positions are in frames, of any length.
"""

from dataclasses import dataclass

import numpy as np

# Speech ends when the probability falls this far below the threshold at which it starts, as in
# Silero's own code.
HYSTERESIS = 0.15


@dataclass(frozen=True)
class Region:
    """Frames of speech without a pause to cut at, from start up to, not including, end."""

    start: int
    end: int


class Regions:
    """Finds regions of speech in probabilities, which come one frame at a time."""

    def __init__(self, threshold: float, min_silence: int, longest: int):
        self.threshold = threshold
        self.low = max(threshold - HYSTERESIS, 0.01)
        self.min_silence = max(1, min_silence)
        self.longest = longest
        self.start: int | None = None  # of the region that is open
        self._silence: int | None = None  # where its last pause began
        self._quietness: list[float] = []  # of its frames

    def push(self, probability: float, quietness: float, frame: int) -> list[Region]:
        """Add a frame; returns the region that it ends, if any."""
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
        """The region that is open at the end of the talk, if any; frame: the number of frames."""
        if self.start is None:
            return []
        return self._close(frame if self._silence is None else self._silence)

    def _close(self, end: int) -> list[Region]:
        start, self.start = self.start, None
        return [Region(start, end)] if end > start else []

    def _cut_quietest(self) -> Region:
        """Cut the open region, which is too long, at the quietest frame of its second half.

        The rest of it stays open.
        """
        half = max(1, len(self._quietness) // 2)
        late = np.array(self._quietness[half:])
        quietest = np.flatnonzero(late == late.max())  # in silence all frames are equal
        cut = half + int(quietest[len(quietest) // 2])
        region = Region(self.start, self.start + cut)
        self.start = region.end
        self._quietness = self._quietness[cut:]
        if self._silence is not None:
            self._silence = max(self._silence, region.end)
        return region


class Groups:
    """Joins regions to groups of limited length.

    Each group comes with the first frame of the speech after it, or None at the end of the talk.
    A group that the next region would make too long is cut at the longest pause in its second half.
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
        """Add a region; returns the groups that it finishes."""
        groups: list[tuple[list[Region], int | None]] = []
        while self._waiting:
            if region.start - self._waiting[-1].end > self.max_pause:
                cut = len(self._waiting)
            elif region.end - self._waiting[0].start <= self.longest:
                break
            else:
                cut = self._longest_pause(region)
            group, self._waiting = self._waiting[:cut], self._waiting[cut:]
            groups.append((group, (self._waiting or [region])[0].start))
        self._waiting.append(region)
        return groups

    def wait(self, frame: int) -> list[tuple[list[Region], int | None]]:
        """The group that is finished because no speech followed up to this frame, if any."""
        if not self._waiting or frame - self._waiting[-1].end <= self.max_pause:
            return []
        group, self._waiting = self._waiting, []
        return [(group, frame)]

    def finish(self) -> list[tuple[list[Region], int | None]]:
        group, self._waiting = self._waiting, []
        return [(group, None)] if group else []

    def _longest_pause(self, region: Region) -> int:
        """The number of waiting regions before the cut."""
        regions = [*self._waiting, region]
        start = self._waiting[0].start
        late = [n for n in range(1, len(regions)) if regions[n - 1].end - start >= self.longest / 2]
        cuts = late or [len(self._waiting)]
        return max(cuts, key=lambda n: (regions[n].start - regions[n - 1].end, n))
