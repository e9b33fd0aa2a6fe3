"""The tables of the study in docs/results.md."""

import re
from functools import cache

from project import REPOSITORY

LANGUAGES = {"en-de": "German", "en-zh": "Chinese"}
SYSTEMS = {"Model A": "A", "Model B": "B", "3 layers removed": "pruned-03"}


@cache
def cells_of_the_page(pair: str) -> list[dict[str, dict[str, str]]]:
    """Of each table in a language's section, its cells by system or difference, and by column."""
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    [section] = re.findall(rf"^### {LANGUAGES[pair]}\n(.*?)^#", page, re.M | re.S)
    tables = []
    for table in re.findall(r"(?:^\|.*\n)+", section, re.M):
        plain = re.sub("[`*]", "", table).splitlines()
        columns, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in plain]
        name = columns.index("mean of seeds") - 1
        named = {re.split("[:,]", row[name])[0]: row for row in rows}
        tables.append(
            {
                SYSTEMS.get(key, key): dict(zip(columns, row, strict=True))
                for key, row in named.items()
            }
        )
    return tables
