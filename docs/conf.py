"""The documentation site. The source folder is the project's root, so that every Markdown file
stays where a Git forge shows it, and its links hold in both places:

    sphinx-build -c docs . site        # or `make docs`
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "workflow" / "scripts")]

project = "slimspeech"
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "benchmarks/README.md",
    "config/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
# What is never read, so that the search for pages does not walk through models and environments.
exclude_patterns = [".*", "examples", "logs", "resources", "results", "site", "tests", "workflow"]

extensions = [
    "sphinx.ext.autodoc",
    "myst_parser",
    "sphinx_copybutton",
    "mathml",
    "library_pages",
    "page_links",
    "plain_docstrings",
]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 120
add_module_names = False
# Annotations name their types without a module; two modules may have an Utterance.
suppress_warnings = ["ref.python"]
toc_object_entries_show_parents = "hide"

highlight_language = "text"

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "slimspeech"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_theme_options = {"navigation_with_keys": True}
