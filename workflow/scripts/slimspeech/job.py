"""How the script of a rule starts: its log, its threads, its GPU.

Knows no torch: threads and GPU are variables of the environment that libraries read when they are
imported, so a script starts before it imports them.
"""

import os
from typing import Any

from slimspeech.gpu import VISIBLE, take_one
from slimspeech.logs import log_to


def start(snakemake: Any) -> None:
    """Start the script of a rule, from the object that Snakemake gives it."""
    gpu = bool(snakemake.resources.get("gpu"))
    if gpu:
        # Batches of changing lengths leave holes in blocks of memory that cannot grow.
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    start_job(snakemake.log[0], threads=snakemake.threads, gpu=gpu)


def start_job(log: str, *, threads: int = 1, gpu: bool = False) -> None:
    """Send all output to a log file, and let libraries use so many threads and at most one GPU.

    A job that asks for no GPU sees none: it would take memory of one that another job fills.
    """
    log_to(log)
    # By MKL_DYNAMIC, MKL uses no fewer threads than asked for: with fewer it sums in another order.
    os.environ.update(
        OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), MKL_DYNAMIC="FALSE"
    )
    # A bar in a log file is read later, not watched.
    os.environ.setdefault("TQDM_MININTERVAL", "5")
    if gpu:
        take_one(os.environ)
    else:
        os.environ[VISIBLE] = ""
