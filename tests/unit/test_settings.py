"""A default stands once, in the schema of the config."""

import ast

import pytest
from project import REPOSITORY
from settings import SECTIONS, defaults

LIBRARY = REPOSITORY / "workflow" / "scripts" / "slimspeech"


def values_in_code(name: str) -> dict[str, object]:
    """The defaults that the class of settings gives its fields, but for None."""
    [settings] = [
        node
        for path in LIBRARY.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    values = {
        node.target.id: ast.literal_eval(node.value)
        for node in settings.body
        if isinstance(node, ast.AnnAssign) and node.value
    }
    return {key: value for key, value in values.items() if value is not None}


@pytest.mark.parametrize("name", SECTIONS)
def test_settings_repeat_no_default_of_the_schema(name):
    assert defaults(SECTIONS[name])
    assert not values_in_code(name).keys() & defaults(SECTIONS[name]).keys()
