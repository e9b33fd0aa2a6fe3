"""Run work on hostile input in a process of its own, with limits of memory and time."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from slimspeech.errors import InputError

MEMORY, SECONDS = 2 * 2**30, 30
REFUSED, DONE, LOST = 0, 1, 2


def run_alone(work: Callable[[], object], message: Path) -> int:
    """REFUSED after an InputError, DONE after no error; any other status is a loss.

    message: the file for the error.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = LOST
    try:
        resource.setrlimit(
            resource.RLIMIT_AS, (MEMORY + _address_space(), MEMORY + _address_space())
        )
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        work()
        status = DONE
    except InputError as error:
        message.write_text(str(error), encoding="utf-8", errors="replace")
        status = REFUSED
    except BaseException:
        message.write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
    finally:
        os._exit(status)


def _address_space() -> int:
    """Bytes of address space that this process has already."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
