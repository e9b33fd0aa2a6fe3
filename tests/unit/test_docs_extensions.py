"""What the documentation does with docstrings, and where it puts modules."""

import sys

import pytest
from project import REPOSITORY
from sphinx.errors import ConfigError

sys.path.append(str(REPOSITORY / "docs" / "_extensions"))
from library_pages import assign, modules_of
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


def test_a_field_that_is_a_function_shows_its_arguments():
    given = ["embed(model, ids): of tokens,", "    as the model."]
    assert to_rst(given, {"embed"})[1:] == [
        "``embed(model, ids)``",
        "    of tokens,",
        "    as the model.",
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
    from slimspeech.training.settings import LoraSettings

    assert "rslora" in names_of(LoraSettings)
    assert names_of(assign) == {"pages", "modules"}
    assert names_of(3) == set()


def test_modules_are_on_the_page_of_their_package(tmp_path):
    library = tmp_path / "slimspeech"
    for name in ("__init__.py", "errors.py", "web/__init__.py", "web/__main__.py", "web/app.py"):
        (library / name).parent.mkdir(exist_ok=True, parents=True)
        (library / name).touch()
    modules = modules_of(library)
    assert modules == ["slimspeech.errors", "slimspeech.web.app"]
    pages = {"ground": {"package": "slimspeech"}, "web": {"package": "slimspeech.web"}}
    assert assign(pages, modules) == {
        "ground": ["slimspeech.errors"],
        "web": ["slimspeech.web.app"],
    }


@pytest.mark.parametrize(
    "package, problem",
    [("slimspeech", "slimspeech.web.app on no page"), ("slimspeech.net", "no package")],
)
def test_every_package_has_a_page(package, problem):
    with pytest.raises(ConfigError, match=problem):
        assign({"a": {"package": package}}, ["slimspeech.errors", "slimspeech.web.app"])
