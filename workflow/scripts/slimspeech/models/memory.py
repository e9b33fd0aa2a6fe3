"""What is left of a try that ran out of memory."""

import gc

import torch


def free_memory() -> None:
    """Give back what a failed try held.

    Call it outside of the handler: its error still holds the frames of the try, and their tensors.
    """
    gc.collect()
    torch.cuda.empty_cache()
