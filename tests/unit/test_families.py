"""Families of base models are known in one place of the library."""

import re
from dataclasses import fields

import pytest
from project import REPOSITORY

from slimspeech import families
from slimspeech.families.family import Family

LIBRARY = REPOSITORY / "workflow" / "scripts" / "slimspeech"
ENDINGS = {".py", ".smk", ".j2", ".html", ".js", ".css", ""}
# Of the mini corpus's base model, which has a family as every model.
MINI = REPOSITORY / "workflow" / "scripts" / "slimspeech_mini"


def sources():
    """Library, rules, scripts, templates and pages, but the families themselves."""
    for file in (REPOSITORY / "workflow").rglob("*"):
        inside = {LIBRARY / "families", MINI} & set(file.parents)
        if file.is_file() and file.suffix in ENDINGS and not inside:
            yield file


def test_nothing_else_names_a_family():
    names = [name for f in families.FAMILIES.values() for name in (f.model_type, f.title)]
    classes = [f.model_class.removesuffix("ForConditionalGeneration") for f in _all()]
    pattern = re.compile("|".join(map(re.escape, {*names, *classes})), re.IGNORECASE)
    files = list(sources())
    assert len(files) > 150
    found = [
        f"{file.relative_to(REPOSITORY)}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if pattern.search(line)
    ]
    assert found == []


def _all():
    return families.FAMILIES.values()


@pytest.mark.parametrize("family", _all(), ids=list(families.FAMILIES))
def test_a_family_is_whole(family: Family):
    assert families.FAMILIES[family.model_type] is family
    assert set(family.modules) <= set(family.parts.values()) | {"head"}
    assert family.part_of(family.embedding) == "embedding"
    assert family.part_of(f"{family.layers}0.mlp.up_proj.weight") == "decoder"
    assert family.layer_of(f"{family.layers}11.mlp.up_proj.weight") == 11
    assert set(family.unused_parts) <= set(family.parts.values())


def test_what_a_family_may_be_asked_is_described():
    for field in fields(Family):
        assert re.search(rf"\b{field.name}\b", Family.__doc__), field.name
