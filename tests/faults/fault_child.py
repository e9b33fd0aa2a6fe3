"""Work on hostile input in a process of its own, with a limit on memory and on time."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from slimspeech.errors import InputError

MEMORY, SECONDS = 2 * 2**30, 30
REFUSED, GIVEN, LOST = 0, 1, 2


def run_alone(work: Callable[[], object], told: Path) -> int:
    """In a child with limits; what it says goes to a file. Any end but its own two is LOST."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = LOST
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + _taken(), MEMORY + _taken()))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        work()
        status = GIVEN
    except InputError as error:
        told.write_text(str(error), encoding="utf-8", errors="replace")
        status = REFUSED
    except BaseException:
        told.write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
    finally:
        os._exit(status)


def _taken() -> int:
    """Bytes of address space that this process has already."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
