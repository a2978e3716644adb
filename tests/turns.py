"""The exercises of the notebooks, cut out of them, and the answers that people give to them.

An exercise is a group of neighbouring cells, told apart by their tags: `exercise` (the task, code
that prepares it, and last the cell that the reader changes), `check`, `hint`, `solution`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from workshop.lesson import notebooks

ANSWERS = Path(__file__).with_name("exercises")
TAGS = ("exercise", "check", "hint", "solution")


@dataclass
class Turn:
    """One exercise: the sources of its cells, and the answers to try.

    ``start`` is the cell that the reader changes. An answer takes the place of its lines, but
    for a first one that begins with `%%`. ``wrong`` are answers, each with a part of what the
    verdict has to say.
    """

    chapter: Path
    first: str  # the chapter's first code cell
    cells: dict[str, list[str]] = field(default_factory=lambda: {tag: [] for tag in TAGS})
    name: str = ""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    right: list[str] = field(default_factory=list)

    @property
    def preparing(self) -> list[str]:
        return self.cells["exercise"][1:-1]

    @property
    def start(self) -> str:
        return self.cells["exercise"][-1]

    def answered(self, answer: str) -> str:
        """The cell that the reader changes, with ``answer`` in it."""
        head, _, _ = self.start.partition("\n")
        return f"{head}\n{answer}" if head.startswith("%%") else answer

    @property
    def solution(self) -> str:
        """The one in the folded cell, the only copy that there is."""
        found = re.search(r"```\w+\n(.*?)```", self.cells["solution"][0], re.DOTALL)
        assert found, self.name
        return found[1]


def turns(path: Path) -> list[Turn]:
    """The exercises of a notebook, in order."""
    notebook = nbformat.read(path, as_version=4)
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    found: list[Turn] = []
    before = ""
    for cell in notebook.cells:
        (tag,) = cell.metadata.get("tags") or [""]
        if tag == "exercise" and before != tag:
            found.append(Turn(path, first))
        if tag:
            found[-1].cells[tag].append(cell.source)
        before = tag
    file = ANSWERS / f"{path.name[:2]}.toml"
    known = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for turn in found:
        named = re.search(r'^exercise\("([\w-]+)"', turn.cells["check"][-1], re.MULTILINE)
        turn.name = named[1] if named else ""
        answers = known.get(turn.name, {})
        turn.wrong = [(given["answer"], given["says"]) for given in answers.get("wrong", [])]
        turn.right = [given["answer"] for given in answers.get("right", [])]
    return found


ALL = [turn for path in notebooks.chapters() for turn in turns(path)]
