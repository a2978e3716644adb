"""Slides of a chapter: its cells and their stored outputs, shown by reveal.js without a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import SlidesExporter
from nbconvert.preprocessors import Preprocessor

from ..errors import WorkshopError
from .notebooks import chapters

# nbconvert's own template, without what it loads from elsewhere.
TEMPLATE = Path(__file__).with_name("slides")
HEADING = re.compile("^(?=##? )", re.MULTILINE)
LINK_TO_A_FILE = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)")


class _OneIdeaASlide(Preprocessor):
    """A slide for each heading, and below it one for each cell of text, with the code after it.

    What a cell says before its heading belongs to the slide before, and appears last there.
    """

    def preprocess(
        self, notebook: nbformat.NotebookNode, resources: dict[str, Any]
    ) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
        cells = []
        for cell in notebook.cells:
            if cell.cell_type != "markdown":
                cells.append(_as_slide(cell, "-"))
                continue
            # The other chapters and the glossary are not beside the slides.
            text = LINK_TO_A_FILE.sub(r"\1", cell.source)
            *said, last = HEADING.split(text, maxsplit=1)
            if said and said[0]:
                cells.append(_as_slide(nbformat.v4.new_markdown_cell(said[0]), "fragment"))
            kind = "slide" if said else "subslide"
            cells.append(_as_slide(nbformat.v4.new_markdown_cell(last), kind))
        notebook.cells = cells
        return notebook, resources


def _as_slide(cell: nbformat.NotebookNode, kind: str) -> nbformat.NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def make(names: Iterable[str], folder: Path) -> list[Path]:
    """Write the slides of chapters, and reveal.js beside them, into ``folder``; gives the pages.

    ``names`` are as for notebooks.chapters(). Raises WorkshopError when reveal.js is not
    installed.
    """
    chosen = chapters(names)
    shutil.copytree(_reveal(), folder / "reveal", ignore=_unused, dirs_exist_ok=True)
    exporter = SlidesExporter(
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        preprocessors=[_OneIdeaASlide],
        reveal_url_prefix="reveal",
        reveal_theme="white-contrast",
        reveal_transition="none",
        reveal_number="c/t",
        reveal_width="1280",
        reveal_height="800",
        embed_images=True,
    )
    written = []
    for path in chosen:
        page, _ = exporter.from_filename(str(path))
        written.append(folder / f"{path.stem}.html")
        written[-1].write_text(page, encoding="utf-8")
    return written


def _reveal() -> Path:
    package = find_spec("sphinx_revealjs")
    if package is None or not package.origin:
        raise WorkshopError(
            "Slides need reveal.js, which is not installed.",
            "It comes with `uv sync` in a clone, else with the Python package sphinx-revealjs.",
        )
    return Path(package.origin).parent / "_static" / "revealjs"


def _unused(folder: str, names: list[str]) -> set[str]:
    """Of reveal.js: its sources, its plugins but the speaker's notes, and maps for a debugger."""
    wanted = {"revealjs": {"dist", "plugin", "LICENSE"}, "plugin": {"notes"}}
    here = wanted.get(Path(folder).name, set(names))
    return {name for name in names if name not in here or name.endswith((".map", ".esm.js"))}
