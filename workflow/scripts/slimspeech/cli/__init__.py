"""The command line of slimspeech: translate with a model, describe, compare, serve or publish it.

Each subcommand is a module with add_parser(subparsers), which sets `run`: a function from the
parsed arguments to the exit code. Every --help imports these modules, so they import slow packages
(torch, transformers, a web framework) inside their functions.
"""

from slimspeech.cli.main import main

__all__ = ["main"]
