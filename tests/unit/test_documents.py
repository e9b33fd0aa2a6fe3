"""What the documents name is there: files, make's targets, rules, keys of the config."""

import re
from pathlib import Path

import pytest
import yaml
from documents import FENCE, INLINE, Command, commands, documents
from project import REPOSITORY

from slimspeech import __version__
from slimspeech.cli.main import build_parser

TRACKED = (
    "benchmarks",
    "config",
    "docs",
    "envs",
    "examples",
    "profiles",
    "resources",
    "tests",
    "workflow",
)
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def read(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def ids(value: object) -> str | None:
    return str(value) if isinstance(value, Command) else None


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_paths_of_the_project_exist(path: Path):
    """In backticks, from the root; the user's own files and patterns are left alone."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    named = {
        code
        for code in INLINE.findall(text)
        if re.fullmatch(rf"({'|'.join(TRACKED)})/[\w./-]*", code) and "my" not in Path(code).stem
    }
    made_here = {"config/hub"}
    missing = [name for name in sorted(named - made_here) if not (REPOSITORY / name).exists()]
    assert not missing


@pytest.mark.parametrize("command", commands("make"), ids=str)
def test_make_knows_the_target(command: Command):
    text = read("Makefile")
    for word in command.words:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert re.search(rf"^{name} \?=", text, re.M), name
        elif not name.startswith("-"):
            assert re.search(rf"^[\w. /-]*{re.escape(name)}\b.*:", text, re.M), name


@pytest.mark.parametrize(
    "command", [c for name in ("python", "pytest") for c in commands(name) if c.words], ids=str
)
def test_scripts_and_their_options_exist(command: Command):
    files = [
        word for word in command.words if word.startswith(tuple(f"{name}/" for name in TRACKED))
    ]
    for name in files:
        assert (REPOSITORY / name.partition("::")[0]).exists(), name
    if command.program == "python" and files:
        text = read(files[0])
        for option in re.findall(r"(?<!\S)--[a-z-]+", " ".join(command.words)):
            assert f'"{option}"' in text, option


@pytest.mark.parametrize(
    "command", [c for c in commands("slimspeech") if len(c.words) > 1], ids=str
)
def test_the_command_line_knows_the_options(command: Command):
    try:
        build_parser().parse_args(command.words)
    except SystemExit as ended:  # as --help does
        assert ended.code == 0


def test_every_rule_is_described_and_every_described_rule_exists():
    files = [
        REPOSITORY / "Snakefile",
        *(REPOSITORY / "workflow" / "rules").glob("*.smk"),
    ]
    rules = {
        name
        for file in files
        for name in re.findall(
            r"^(?:rule|checkpoint|use rule \w+ as) (\w+)", file.read_text("utf-8"), re.M
        )
    }
    described = set(re.findall(r"^\*\*(\w+)\.\*\*", read("docs/steps.md"), re.M))
    assert described == rules


def test_every_key_of_the_config_is_documented_with_its_default():
    schema = yaml.safe_load(read("workflow/schemas/config.schema.yaml"))
    wanted = dict(leaves(schema, schema["$defs"]))
    text = read("config/README.md")
    headings = set(re.findall(r"^### (\S+)$", text, re.M)) & wanted.keys()  # evaluation.texts
    found = dict.fromkeys(headings, "") | dict(documented_keys(text))
    assert [key for key in wanted if not any(f"{key}.".startswith(f"{f}.") for f in found)] == []
    assert [key for key in found if not any(f"{w}.".startswith(f"{key}.") for w in wanted)] == []
    scalars = {key: value for key, value in wanted.items() if isinstance(value, int | float | str)}
    differ = {
        key: found[key]
        for key, value in scalars.items()
        if found.get(key) and not same(found[key], value)
    }
    assert differ == {}


def same(written: str, default: object) -> bool:
    word = written.split(" (")[0]
    if isinstance(default, bool | str):
        return word.casefold() == str(default).casefold()
    return float(word) == default


def leaves(node: dict, shared: dict, key: str = ""):
    """Keys of the schema with their defaults; those of trainings and adapters by their own name."""
    if "$ref" in node:
        yield key, None
        node, key = shared[node["$ref"].rsplit("/", 1)[1]], node["$ref"].rsplit("/", 1)[1]
    for name, entry in node.get("properties", {}).items():
        inner = f"{key}.{name}".lstrip(".")
        deeper = list(leaves(entry, shared, inner))
        yield from deeper or [(inner, entry.get("default"))]
    for part in ("additionalProperties", "items"):
        if isinstance(node.get(part), dict):
            yield from leaves(node[part], shared, key)
    for choice in node.get("oneOf", []) + node.get("anyOf", []):
        yield from leaves(choice, shared, key)


def documented_keys(text: str):
    """Keys of the tables, by the headings that they stand under, with their default columns."""
    sections = {
        "Top level": "",
        "A stage": "students.stages",
        "quantization": "students.quantization",
    }
    section = None
    for line in text.split("## Snippets")[0].splitlines():
        if heading := re.match(r"##+ (.*)", line):
            section = sections.get(heading[1], heading[1])
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if section is not None and len(cells) == 5 and re.fullmatch(r"[\w.*, ]+", cells[0]):
            for name in cells[0].split(", "):
                if name != "key":
                    yield f"{section}.{name.strip('*')}".lstrip("."), cells[3]


def test_the_citation_file_is_one():
    """Of version 1.2.0 of the format: what it requires, and the forms that programs rely on."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license"} <= CITATION.keys()
    assert CITATION["type"] == "software"
    assert CITATION["version"] == __version__
    paper = CITATION["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    for author in CITATION["authors"] + paper["authors"]:
        assert author.keys() & {"name", "family-names"}
    assert isinstance(paper["year"], int) and 1 <= paper["month"] <= 12
    assert re.fullmatch(r"10\.\d{4,}/\S+", paper["doi"])


def test_the_citation_page_says_what_the_citation_file_says():
    page = read("docs/citation.md")
    paper = CITATION["preferred-citation"]
    for value in (
        CITATION["title"],
        CITATION["version"],
        paper["title"],
        paper["doi"],
        paper["url"],
    ):
        assert f"{{{value}}}" in page, value
    assert f"{{{paper['start']}--{paper['end']}}}" in page


def test_the_changelog_starts_with_the_version_that_is_cited():
    text = read("CHANGELOG.md")
    assert re.search(r"^## (\S+)", text, re.M)[1].strip("[]") == CITATION["version"]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)", text, re.M)) <= kinds
