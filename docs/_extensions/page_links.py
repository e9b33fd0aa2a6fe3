"""Links whose text is the name of a Markdown file, as they read well on a Git forge, show the title
of the page here.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def name_by_title(app: Sphinx, doctree: nodes.document) -> None:
    for link in doctree.findall(addnodes.pending_xref):
        if link.get("refdomain") == "doc" and link.astext().endswith(".md"):
            link[0].clear()  # MyST puts the title of the page or section where there is no text
            link["refexplicit"] = False


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", name_by_title)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
