"""What the fault suite counts; `make faults` prints it as a table."""

import json
import os


def record(kind: str, injected: int, survived: int) -> None:
    """Add to the file that the environment variable FAULTS_RECORD names, if it does."""
    if path := os.environ.get("FAULTS_RECORD"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(
                json.dumps({"kind": kind, "injected": injected, "survived": survived}) + "\n"
            )
