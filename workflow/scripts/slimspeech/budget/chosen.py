"""What a budget chose, for the jobs that follow it."""

from collections.abc import Sequence
from typing import Any

from slimspeech.artifacts import read_json


def chosen(paths: Sequence[str], key: str, otherwise: Any) -> Any:
    """A value of a student's budget.json; `otherwise` for a student without a budget.

    paths: of that file, or empty.
    """
    return read_json(paths[0])[key] if paths else otherwise
