"""One log file a rule, with no secret in its records, and the error that a log ends with."""

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
# The line of a log that _log_error writes.
ERROR = re.compile(r"^\S+ \S+ CRITICAL \S+: (.*)$")


def hide_secrets(text: str) -> str:
    """The text without values of secret variables, and without user and password in addresses."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET.search(name.upper()):
            text = text.replace(value, f"({name})")
    return PASSWORD.sub("://", text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


class _LogFile(logging.StreamHandler):
    """Writes records to stderr, where that is a file; each begins a line, also after a bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.flush()
        descriptor = self.stream.fileno()
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            self.stream.write("\n")
        super().emit(record)


def log_to(path: str) -> None:
    """Send all that this process and its children print to the rule's log file, records as well."""
    log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, descriptor)
    os.close(log)
    start_records()


def start_records(level: int = logging.INFO) -> None:
    """Records of this level and above, of warnings too, to stderr, which is the log file.

    An InputError is the user's to fix, so it ends as one line instead of a traceback.
    """
    sys.stdout.reconfigure(line_buffering=True)
    handler = _LogFile()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_error


def _log_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, InputError):
        logging.critical("%s", error)
    else:
        logging.critical("failed", exc_info=(kind, error, trace))


def last_error(log: str) -> str | None:
    """The error that the text of a log ends with; None if its job wrote none, or was killed."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [match[1] for line in lines if (match := ERROR.match(line))]
    if not errors:
        return None
    # After "failed" a traceback follows, which ends with the error itself.
    return lines[-1].strip() if errors[-1] == "failed" else errors[-1]
