"""Which of a machine's GPUs a job uses: the first ones that no other job of this user has taken.

Knows no torch: CUDA reads CUDA_VISIBLE_DEVICES when something first looks for a GPU, and importing
some libraries is enough for that. `python gpu.py` prints how many GPUs there are, at least 1.
"""

import fcntl
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_UUID = re.compile(r"UUID: ((?:GPU|MIG)-[\w/-]+)")
_held: list[int] = []  # descriptors of lock files: closed, and so unlocked, when the process ends


def installed() -> list[str]:
    """UUIDs of the GPUs that the driver lists; of one that is cut up (MIG), those of its parts."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    cards: list[list[str]] = []
    for uuid in _UUID.findall(done.stdout):
        if uuid.startswith("MIG") and cards:
            cards[-1] = [part for part in cards[-1] if part.startswith("MIG")] + [uuid]
        else:
            cards.append([uuid])
    return [uuid for card in cards for uuid in card]


def visible(listed: list[str], chosen: str | None) -> dict[str, str]:
    """The GPUs that a process may use, by UUID, and how CUDA_VISIBLE_DEVICES names each.

    chosen: what that variable says, such as "1,0" or "GPU-8f2b…"; None where it is not set.
    """
    if chosen is None:
        return {uuid: uuid for uuid in listed}
    found = {}
    for name in filter(None, map(str.strip, chosen.split(","))):
        if name.startswith("-"):  # CUDA reads no further
            break
        known = name.isdigit() and int(name) < len(listed)
        found[listed[int(name)] if known else name] = name
    return found


def take(names: dict[str, str], folder: Path) -> str | None:
    """Take a GPU until the process ends, and return its name; None where there is none.

    folder: where jobs tell each other what they have taken, by locks. Where all are taken the job
    shares one that the fewest have: how many jobs run at once is not decided here.
    """
    if not names:
        return None
    folder.mkdir(mode=0o700, exist_ok=True)
    for place in itertools.count():
        for uuid, name in names.items():
            lock = folder / f"{uuid.replace('/', '_')}.{place}"
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                _held.append(descriptor)
                return name
    raise AssertionError("unreachable")


def take_some(environment: MutableMapping[str, str], count: int = 1) -> None:
    """Have CUDA see so many GPUs alone: of all, or of those that the environment allows.

    Where there are fewer, it sees all. Nothing changes where there is no GPU, or where no lock can
    be set.
    """
    names = visible(installed(), environment.get(VISIBLE))
    folder = Path(tempfile.gettempdir(), f"slimspeech-gpus-{os.getuid()}")
    taken: list[str] = []
    try:
        for _ in range(count):
            others = {uuid: name for uuid, name in names.items() if name not in taken}
            if (name := take(others, folder)) is not None:
                taken.append(name)
    except OSError:
        return
    if taken:
        environment[VISIBLE] = ",".join(taken)


if __name__ == "__main__":
    print(max(1, len(visible(installed(), os.environ.get(VISIBLE)))))
