"""bitsandbytes, without torch's compiler.

bitsandbytes has torch compile functions that nothing here calls. That imports the compiler, which
took a fifth of the CPU time that a job needs to start. Import this module before any other that
imports bitsandbytes.
"""

from collections.abc import Callable
from typing import Any

import torch


def _leave(function: Callable | None = None, **_: Any) -> Callable:
    """In place of torch.compile: the function as it is."""
    return function or _leave


_compile, torch.compile = torch.compile, _leave
try:
    # The alias exports the name, without a page of bitsandbytes' own documentation.
    from bitsandbytes.nn import Linear4bit as Linear4bit
finally:
    torch.compile = _compile
