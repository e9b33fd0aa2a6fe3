"""Counts, sizes and Markdown tables as people read them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

MISSING = "-"  # stands in a cell for a value that was not measured


def printable(path: str | Path) -> str:
    """A path as text that any output takes; bytes that are not UTF-8 become \\xe9 and the like."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def decimal_units(number: float, units: Sequence[str]) -> str:
    """A count in steps of a thousand: decimal_units(8.4e9, ["", "K", "M", "B"]) is 8.40 B."""
    step = 0
    while number >= 1000 and step < len(units) - 1:
        number, step = number / 1000, step + 1
    return f"{number:.{2 if step and number < 100 else 0}f} {units[step]}".rstrip()


def weight_count(number: float) -> str:
    """Such as 8.40 B."""
    return decimal_units(number, ["", "K", "M", "B"])


def file_size(number: float) -> str:
    """Bytes in units of a thousand, such as 2.78 MB."""
    return decimal_units(number, ["B", "kB", "MB", "GB"])


def parse_size(text: str) -> int:
    """Bytes of a size such as "3.4 GB" (units of a thousand) or "3.2 GiB" (of 1024)."""
    number, unit = re.fullmatch(r"([\d.]+) ?(\w+)", text).groups()
    step = 1024 if "i" in unit else 1000
    return round(float(number) * step ** {"M": 2, "G": 3}[unit[0]])


def aligned(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table padded for a terminal: first column flush left, all others flush right."""
    # A rule to the right takes two characters.
    widths = [max(2, *map(len, column)) for column in zip(header, *cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in [header, rule, *cells]
    )


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of long texts, not padded."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |"
        for line in lines
    )
