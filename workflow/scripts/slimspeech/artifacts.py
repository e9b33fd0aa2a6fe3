"""What carries the chain, written whole or not at all: JSON, JSONL and CSV, and directories; and
texts of users."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

Row = dict[str, Any]


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text through a sibling file, so that a killed job leaves no half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def read_text(path: str | Path, name: str | None = None) -> str:
    """UTF-8 text of a user, without byte order marks, which are also inside joined files.

    name: what messages call the file, if not by its path. Raises InputError if the file cannot be
    read, or naming the first line that is not UTF-8.
    """
    name = name or str(path)
    require_content(Path(path), name)
    try:
        return Path(path).read_bytes().decode("utf-8").replace("\ufeff", "")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from error


def read_json(path: str | Path) -> Any:
    """Raises InputError when the file is no JSON."""
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); remove it and run again") from error


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_jsonl(path: str | Path) -> list[Row]:
    """One object a line. Raises InputError naming the first line that is none."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number}: not valid JSON ({error}); remove it and run again"
                ) from error
    return rows


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Rows by column name; every value is text."""
    with open(path, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def write_csv(
    path: str | Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """A row with other columns is an error.

    columns: those of the first row by default; needed where there may be no row.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_directory(directory: str | Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a sibling directory, and put it in place when it is complete."""
    directory = Path(directory)
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_space(folder: str | Path, needed: int, what: str) -> None:
    """Raise InputError unless the disk of `folder` has `needed` bytes free for `what`.

    The folder need not exist yet.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"{folder}: {what} takes {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB "
            "free; make room or run the project on another disk"
        )
