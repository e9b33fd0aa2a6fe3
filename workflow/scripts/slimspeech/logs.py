"""One log file a rule, with no secret in it."""

import logging
import os
import re
import sys
from types import TracebackType

from slimspeech.errors import InputError

# Names of variables of the environment that hold secrets, such as HF_TOKEN and WANDB_API_KEY.
SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY)$")
SHORTEST = 8  # characters; a shorter value may be a word of any text
PASSWORD = re.compile(r"://[^/@\s]+@")


def hide_secrets(text: str) -> str:
    """The text without values of secret variables, and without user and password in addresses."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET.search(name.upper()):
            text = text.replace(value, f"({name})")
    return PASSWORD.sub("://", text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


def log_to(path: str) -> None:
    """Send log records, warnings and the last error to the rule's log file and to stderr.

    An InputError is the user's to mend, so it ends as one line instead of a traceback.
    """
    handlers = [logging.FileHandler(path, mode="w", encoding="utf-8"), logging.StreamHandler()]
    for handler in handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_error


def _log_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, InputError):
        logging.critical("%s", error)
    else:
        logging.critical("failed", exc_info=(kind, error, trace))
