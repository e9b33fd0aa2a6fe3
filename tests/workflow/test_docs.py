"""The documentation site, built as `make docs` does, and the Snakemake commands that it gives."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from documents import Command, commands
from project import REPOSITORY, Project, make_project
from snakemake.cli import get_argument_parser

OTHER_HOST = re.compile(r"^(https?:)?//")
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def build(root: Path, site: Path) -> subprocess.CompletedProcess:
    """Every warning is an error, and all are printed."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs"]
        + ["-d", str(site.with_name("doctrees")), ".", str(site)],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = build(REPOSITORY, folder)
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


class Loads(HTMLParser):
    """Addresses that a browser fetches by itself, and those of links."""

    def __init__(self, page: Path):
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Loads]:
    return {page.resolve(): Loads(page) for page in site.rglob("*.html")}


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Loads]):
    assert len(pages) > 20
    assert {url for page in pages.values() for url in page.loaded if OTHER_HOST.match(url)} == set()
    for sheet in site.rglob("*.css"):
        urls = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", sheet.read_text("utf-8"))
        assert not [url for url in urls if OTHER_HOST.match(url)], sheet
    for script in site.rglob("*.js"):
        assert not re.search(r"fetch\(\s*[\"'`]https?:|importScripts", script.read_text("utf-8"))


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Loads]):
    """Also those that the theme makes, which Sphinx does not check."""
    dead = []
    for page, content in pages.items():
        for link in content.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path.split("?")[0]).resolve() if path else page
            known = pages[target].anchors if target in pages else None
            if not target.exists() or (anchor and known is not None and anchor not in known):
                dead.append(f"{page.name}: {link}")
    assert dead == []


def test_the_home_page_is_where_the_site_opens(site: Path):
    text = (site / "index.html").read_text(encoding="utf-8")
    [target] = re.findall(r"url=([^\"]+)", text)
    assert "make run" in (site / target).read_text(encoding="utf-8")


def test_the_explanation_of_a_parameter_reaches_the_reference(site: Path):
    text = (site / "docs" / "api" / "pruning.html").read_text(encoding="utf-8")
    assert re.search(
        r"protect_first</span>.*?protect_last</span>.*?<dd>.*?never removed", text, re.S
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A site of two pages and a library of one module, with the project's own settings."""
    root = tmp_path / "small"
    for name in ("_extensions", "_static", "_templates"):
        shutil.copytree(REPOSITORY / "docs" / name, root / "docs" / name)
    shutil.copy(REPOSITORY / "docs" / "conf.py", root / "docs")
    (root / "docs" / "api").mkdir()
    (root / "docs" / "api" / "pages.yaml").write_text(
        "files: {title: Files, about: All., package: slimspeech}\n", encoding="utf-8"
    )
    library = root / "workflow" / "scripts" / "slimspeech"
    library.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(REPOSITORY / "workflow" / "scripts" / "slimspeech" / name, library)
    (root / "docs" / "index.md").write_text(
        "# Home\n\n[a file](conf.py)\n\n```{toctree}\nother\napi/files\n```\n", encoding="utf-8"
    )
    (root / "docs" / "other.md").write_text("# Other\n\n## A part\n", encoding="utf-8")
    return root


def test_a_dead_link_or_anchor_fails_the_build(small: Path, tmp_path: Path):
    page = small / "docs" / "other.md"
    page.write_text("# Other\n\n[x](gone.md) [y](index.md#gone) [z](#gone)\n", encoding="utf-8")
    done = build(small, tmp_path / "site")
    assert done.returncode != 0
    assert "gone.md" in done.stdout and done.stdout.count("WARNING") == 3


SNAKEMAKE = [command for command in commands("snakemake") if command.words]


@pytest.fixture(scope="module")
def parser():
    return get_argument_parser(profiles=[])


@pytest.mark.parametrize("command", SNAKEMAKE, ids=str)
def test_snakemake_knows_the_options(parser, command: Command):
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        try:
            parser.parse_args(command.words)
        except SystemExit as end:
            assert not end.code, printed.getvalue()


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with what the documents' commands need: the examples and CoVoST 2."""
    project = make_project(tmp_path_factory.mktemp("documented") / "project")
    shutil.copytree(REPOSITORY / "examples", project.root / "examples")
    (project.root / "corpora" / "covost2").mkdir(parents=True)
    return project


def targets(parser) -> dict[tuple[str, ...], set[str]]:
    """The targets in the documents by the configs they name; not those of the reader's config."""
    by_config: dict[tuple[str, ...], set[str]] = {}
    for command in SNAKEMAKE:
        with contextlib.suppress(SystemExit):
            options = parser.parse_args(command.words)
            configs = tuple(str(path) for path in options.configfile or [])
            results = [name for name in options.targets if name.startswith("results/")]
            if results and not any(Path(config).stem == "my" for config in configs):
                by_config.setdefault(configs, set()).update(results)
    return by_config


def test_snakemake_can_make_what_the_documents_ask_for(documented: Project, parser):
    by_config = targets(parser)
    assert len(by_config[()]) > 30
    for configs, names in by_config.items():
        if not configs:  # the default, with the metric that some commands want in the config
            config = documented.default_config()
            config["evaluation"]["comet"] = {"comet22": {"model": "Unbabel/wmt22-comet-da"}}
            config["pruning"]["comet"] = "comet22"
            config["data"]["hub"] = {"revision": "0" * 40}
            configs = (documented.write_config(config),)
        documented.succeed(*sorted(names), "--dry-run", "--quiet", "--configfile", *configs)


def test_configs_that_the_documents_name_exist():
    for command in SNAKEMAKE:
        for word in command.words:
            if word.endswith(".yaml") and Path(word).stem not in ("my", "profile"):
                assert (REPOSITORY / word).is_file(), str(command)


def test_config_of_make_run_exists():
    for command in commands("make"):
        for word in command.words:
            name, _, value = word.partition("=")
            if name == "CONFIG" and Path(value).stem != "my":
                assert yaml.safe_load((REPOSITORY / value).read_text(encoding="utf-8"))
