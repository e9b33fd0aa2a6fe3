"""Counts and sizes as people read them."""

from collections.abc import Sequence


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
