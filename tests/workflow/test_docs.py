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

pytestmark = pytest.mark.workflow

OTHER_HOST = re.compile(r"^(https?:)?//")
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def build(root: Path, site: Path) -> subprocess.CompletedProcess:
    """Strictly: every warning is an error, but all are told."""
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
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADED and LOADED[tag] in given:
            self.loaded.append(given[LOADED[tag]])


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
    text = (site / "docs" / "api" / "search.html").read_text(encoding="utf-8")
    assert re.search(r"protect_first</span>.*?protect_last</span>.*?<dd>.*?never go", text, re.S)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A site of two pages and a library of one module, with the project's own settings."""
    root = tmp_path / "small"
    for name in ("_extensions", "_static", "_templates"):
        shutil.copytree(REPOSITORY / "docs" / name, root / "docs" / name)
    shutil.copy(REPOSITORY / "docs" / "conf.py", root / "docs")
    (root / "docs" / "api").mkdir()
    (root / "docs" / "api" / "pages.yaml").write_text(
        "files: {title: Files, about: All., modules: [errors]}\n", encoding="utf-8"
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
    done = build(small, tmp_path / "site")
    assert done.returncode == 0, done.stdout
    page = small / "docs" / "other.md"
    page.write_text("# Other\n\n[x](gone.md) [y](index.md#gone) [z](#gone)\n", encoding="utf-8")
    done = build(small, tmp_path / "site")
    assert done.returncode != 0
    assert "gone.md" in done.stdout and done.stdout.count("WARNING") == 3


def test_a_module_on_no_page_fails_the_build(small: Path, tmp_path: Path):
    (small / "workflow" / "scripts" / "slimspeech" / "forgotten.py").touch()
    done = build(small, tmp_path / "site")
    assert done.returncode != 0
    assert "forgotten on no page" in done.stdout


SNAKEMAKE = [command for command in commands("snakemake") if command.words]


@pytest.fixture(scope="module")
def parser():
    return get_argument_parser(profiles=[])


@pytest.mark.parametrize("command", SNAKEMAKE, ids=str)
def test_snakemake_knows_the_options(parser, command: Command):
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            parser.parse_args(command.words)
        except SystemExit as end:
            assert not end.code, told.getvalue()


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What the commands of the documents count on: the project, the examples, CoVoST 2."""
    project = make_project(tmp_path_factory.mktemp("documented") / "project")
    shutil.copytree(REPOSITORY / "examples", project.root / "examples")
    (project.root / "corpora" / "covost2").mkdir(parents=True)
    return project


def targets(parser) -> dict[tuple[str, ...], set[str]]:
    """What the documents ask Snakemake for, by the configs that they give; not the reader's own."""
    found: dict[tuple[str, ...], set[str]] = {}
    for command in SNAKEMAKE:
        with contextlib.suppress(SystemExit):
            given = parser.parse_args(command.words)
            configs = tuple(str(path) for path in given.configfile or [])
            asked = [name for name in given.targets if name.startswith("results/")]
            if asked and not any(Path(config).stem == "my" for config in configs):
                found.setdefault(configs, set()).update(asked)
    return found


def test_snakemake_can_make_what_the_documents_ask_for(documented: Project, parser):
    found = targets(parser)
    assert len(found[()]) > 30
    for configs, names in found.items():
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
