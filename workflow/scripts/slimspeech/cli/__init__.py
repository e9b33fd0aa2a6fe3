"""The command line of slimspeech: translate with a model, look at it, show it, give it away.

A subcommand is a module with add_parser(subparsers), which sets `run`, a function from the parsed
arguments to the exit code. Such a module is imported for any --help, so at its top it imports
nothing slow (torch, transformers, a web framework): what does stands in its functions.
"""

from slimspeech.cli.main import main

__all__ = ["main"]
