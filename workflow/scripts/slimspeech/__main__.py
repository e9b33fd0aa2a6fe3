"""The command line: python -m slimspeech."""

import sys

from slimspeech.cli import main

if __name__ == "__main__":
    sys.exit(main())
