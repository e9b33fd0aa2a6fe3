"""SHA-256 of files that a user downloads, and of what a result was made from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_lines(folder: str | Path) -> str:
    """A line for each file of the folder, sorted by name, in the format that `sha256sum -c` reads.

    Each path starts with `folder` as given. Files whose names start with a dot are left out.
    """
    lines = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            lines.append(f"{file_sha256(path)}  {path.as_posix()}\n")
    return "".join(lines)


def fingerprint(directory: str | Path) -> str:
    """SHA-256 of a model: its config.json and its *.safetensors, wherever the directory lies.

    It is that of the list `sha256sum config.json *.safetensors` prints, files in order of name.
    Every byte is read, about a second a gigabyte. Raises InputError if there is no such model.
    """
    path = Path(directory)
    files = sorted([*path.glob("config.json"), *path.glob("*.safetensors")])
    if len(files) < 2 or not (path / "config.json").is_file():
        raise InputError(
            f"{directory}: no model there; config.json or *.safetensors is missing, make it again"
        )
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file_sha256(file)}  {file.name}\n".encode())
    return whole.hexdigest()


def fingerprint_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of rows, such as a manifest's: their order counts, that of a row's keys does not.

    The audio that a row names is not read.
    """
    whole = hashlib.sha256()
    for row in rows:
        whole.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return whole.hexdigest()
