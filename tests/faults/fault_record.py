"""What the fault suite counts; `make faults` prints it as a table."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def counted(kind: str, injected: int = 1) -> Iterator[None]:
    """Faults that survived if what follows ends well, and are lost if not; also a decorator.

    Counts go to the file that the environment variable FAULTS_RECORD names, if it does.
    """
    _record(kind, injected, 0)
    yield
    _record(kind, 0, injected)


def _record(kind: str, injected: int, survived: int) -> None:
    if path := os.environ.get("FAULTS_RECORD"):
        row = {"kind": kind, "injected": injected, "survived": survived}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
