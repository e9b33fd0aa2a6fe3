"""slimspeech push: a student to the Hugging Face Hub."""

import argparse
import os
import sys

from slimspeech.cli.options import add_console_options

DESCRIPTION = """\
Publish the release of a student on the Hugging Face Hub: its files, as one commit.
The directory is the folder `release` of a student. It is checked first: every file must match its
hash, and no other file may be in it.
The token is read only from the environment variable HF_TOKEN; --dry-run needs no token and no
network."""


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
        help="the repository; it is created if it does not exist",
    )
    parser.add_argument(
        "--revision",
        default="main",
        metavar="BRANCH",
        help="created if it does not exist (default: main)",
    )
    parser.add_argument("--private", action="store_true", help="only you can see a new repository")
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be sent, and send nothing"
    )
    add_console_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 if the release is published or listed. Raises InputError as hub.push does."""
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
    published = push.push(chosen, token)
    for name in published.removed:
        print(f"removed: {name}, of an earlier push", file=sys.stderr)
    print(f"{published.url} (commit {published.commit})")
    return 0
