"""What a command says on stderr while it runs, and nothing of it once it has ended."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

# Remarks of libraries, such as of a kernel that is not there, mean nothing to who translates.
LIBRARIES = ("torch", "torchao", "transformers", "bitsandbytes", "accelerate", "huggingface_hub")


class _Handler(logging.Handler):
    """To stderr as it is at the time, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(f"slimspeech: {level}{self.format(record)}", file=sys.stderr)


@contextlib.contextmanager
def console(quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Show our warnings, with `verbose` what is done too, with `quiet` errors alone.

    All is as it was before when the block ends.
    """
    ours, handler = logging.getLogger("slimspeech"), _Handler()
    level, propagated = ours.level, ours.propagate
    ours.addHandler(handler)
    ours.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
        ours.propagate = propagated


@contextlib.contextmanager
def quiet_libraries(verbose: bool = False) -> Iterator[None]:
    """Import and call torch and transformers in here without their remarks and bars."""
    if verbose:
        yield
        return
    import torch  # noqa: F401 (sets the levels of its loggers, so it goes first)

    loggers = [logging.getLogger(name) for name in LIBRARIES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transformers.utils import logging as bars

            shown = bars.is_progress_bar_enabled()
            bars.disable_progress_bar()
            try:
                yield
            finally:
                if shown:
                    bars.enable_progress_bar()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
