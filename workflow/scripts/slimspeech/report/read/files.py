"""Reads files by their path from the project's root."""

from pathlib import Path
from typing import Any

from slimspeech.artifacts import Row, read_csv, read_json, read_jsonl


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
