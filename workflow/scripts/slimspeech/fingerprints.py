"""Fingerprints of what a result was made from, to tell whether two parts belong together."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError


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
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        whole.update(f"{digest}  {file.name}\n".encode())
    return whole.hexdigest()


def fingerprint_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of rows, such as a manifest's: their order counts, that of a row's keys does not.

    The audio that a row names is not read.
    """
    whole = hashlib.sha256()
    for row in rows:
        whole.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return whole.hexdigest()
