"""A notebook as a page of HTML: cells are coloured as what they hold."""

import re

import nbformat

from workshop.lesson import notebooks


def page_of(source):
    notebook = nbformat.v4.new_notebook()
    # As it is stored.
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(source)]
    return notebooks.as_page(notebook)


def coloured(page):
    """The words of the cell by the short name of their colour."""
    inside = re.search(r'<div class="highlight[^>]*><pre>(.*?)</pre>', page, re.DOTALL)[1]
    return re.findall(r'<span class="(\w+)">([^<\s]+)</span>', inside)


def test_instructions_are_coloured_as_a_dockerfile():
    words = coloured(page_of("%%dockerfile base\nFROM python:3.13-slim AS builder"))
    assert ("k", "FROM") in words
    assert ("k", "AS") in words


def test_commands_are_coloured_as_a_shell():
    assert ("nv", "$IMAGE") in coloured(page_of("%%terminal --out x\ndocker run --rm $IMAGE"))


def test_python_is_python():
    assert ("kn", "import") in coloured(page_of("import re"))


def page_of_text(text):
    return notebooks.as_page(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)]))


def test_a_hint_is_folded():
    page = page_of_text("<details>\n<summary>A hint</summary>\n\nUse `exec`.\n\n</details>")
    folded = re.search(r"<details>(.*?)</details>", page, re.DOTALL)[1]
    assert "<code>exec</code>" in folded


def test_a_page_holds_its_pictures():
    page = page_of_text("![The site](../docs/site.png)")
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "site.png" not in page
