"""The site: the notebooks with their stored outputs, and what is written beside them.

`make site` builds it from the top of the repository, and nothing is executed.
"""

import functools
import re
from importlib.metadata import version as installed

import nbformat
from docutils import nodes
from pygments.lexer import Lexer
from pygments.lexers import BashLexer, DockerLexer, get_lexer_for_filename
from pygments.lexers.python import PythonLexer
from pygments.token import Name
from pygments.util import ClassNotFound

from workshop.lesson import claims, notebooks

project = "Dockerfile for Django Devs"
release = installed("dockerfile-workshop")
html_title = project
root_doc = "README"
include_patterns = ["*.md", "notebooks/*.ipynb", "docs/*.md"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

nb_execution_mode = "off"
# Two dashes are the beginning of an option, and not one long dash.
smartquotes = False
# Chapters link to headings of other pages as GitHub names them.
myst_heading_anchors = 4

html_theme = "furo"
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
# A visitor begins at index.html.
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"

# What is beside the chapters, in the order in which it is listed.
BESIDE = [
    "docs/glossary",
    "docs/claims",
    "docs/scaling",
    "docs/teaching",
    "docs/api",
    "CONTRIBUTING",
    "SECURITY",
    "CHANGELOG",
]


class CellLexer(Lexer):
    """Colours a cell as what it holds: Python, or what its magic says."""

    name = "Cell of a notebook"
    OF_MAGIC = {"dockerfile": DockerLexer, "terminal": BashLexer}

    def get_tokens_unprocessed(self, text):
        magic = re.match(r"%%(\w+)(.*)\n?", text)
        if magic is None:
            yield from PythonLexer().get_tokens_unprocessed(text)
            return
        yield 0, Name.Decorator, magic[0]
        # What a cell needs says nothing about what it holds.
        lexer = self if magic[1] == "needs" else self._of(*magic.groups())
        for at, kind, value in lexer.get_tokens_unprocessed(text[magic.end() :]):
            yield magic.end() + at, kind, value

    def _of(self, magic, rest):
        if magic in self.OF_MAGIC:
            return self.OF_MAGIC[magic]()
        try:
            return get_lexer_for_filename(rest.strip())
        except ClassNotFound:
            return BashLexer()


@functools.cache
def titles():
    """The title of each chapter, by the name of its file."""
    return {
        path.stem: nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0].lstrip("# ")
        for path in notebooks.chapters()
    }


def contents():
    """The list of pages. It is added here, because GitHub would show it in the README as text."""
    chapters = [f"{name[:2]} {title} <notebooks/{name}>" for name, title in titles().items()]
    return "".join(
        "\n\n```{toctree}\n:hidden:\n" + f":caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
        for caption, pages in (("Chapters", chapters), ("Beside them", BESIDE))
    )


def code(text):
    """Text as code in a cell of a table of Markdown."""
    return "`` " + " ".join(text.split()).replace("|", "\\|") + " ``" if text else ""


def link_to_cell(chapter, number):
    """A link to a cell of a chapter, which `name_cells` has given its name."""
    return f'<a href="../notebooks/{chapter}.html#cell-{number}">{number}</a>'


def claims_as_tables():
    """The claims of all chapters as tables; `workshop run --in-place` keeps them."""
    lines = []
    for chapter, told in claims.stored().items():
        lines += [
            "", f"## {chapter[:2]} {titles()[chapter]}", "",
            f"[The chapter](../notebooks/{chapter}.ipynb), measured on {told['date']}: "
            f"{told['machine']}.",
            "", "| Cell | Claim | Asked | Seen |", "|---:|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {link_to_cell(chapter, one['cell'])} | {one['claim']} | {code(one['asked'])} "
            f"| {code(one['seen'])} |"
            for one in told["claims"]
        ]
    return "\n".join(lines)


def add_to_pages(app, docname, source):
    if docname == root_doc:
        source[0] += contents()
    if docname == "docs/claims":
        source[0] += claims_as_tables()


def name_cells(app, doctree):
    for cell in doctree.findall(nodes.container):
        if cell.get("exec_count"):
            cell["ids"].append(f"cell-{cell['exec_count']}")


def setup(app):
    app.add_lexer("python", CellLexer)
    app.connect("doctree-read", name_cells)
    app.connect("source-read", add_to_pages)
