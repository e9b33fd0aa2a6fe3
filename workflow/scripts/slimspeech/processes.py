"""What processes that start others need."""

import ctypes
import socket

PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def end_with_parent(signal: int) -> None:
    """Have Linux send this process a signal when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)


def free_port(host: str) -> int:
    """A port of this machine that nothing listens on now; host: an address of it, "" for all."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
