"""Hashes of the files that a user downloads."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_lines(folder: str | Path) -> str:
    """A line for each file of the folder, by name, as `sha256sum -c` reads it: with its path as
    the folder was given. Files that start with a dot are not the student's."""
    lines = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            lines.append(f"{file_sha256(path)}  {path.as_posix()}\n")
    return "".join(lines)
