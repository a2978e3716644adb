"""Just enough Dockerfile grammar to grow one step by step.

A *step* is a paragraph: the lines between two blank lines, with its comments. So a
Dockerfile is its steps joined by blank lines, and cutting is the inverse of joining.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import WorkshopError

_FROM = re.compile(
    r"FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE
)
_ARG = re.compile(r"ARG\s+(?P<name>\w+)=(?P<default>\S*)\s*$", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Stage:
    """A build stage: its name (empty if it has none) and the image it starts from."""

    name: str
    base: str


def steps(text: str) -> list[str]:
    """The steps of a Dockerfile, without the blank lines between them."""
    return [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def join(parts: list[str]) -> str:
    """A Dockerfile made of ``parts``: the inverse of ``steps``."""
    return "\n\n".join(parts) + "\n"


def instructions(text: str) -> list[str]:
    """The instructions of a Dockerfile or a part of one, each on one line, no comments."""
    found: list[str] = []
    open_line = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        open_line += stripped
        if stripped.endswith("\\"):
            open_line = open_line[:-1]
            continue
        found.append(open_line)
        open_line = ""
    return [*found, open_line] if open_line else found


def stage_of(instruction: str) -> Stage | None:
    """The stage that a FROM instruction opens; None for any other instruction."""
    match = _FROM.match(instruction)
    return Stage(match["name"] or "", match["base"]) if match else None


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile, in order; build arguments in FROM have their defaults."""
    defaults: dict[str, str] = {}
    found = []
    for instruction in instructions(text):
        if stage := stage_of(instruction):
            base = _REFERENCE.sub(lambda match: defaults.get(match[1], match[0]), stage.base)
            found.append(Stage(stage.name, base))
        elif (match := _ARG.match(instruction)) and not found:
            defaults[match["name"]] = match["default"]
    return found


def upto_stage(text: str, name: str) -> list[str]:
    """The steps of ``text`` up to the end of stage ``name``; all must be steps of one stage.

    Raises WorkshopError when there is no such stage.
    """
    kept: list[str] = []
    seen = False
    for step in steps(text):
        opened = stages(step)
        if seen and opened:
            return kept
        seen = seen or any(stage.name == name for stage in opened)
        kept.append(step)
    if seen:
        return kept
    names = ", ".join(stage.name for stage in stages(text) if stage.name) or "none with a name"
    raise WorkshopError(f"The Dockerfile has no stage {name!r}.", f"Its stages: {names}.")
