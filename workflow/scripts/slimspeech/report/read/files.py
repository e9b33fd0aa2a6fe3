"""Reads files by their path from the project's root."""

import math
from pathlib import Path
from typing import Any

from slimspeech.artifacts import Row, read_csv, read_json, read_jsonl
from slimspeech.errors import InputError


class Reader:
    """An absent file is None."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def json(self, path: str) -> Any:
        return read_json(self.root / path) if self.exists(path) else None

    def jsonl(self, path: str) -> list[Row] | None:
        return read_jsonl(self.root / path) if self.exists(path) else None

    def csv(self, path: str) -> list[dict[str, str]] | None:
        return read_csv(self.root / path) if self.exists(path) else None

    def glob(self, pattern: str) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))


def number(value: Any, path: str, what: str) -> float:
    """Raises InputError naming file and key unless the value is a finite number."""
    try:
        converted = float(value)
    except (TypeError, ValueError):
        converted = math.nan
    if not math.isfinite(converted):
        raise InputError(f"{path}: {what} is {value!r}, not a number; remove it and run again")
    return converted
