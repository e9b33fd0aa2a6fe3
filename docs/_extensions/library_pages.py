"""The pages of the library's reference, written before Sphinx reads its sources.

`docs/api/pages.yaml` gives each package a page. A package without a page stops the build, so that a
new one is not forgotten.
"""

from pathlib import Path

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

LIBRARIES = [Path("workflow/scripts") / name for name in ("slimspeech", "slimspeech_mini")]
PAGES = Path("docs/api")


def modules_of(library: Path) -> list[str]:
    """Dotted names of all modules of a library that hold code; sorted."""
    files = [file.relative_to(library.parent) for file in library.rglob("*.py")]
    return sorted(
        ".".join(file.with_suffix("").parts)
        for file in files
        if file.name not in ("__init__.py", "__main__.py")
    )


def assign(pages: dict[str, dict], modules: list[str]) -> dict[str, list[str]]:
    """The modules of each page: those of its package and of the packages in it.

    The page of `slimspeech` itself has the modules that are in no package of it. Raises ConfigError
    unless every package has a page and every page a package.
    """
    assigned = {}
    for page, entry in pages.items():
        package = entry["package"]
        within = [module for module in modules if module.startswith(f"{package}.")]
        if package == "slimspeech":
            within = [module for module in within if module.count(".") == 1]
        if not within:
            raise ConfigError(f"{PAGES}/pages.yaml: {page}: there is no package {package}")
        assigned[page] = within
    if missing := sorted(set(modules) - {module for page in assigned.values() for module in page}):
        raise ConfigError(
            f"{PAGES}/pages.yaml: {', '.join(missing)} on no page; give each package one"
        )
    return assigned


def text_of(entry: dict[str, str], modules: list[str]) -> str:
    """A page in Markdown."""
    parts = [f"# {entry['title']}", entry["about"]]
    for module in modules:
        parts += [
            f"## {module.partition('.')[2]}",
            f"```{{eval-rst}}\n.. automodule:: {module}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def write_pages(app: Sphinx, config: Config) -> None:
    root = Path(app.srcdir)
    pages = yaml.safe_load((root / PAGES / "pages.yaml").read_text(encoding="utf-8"))
    library = [module for folder in LIBRARIES for module in modules_of(root / folder)]
    for stale in (root / PAGES).glob("*.md"):
        if stale.stem not in {"index", *pages}:
            stale.unlink()
    for page, modules in assign(pages, library).items():
        file = root / PAGES / f"{page}.md"
        text = text_of(pages[page], modules)
        # An unchanged page keeps its date, so that Sphinx need not read it again.
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
