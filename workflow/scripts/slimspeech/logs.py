"""One log file a rule."""

import logging
import sys
from types import TracebackType

from slimspeech.errors import InputError


def log_to(path: str) -> None:
    """Send log records, warnings and the last error to the rule's log file and to stderr.

    An InputError is the user's to mend, so it ends as one line instead of a traceback.
    """
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(path, mode="w", encoding="utf-8"), logging.StreamHandler()],
        force=True,
    )
    logging.captureWarnings(True)
    sys.excepthook = _log_error


def _log_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, InputError):
        logging.critical("%s", error)
    else:
        logging.critical("failed", exc_info=(kind, error, trace))
