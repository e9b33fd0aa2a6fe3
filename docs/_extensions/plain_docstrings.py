"""The docstrings of the library are plain text: code in single backticks, and what a parameter or a
field means in a line that starts with its name, of a function with its arguments. Here they become
the reStructuredText that autodoc wants, and the fields of dataclasses, which their signature shows,
are not listed again.
"""

import dataclasses
import inspect
import re

from sphinx.application import Sphinx

NAMED = re.compile(r"^(\w+(?:, \w+)*)(\([\w, ]*\))?: +(\S.*)$")


def rewrite(app: Sphinx, what: str, name: str, obj: object, options, lines: list[str]) -> None:
    lines[:] = to_rst(lines, names_of(obj))


def names_of(obj: object) -> set[str]:
    """What the lines of a docstring may explain: parameters, or fields."""
    if dataclasses.is_dataclass(obj):
        return {field.name for field in dataclasses.fields(obj)}
    try:
        return set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return set()


def to_rst(lines: list[str], names: set[str]) -> list[str]:
    """A docstring's lines with explained names as definition lists. Indented lines stay as they are
    below a paragraph that ends in two colons, and else belong to the line before.
    """
    given: list[str] = []
    explaining = False
    for line in lines:
        found = NAMED.match(line)
        if found and set(found[1].split(", ")) <= names:
            if not explaining:
                given.append("")
            explained = "``, ``".join(found[1].split(", "))
            explained = f"``{explained}{found[2] or ''}``"
            given += [explained, f"    {escape(found[3])}"]
            explaining = True
        elif not line.strip():
            given.append("")
            explaining = False
        elif explaining:
            given.append(f"    {escape(line.strip())}")
        else:
            given.append(escape(line))
    return given


def escape(text: str) -> str:
    """Single backticks doubled, and whatever else reStructuredText takes for markup escaped."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*|])|(?<=\w)(_)(?!\w)", r"\\\1\2", part) for part in parts[::2]]
    return "``".join(parts)


def skip_fields(app: Sphinx, what: str, name: str, obj: object, skip: bool, options) -> bool | None:
    """Leave out what a class merely annotates: fields without a docstring of their own."""
    is_plain = not callable(obj) and not isinstance(obj, property | classmethod | staticmethod)
    return True if what == "class" and is_plain else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-skip-member", skip_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
