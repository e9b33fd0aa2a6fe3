"""The most memory that this process held since a point in time."""

import logging
import resource
import sys
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"  # what Linux takes to forget the peak of resident memory (proc(5))


class PeakMemory:
    """On a GPU what torch allocated there (its context and cached blocks not counted); else the
    resident memory of the whole process, Python and its libraries included.

    Where the system cannot forget a peak (not Linux), `read` gives that of the process's whole
    life.
    """

    def __init__(self) -> None:
        self.kind = "gpu" if torch.cuda.is_available() else "rss"
        self.reset()

    def reset(self) -> None:
        if self.kind == "gpu":
            torch.cuda.reset_peak_memory_stats()
            return
        try:
            CLEAR_REFS.write_text(RESET_PEAK)
        except OSError:
            logger.warning("peak memory cannot be reset here: it is that of the whole process")

    def read(self) -> int:
        """Bytes, since the last reset."""
        if self.kind == "gpu":
            return torch.cuda.max_memory_allocated()
        try:
            [kilobytes] = [
                line.split()[1]
                for line in STATUS.read_text().splitlines()
                if line.startswith("VmHWM:")
            ]
        except (OSError, ValueError):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else 1024 * peak
        return 1024 * int(kilobytes)
