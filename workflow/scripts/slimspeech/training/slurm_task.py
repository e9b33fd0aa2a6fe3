"""Runs a module as one of the processes that SLURM starts: `FOLDER MODULE ARGUMENT…`.

Number, count and GPU come from SLURM. torch's `record` writes an error to FOLDER/NUMBER.json.
Knows no torch, as slimspeech.gpu does not and for the same reason.
"""

import os
import runpy
import sys
from collections.abc import MutableMapping
from pathlib import Path

from slimspeech.gpu import VISIBLE


def take_part(environment: MutableMapping[str, str], folder: str) -> None:
    """Give torch's processes their variables. Of the node's GPUs the process sees its own."""
    number = environment["SLURM_PROCID"]
    environment["RANK"], environment["WORLD_SIZE"] = number, environment["SLURM_NTASKS"]
    environment["TORCHELASTIC_ERROR_FILE"] = str(Path(folder, f"{number}.json"))
    gpus = list(filter(None, environment.get(VISIBLE, "").split(",")))
    if gpus:
        environment[VISIBLE] = gpus[int(environment["SLURM_LOCALID"]) % len(gpus)]


if __name__ == "__main__":
    take_part(os.environ, sys.argv[1])
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
