"""What a process does when the one that started it ends."""

import ctypes

PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def end_with_parent(signal: int) -> None:
    """Have Linux send this process a signal when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
