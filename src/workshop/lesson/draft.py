"""A Dockerfile while it is written: which steps it has, in which order, and what led to them.

Pure: it asks no engine and touches no file. A draft never changes; ``put`` and ``replace``
give a new one, so whoever keeps the old one can go back to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..build import grammar
from ..errors import WorkshopError


@dataclass(frozen=True)
class Edit:
    """A change that a cell made: its name, and the steps that it found.

    ``step`` is the text that ``put`` added at the end; empty for a ``replace``.
    """

    name: str
    found: tuple[str, ...]
    step: str = ""


@dataclass(frozen=True)
class Draft:
    """The steps of a Dockerfile, and the edits that led to them, oldest first.

    ``plan`` names the steps that are put in this order, one after the other. An edit that is
    made once more starts from the steps that it found the first time: what came after it is
    undone.
    """

    steps: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def text(self) -> str:
        """The Dockerfile."""
        return grammar.join(list(self.steps))

    @property
    def above(self) -> tuple[str, ...]:
        """The steps that the newest edit found."""
        return self.edits[-1].found if self.edits else self.steps

    def step(self, name: str = "") -> str:
        """The text that the edit ``name`` put at the end, without a name the newest one's.

        Empty if there is no such edit, or if it replaced steps.
        """
        wanted = [edit.step for edit in self.edits if edit.name == name or not name]
        return wanted[-1] if wanted else ""

    def put(self, name: str, text: str) -> Draft:
        """Put ``text``, one step, at the end.

        Raises WorkshopError if it is no step, or comes before its turn in the plan.
        """
        text = text.strip("\n")
        if not grammar.instructions(text):
            raise WorkshopError(
                f"The step {name!r} holds no instruction.", "Write one below the first line."
            )
        if len(grammar.steps(text)) > 1:
            raise WorkshopError(
                f"The step {name!r} holds a blank line, which ends a step.",
                "Remove the blank line, or give each step a cell of its own.",
            )
        start = self.before(name)
        start._refuse_a_gap(name)
        return start._edited(name, (*start.steps, text), text)

    def replace(self, name: str, text: str, first: str, last: str = "") -> Draft:
        """Put ``text`` in place of the steps from ``first`` to ``last``.

        Each of the two is a part of one step; without ``last`` only ``first`` is replaced.
        ``text`` may hold several steps. Raises WorkshopError unless each names one step.
        """
        start = self.before(name)
        begin, end = (start.position_of(part) for part in (first, last or first))
        if begin > end:
            raise WorkshopError(f"{last!r} comes before {first!r}.", "Name them the other way.")
        new = grammar.steps(text)
        return start._edited(name, (*start.steps[:begin], *new, *start.steps[end + 1 :]))

    def before(self, name: str) -> Draft:
        """The draft that the edit ``name`` found; this one if there is no such edit."""
        for number, edit in enumerate(self.edits):
            if edit.name == name:
                return replace(self, steps=edit.found, edits=self.edits[:number])
        return self

    def position_of(self, part: str) -> int:
        """The number, from 0, of the one step that holds ``part``; WorkshopError if not one."""
        found = [number for number, step in enumerate(self.steps) if part in step]
        if len(found) != 1:
            raise WorkshopError(
                f"{len(found) or 'No'} steps of the Dockerfile hold {part!r}.",
                "Run the cells above first." if not found else "Name more of the one you mean.",
            )
        return found[0]

    def _edited(self, name: str, steps: tuple[str, ...], step: str = "") -> Draft:
        edit = Edit(name, self.steps, step)
        return replace(self, steps=steps, edits=(*self.edits, edit))

    def _refuse_a_gap(self, name: str) -> None:
        made = {edit.name for edit in self.edits}
        earlier = self.plan[: self.plan.index(name)] if name in self.plan else ()
        missing = next((step for step in earlier if step not in made), None)
        if missing:
            raise WorkshopError(
                f"The step {name!r} comes after {missing!r}, which is not there yet.",
                f"Run the cell `%%dockerfile {missing}` first.",
            )
