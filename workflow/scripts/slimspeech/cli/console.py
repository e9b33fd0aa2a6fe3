"""Messages on stderr while a command runs."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

# Messages of these libraries, for example about a missing kernel, do not help a user.
LIBRARIES = ("torch", "torchao", "transformers", "bitsandbytes", "accelerate", "huggingface_hub")


class _Handler(logging.Handler):
    """Writes to the current stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(f"slimspeech: {level}{self.format(record)}", file=sys.stderr)


@contextlib.contextmanager
def console(quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Show warnings; with `verbose` also information, with `quiet` only errors.

    The loggers are as before when the block ends.
    """
    logger, handler = logging.getLogger("slimspeech"), _Handler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextlib.contextmanager
def quiet_libraries(verbose: bool = False) -> Iterator[None]:
    """Import and call torch and transformers without their messages and progress bars."""
    if verbose:
        yield
        return
    import torch  # noqa: F401 (sets the levels of its loggers, so it is imported first)

    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transformers.utils import logging as bars

            enabled = bars.is_progress_bar_enabled()
            bars.disable_progress_bar()
            try:
                yield
            finally:
                if enabled:
                    bars.enable_progress_bar()
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
