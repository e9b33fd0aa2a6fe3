"""Style sheets and scripts that the report and the page of `slimspeech serve` share."""

from pathlib import Path

ASSETS = Path(__file__).parent
