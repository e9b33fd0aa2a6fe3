"""From arguments to an exit code; an error is one line."""

import argparse
import codecs
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from slimspeech import __version__
from slimspeech.cli.console import console
from slimspeech.errors import InputError

COMMANDS = ("translate", "info", "compare", "serve", "push")
SUCCESS, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = """exit codes:
  0    success
  1    some files failed; the others were processed
  2    wrong options or an unusable model; nothing was processed
  130  interrupted (ctrl-C)"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slimspeech",
        description="Translate speech with compressed models; describe, compare, serve and publish "
        "them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slimspeech {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"slimspeech.cli.{name}").add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default with the process's arguments; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = build_parser().parse_args([_hyphenated(word) for word in words])
    except SystemExit as stop:  # --help, --version and errors of argparse
        return stop.code or SUCCESS
    _write_any_text()
    try:
        with console(getattr(parsed, "quiet", False), getattr(parsed, "verbose", False)):
            return parsed.run(parsed)
    except InputError as error:
        print(f"slimspeech: error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("slimspeech: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # for example `| head`; Python would report it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a full disk, a folder that may not be written
        if error.errno is None:
            raise
        name = f"{error.filename}: " if error.filename else ""
        print(f"slimspeech: error: {name}{error.strerror}", file=sys.stderr)
        return FAILED


def _write_any_text() -> None:
    """Let stdout take text in any language, and names that are no text.

    A file or a pipe gets UTF-8. A terminal that cannot show a character, or an encoding that the
    user asks for by PYTHONIOENCODING, gets a question mark in its place, and a warning.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    encoding = sys.stdout.encoding
    if codecs.lookup(encoding).name == "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")
    elif sys.stdout.isatty() or os.environ.get("PYTHONIOENCODING"):
        sys.stdout.reconfigure(errors="replace")
        print(
            f"slimspeech: warning: the output is in {encoding}; characters that it lacks become ?; "
            "set PYTHONIOENCODING=utf-8, or write to a file",
            file=sys.stderr,
        )
    else:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _hyphenated(argument: str) -> str:
    """--output-dir for --output_dir, whisper's spelling."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
