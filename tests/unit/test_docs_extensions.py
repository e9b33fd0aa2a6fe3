"""What the documentation does with docstrings, and where it puts modules."""

import sys

import pytest
from project import REPOSITORY
from sphinx.errors import ConfigError

sys.path.append(str(REPOSITORY / "docs" / "_extensions"))
from library_pages import modules_of, place
from plain_docstrings import escape, names_of, to_rst


def test_explained_names_become_a_definition_list():
    given = [
        "What it does.",
        "",
        "rows, limit: of the table",
        "by name. limit: no name.",
        "",
        "End.",
    ]
    assert to_rst(given, {"rows", "limit"}) == [
        "What it does.",
        "",
        "",
        "``rows``, ``limit``",
        "    of the table",
        "    by name. limit: no name.",
        "",
        "End.",
    ]


def test_a_colon_after_another_word_is_prose():
    assert to_rst(["Returns: nothing."], {"rows"}) == ["Returns: nothing."]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("`a_b*` of c", "``a_b*`` of c"),
        ("*.wav, a|b, x_", r"\*.wav, a\|b, x\_"),
        ("out_of_domain stays", "out_of_domain stays"),
    ],
)
def test_code_is_kept_and_markup_is_escaped(text, shown):
    assert escape(text) == shown


def test_names_are_parameters_or_fields():
    from slimspeech.settings import LoraSettings

    assert "rslora" in names_of(LoraSettings)
    assert names_of(place) == {"pages", "modules"}
    assert names_of(3) == set()


def test_modules_of_packages_are_found_by_their_package(tmp_path):
    for name in ("__init__.py", "audio.py", "web/__init__.py", "web/__main__.py", "web/app.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    modules = modules_of(tmp_path)
    assert modules == ["audio", "web.app"]
    pages = {"sound": {"modules": ["audio"]}, "web": {"package": "web"}}
    assert place(pages, modules) == {"sound": ["audio"], "web": ["web.app"]}


@pytest.mark.parametrize(
    "pages, told",
    [
        ({"a": {"modules": ["x"]}}, "y on no page"),
        ({"a": {"modules": ["x", "y", "z"]}}, "z not in the library"),
        ({"a": {"modules": ["x", "y"]}, "b": {"modules": ["x"]}}, "x on more than one page"),
    ],
)
def test_a_module_has_one_page(pages, told):
    with pytest.raises(ConfigError, match=told):
        place(pages, ["x", "y"])
