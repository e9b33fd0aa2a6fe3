"""slimspeech push: a student to the Hugging Face Hub."""

import argparse
import os
import sys

from slimspeech.cli.options import add_console_options

DESCRIPTION = """\
Publish the release of a student on the Hugging Face Hub: its files, as one commit.
The directory is the folder `release` of a student. It is looked at first: every file has to be
as its hash says, and nothing else may lie there.
The token is read from the environment variable HF_TOKEN, and from nowhere else; --dry-run needs
none, and no network."""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "push",
        help="publish a student on the Hugging Face Hub",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory",
        metavar="DIR",
        help="a release, such as results/mini/en-de/students/B/release",
    )
    parser.add_argument(
        "--repo",
        "--repo-id",
        required=True,
        metavar="OWNER/NAME",
        help="where to; it is made if it is not there",
    )
    parser.add_argument(
        "--revision", default="main", metavar="BRANCH", help="made if not there (default: main)"
    )
    parser.add_argument(
        "--private", action="store_true", help="a new repository is seen by you alone"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would go, and send nothing"
    )
    add_console_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 if all is there, or nothing was to be sent; what goes wrong is an InputError."""
    from slimspeech.hub import push

    token = None if arguments.dry_run else push.read_token(os.environ)
    chosen = push.plan(arguments.directory, arguments.repo, arguments.revision, arguments.private)
    if arguments.dry_run or not arguments.quiet:
        print(chosen, file=sys.stdout if arguments.dry_run else sys.stderr)
    if arguments.dry_run:
        print("\nNothing was sent (--dry-run).")
        return 0
    if arguments.quiet:
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    done = push.push(chosen, token)
    for name in done.removed:
        print(f"removed: {name}, of an earlier push", file=sys.stderr)
    print(f"{done.url} (commit {done.commit})")
    return 0
