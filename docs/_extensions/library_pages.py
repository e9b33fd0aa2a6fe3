"""The pages of the library's reference, written before Sphinx reads its sources.

`docs/api/pages.yaml` says which module stands on which page. A module of the library that stands on
none, or on two, stops the build, so that a new one is not forgotten.
"""

from pathlib import Path

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

LIBRARY = Path("workflow/scripts/slimspeech")
PAGES = Path("docs/api")


def modules_of(library: Path) -> list[str]:
    """Dotted names of all modules with something in them, seen from the library; sorted."""
    files = [file.relative_to(library) for file in library.rglob("*.py")]
    return sorted(
        ".".join(file.with_suffix("").parts)
        for file in files
        if file.name not in ("__init__.py", "__main__.py")
    )


def place(pages: dict[str, dict], modules: list[str]) -> dict[str, list[str]]:
    """The modules of each page. Raises ConfigError unless every module stands on exactly one."""
    placed = {
        page: entry.get("modules")
        or [module for module in modules if module.startswith(f"{entry['package']}.")]
        for page, entry in pages.items()
    }
    listed = [module for on_page in placed.values() for module in on_page]
    problems = {
        "on no page": sorted(set(modules) - set(listed)),
        "not in the library": sorted(set(listed) - set(modules)),
        "on more than one page": sorted({name for name in listed if listed.count(name) > 1}),
    }
    found = [f"{', '.join(names)} {where}" for where, names in problems.items() if names]
    if found:
        raise ConfigError(f"{PAGES}/pages.yaml: {'; '.join(found)}; give each module one page")
    return placed


def text_of(entry: dict[str, str], modules: list[str]) -> str:
    """A page in Markdown."""
    parts = [f"# {entry['title']}", entry["about"]]
    for module in modules:
        parts += [f"## {module}", f"```{{eval-rst}}\n.. automodule:: slimspeech.{module}\n```"]
    return "\n\n".join(parts) + "\n"


def write_pages(app: Sphinx, config: Config) -> None:
    root = Path(app.srcdir)
    pages = yaml.safe_load((root / PAGES / "pages.yaml").read_text(encoding="utf-8"))
    placed = place(pages, modules_of(root / LIBRARY))
    for page, modules in placed.items():
        file = root / PAGES / f"{page}.md"
        text = text_of(pages[page], modules)
        # An unchanged page keeps its date, so that Sphinx need not read it again.
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
