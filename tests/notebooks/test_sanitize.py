"""Each pattern of the sanitizer hides what its comment says, and no more."""

import re
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

from workshop.lesson import notebooks

CONFIG = Path(__file__).with_name("sanitize.cfg")


def patterns():
    """{title: (regex, replacement)}, read as nbval reads them."""
    text = CONFIG.read_text(encoding="utf-8")
    titles = re.findall(r"^\[(.*)\]$", text, flags=re.MULTILINE)
    return dict(zip(titles, get_sanitize_patterns(text), strict=True))


def examples():
    """(title, kind, text) of each example, which stands above its section."""
    found, waiting = [], []
    for line in CONFIG.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"# (hides|keeps): (.*)", line):
            waiting.append(match.groups())
        elif match := re.match(r"\[(.*)\]$", line):
            found += [(match[1], kind, text) for kind, text in waiting]
            waiting = []
    return found


@pytest.mark.parametrize(("title", "kind", "text"), examples())
def test_pattern_does_what_its_comment_says(title, kind, text):
    regex, replacement = patterns()[title]
    given, _, expected = text.partition(" => ")
    assert re.sub(regex, replacement, given) == (expected if kind == "hides" else given)


def test_every_pattern_has_an_example():
    shown = {title for title, kind, _ in examples() if kind == "hides"}
    assert set(patterns()) == shown


def test_every_pattern_hides_something_in_a_notebook():
    """In their order, as nbval uses them, because one may leave nothing for another."""
    hidden = set()
    for path in notebooks.chapters():
        cells = nbformat.read(path, as_version=4).cells
        for output in [o for cell in cells for o in cell.get("outputs", [])]:
            for text in [output.get("text", ""), *map(str, output.get("data", {}).values())]:
                for title, (regex, replacement) in patterns().items():
                    text, found = re.subn(regex, replacement, text)
                    hidden |= {title} if found else set()
    assert hidden == set(patterns())


def test_letters_of_a_picture_are_not_taken_for_anything_else():
    shown = '<img src="data:image/png;base64,iVBO+9MB/12kB+workshop+3s=">'
    for regex, replacement in patterns().values():
        shown = re.sub(regex, replacement, shown)
    assert shown == '<img src="PICTURE">'
