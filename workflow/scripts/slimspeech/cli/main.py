"""From arguments to an exit code, with errors a line each."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from slimspeech import __version__
from slimspeech.cli.console import console
from slimspeech.errors import InputError

COMMANDS = ("translate", "info", "compare", "serve", "push")
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = """exit codes:
  0    all is done
  1    some file failed; the others were done
  2    wrong options, or a model that cannot be used; nothing was done
  130  interrupted (ctrl-C)"""


def build_parser() -> argparse.ArgumentParser:
    """With a subcommand for each module of COMMANDS that is there."""
    parser = argparse.ArgumentParser(
        prog="slimspeech",
        description="Translate speech with a compressed model, look at it, compare it.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slimspeech {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = f"slimspeech.cli.{name}"
        if find_spec(module):
            import_module(module).add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; of the process by default."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parsed = build_parser().parse_args([_hyphenated(argument) for argument in given])
    except SystemExit as stop:  # --help and --version, and what argparse finds wrong
        return stop.code or DONE
    try:
        with console(getattr(parsed, "quiet", False), getattr(parsed, "verbose", False)):
            return parsed.run(parsed)
    except InputError as error:
        print(f"slimspeech: error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("slimspeech: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # such as by `| head`; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _hyphenated(argument: str) -> str:
    """--output_dir, as whisper spells it, as --output-dir."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
