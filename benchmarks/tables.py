"""Markdown tables, without torch."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Markdown. The first columns, as many as `texts`, are aligned to the left."""
    cells = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * width if number < texts else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    cells.insert(1, rule)
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if number < texts else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    )
