"""Read a corpus that is one table: a tab-separated file with one line per segment.

Columns by name, in any order: `audio` (path from the table's folder), the transcript and the
translation (`source` and `target`, or one column per language, named by its code), and optionally
`start` and `end` (seconds; empty for the whole file), `talk` and `split`.
"""

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from slimspeech.data.raw_segments import (
    LONGEST_SECONDS,
    BadSegments,
    RawSegment,
    text_problem,
)
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

logger = logging.getLogger(__name__)

ONLY_SPLIT = "all"
LONGEST_NAME = 255  # in bytes, of a file


def read_segments(table: Path, languages: Sequence[str], bad: BadSegments) -> Iterator[RawSegment]:
    """Every segment of a table in its order; `languages` starts with the source.

    The columns `source` and `target` are for one pair; for several pairs the columns are named by
    language. Without `talk` each audio file is a talk; without `split` there is one split. The
    corpus is named after the file. bad: takes the lines that cannot be used. Raises InputError if
    the file is no such table.
    """
    rows, columns = _read_rows(table, bad)
    texts = _text_columns(table, columns, languages)
    problems = {
        number: f"line {number} {problem}"
        for number, row in rows
        if (problem := _row_problem(table.parent, row, texts))
    }
    bad.handle(str(table), list(problems.values()), "correct the table")
    _warn_of_quotes(table, rows, texts.values())
    indices: Counter[str] = Counter()
    for number, row in rows:
        split = row.get("split") or ONLY_SPLIT
        indices[split] += 1
        if number in problems:
            continue
        start, end = _seconds(row)
        yield RawSegment(
            talk=row.get("talk") or str(Path(row["audio"]).with_suffix("")),
            split=split,
            index=indices[split],
            texts={language: row[column] for language, column in texts.items()},
            clip=table.parent / row["audio"],
            name=f"{table}, line {number}",
            corpus=table.stem,
            start=start,
            seconds=None if end is None else end - start,
        )


def _warn_of_quotes(
    table: Path, rows: list[tuple[int, dict[str, str]]], columns: Iterable[str]
) -> None:
    quoted = [number for number, row in rows if any(_is_quoted(row[name]) for name in columns)]
    if quoted:
        logger.warning(
            "%s: %d lines have a text in quotes with doubled quotes inside, the first is line %d; "
            "they stay in the text, so save the table without quotes if they do not belong to it",
            table,
            len(quoted),
            quoted[0],
        )


def _is_quoted(text: str) -> bool:
    """As a program for spreadsheets writes a text with quotes: all in quotes, its own doubled."""
    inside = text[1:-1]
    ends = len(text) > 1 and text[0] == text[-1] == '"'
    return ends and '""' in inside and '"' not in inside.replace('""', "")


def _read_rows(table: Path, bad: BadSegments) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """(line number, row by column name) of each line, and the columns."""
    require_content(table)
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, cells) for cells in reader if any(cells)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{table}: not a tab-separated table in UTF-8 ({error}); save it as one"
        ) from error
    problems = [
        f"line {number} has {len(cells)} columns instead of {len(columns)}"
        for number, cells in lines
        if len(cells) != len(columns)
    ]
    if repeated := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise InputError(
            f"{table}: two columns are called {repeated[0]}; rename one of them in the first line"
        )
    bad.handle(str(table), problems, "put one tab between the columns")
    if not lines:
        raise InputError(f"{table}: no segment below the names of the columns; add lines")
    rows = [
        (number, dict(zip(columns, (cell.strip() for cell in cells), strict=True)))
        for number, cells in lines
        if len(cells) == len(columns)
    ]
    return rows, columns


def _text_columns(table: Path, columns: list[str], languages: Sequence[str]) -> dict[str, str]:
    """The column of each language."""
    source, *targets = languages
    names = {language: language for language in languages if language in columns}
    if "source" in columns:
        names.setdefault(source, "source")
    if "target" in columns and len(targets) == 1:
        names.setdefault(targets[0], "target")
    missing = [language for language in languages if language not in names]
    if "audio" not in columns or missing:
        raise InputError(
            f"{table}: no column {'audio' if 'audio' not in columns else ', '.join(missing)}; the "
            f"first line names the columns {', '.join(columns) or 'none'}: name audio, and source "
            f"and target (one pair) or {', '.join(languages)}"
        )
    return {language: names[language] for language in languages}


def _row_problem(folder: Path, row: dict[str, str], texts: dict[str, str]) -> str | None:
    if not row["audio"]:
        return "names no audio"
    if not os.path.isfile(folder / row["audio"]):
        return f"names {row['audio']!r}, which does not exist"
    for column in texts.values():
        if problem := text_problem(row[column]):
            return f"{problem} in {column}"
    split = row.get("split", "")
    if split and not _is_folder_name(split):
        return f"has the split {split[:50]!r}, which is not a folder name"
    try:
        start, end = _seconds(row)
    except ValueError:
        return f"has start {row.get('start')!r} and end {row.get('end')!r}, not seconds"
    if start < 0 or (end is not None and end <= start):
        return f"ends at {end} s, not after its start at {start} s"
    return None


def _is_folder_name(name: str) -> bool:
    is_path = name in (".", "..") or "/" in name or "\\" in name
    return not is_path and text_problem(name) is None and len(name.encode()) <= LONGEST_NAME


def _seconds(row: dict[str, str]) -> tuple[float, float | None]:
    start, end = (float(row[key]) if row.get(key) else None for key in ("start", "end"))
    if not all(value is None or abs(value) <= LONGEST_SECONDS for value in (start, end)):
        raise ValueError
    return start or 0.0, end
