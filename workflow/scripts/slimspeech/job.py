"""How the script of a rule starts: its log, its threads, its GPU.

Knows no torch: threads and GPU are variables of the environment that libraries read when they are
imported, so a script starts before it imports them.
"""

import os
from typing import Any

from slimspeech.gpu import VISIBLE, take_some
from slimspeech.logs import log_to


def start(snakemake: Any) -> None:
    """Start the script of a rule, from the object that Snakemake gives it."""
    gpus = int(snakemake.resources.get("gpu") or 0)
    if gpus:
        # Batches of changing lengths leave holes in blocks of memory that cannot grow.
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    start_job(snakemake.log[0], threads=snakemake.threads, gpus=gpus)


def start_job(log: str, *, threads: int = 1, gpus: int = 0) -> None:
    """Send all output to a log file, and let libraries use so many threads and GPUs.

    A job that asks for no GPU sees none: it would take memory of one that another job fills.
    """
    log_to(log)
    # By MKL_DYNAMIC, MKL uses no fewer threads than asked for: with fewer it sums in another order.
    os.environ.update(
        OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), MKL_DYNAMIC="FALSE"
    )
    # A bar in a log file is read later, not watched.
    os.environ.setdefault("TQDM_MININTERVAL", "5")
    if gpus:
        take_some(os.environ, gpus)
    else:
        os.environ[VISIBLE] = ""
