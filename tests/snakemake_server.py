"""Runs Snakemake's command line many times in forks of one process, which imports Snakemake once.

An import takes longer than most dry-runs. It reads a request a line, as JSON, and answers each by a
line with the exit status. One request at a time.

    echo '{"arguments": ["--version"], "folder": ".", "environment": {}, "output": "out.txt"}' |
        python snakemake_server.py
"""

import json
import os
import sys
import traceback

import jsonschema  # noqa: F401 (every run imports it)
from snakemake.cli import get_argument_parser, main


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """As `python -m snakemake` in that folder with that environment; ends the process."""
    status = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        sys.argv = ["snakemake", *arguments]
        main(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    get_argument_parser()  # imports the plugins
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(**json.loads(line))
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)
