"""Just enough Dockerfile grammar to grow one step by step.

A *step* is a paragraph: the lines between two blank lines, with its comments. So a
Dockerfile is its steps joined by blank lines, and cutting is the inverse of joining.
The body of a heredoc belongs to its instruction, blank lines included.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import WorkshopError

_FROM = re.compile(
    r"FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE
)
_ARG = re.compile(r"ARG\s+(?P<words>.+)$", re.IGNORECASE)
_REFERENCE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\})")
_HEREDOC = re.compile(r"\d*<<(?P<dash>-?)(?P<quote>[\"']?)(?P<word>[^\s<\"']+)(?P=quote)")
_WITH_HEREDOC = re.compile(r"(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """A build stage: its name (empty if it has none) and the image it starts from."""

    name: str
    base: str


def steps(text: str) -> list[str]:
    """The steps of a Dockerfile, without the blank lines between them."""
    found: list[list[str]] = [[]]
    for line, in_heredoc in _lines(text):
        if line.strip() or in_heredoc:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(part) for part in found if part]


def join(parts: list[str]) -> str:
    """A Dockerfile made of ``parts``: the inverse of ``steps``; empty without any."""
    return "\n\n".join(parts) + "\n" if parts else ""


def instructions(text: str) -> list[str]:
    """The instructions of a Dockerfile or a part of one, each on one line, no comments.

    The body of a heredoc, which is no instruction, follows on lines of its own.
    """
    found: list[str] = []
    open_line = ""
    for line, in_heredoc in _lines(text):
        if in_heredoc:
            found[-1] += f"\n{line}"
            continue
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        open_line = _joined(open_line, line)
        if _goes_on(stripped):
            open_line = open_line[:-1]
            continue
        found.append(open_line)
        open_line = ""
    return [*found, open_line] if open_line else found


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line of ``text``, and whether it belongs to the body of a heredoc."""
    open_line = ""
    ends: list[tuple[str, bool]] = []
    for line in text.split("\n"):
        if ends:
            word, is_indented = ends[0]
            if (line.lstrip("\t") if is_indented else line).rstrip("\r") == word:
                ends.pop(0)
            yield line, True
            continue
        yield line, False
        stripped = line.strip()
        if not stripped.startswith("#"):
            open_line = _joined(open_line, line)
            if _goes_on(stripped):
                open_line = open_line[:-1]
            elif stripped:
                ends, open_line = _heredocs(open_line), ""


def _joined(open_line: str, line: str) -> str:
    """An instruction with one more of its lines, whose indentation keeps two words apart."""
    needs_space = open_line and not open_line[-1].isspace() and line[:1].isspace()
    return f"{open_line}{' ' if needs_space else ''}{line.strip()}"


def _goes_on(line: str) -> bool:
    """True for a line that the next one continues; a second backslash quotes the first."""
    return line.endswith("\\") and not line.endswith("\\\\")


def _heredocs(instruction: str) -> list[tuple[str, bool]]:
    """The words that end the heredocs of an instruction; True where tabs may stand before one."""
    if not _WITH_HEREDOC.match(instruction):
        return []
    try:
        words = shlex.split(instruction, posix=False)
    except ValueError:  # a quote that is not closed is the shell's business
        words = instruction.split()
    found = (_HEREDOC.fullmatch(word) for word in words)
    return [(match["word"], bool(match["dash"])) for match in found if match]


def stage_of(instruction: str) -> Stage | None:
    """The stage that a FROM instruction opens; None for any other instruction."""
    match = _FROM.match(instruction)
    return Stage(match["name"] or "", match["base"]) if match else None


def stages(text: str, arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """The stages of a Dockerfile, in order.

    Build arguments in FROM have the values in ``arguments``, else their defaults; one that
    has neither stays as it is written.
    """
    given = dict(arguments or {})
    known: dict[str, str] = {}
    found = []
    for instruction in instructions(text):
        if stage := stage_of(instruction):
            found.append(Stage(stage.name, _with_values(stage.base, known)))
        elif (match := _ARG.match(instruction)) and not found:
            for word in _words(match["words"]):
                name, _, default = word.partition("=")
                if name in given:
                    known[name] = given[name]
                elif "=" in word:
                    known[name] = _with_values(default, known)
    return found


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _with_values(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match["plain"] or match["name"], match["default"])
        return match[0] if found is None else found

    return _REFERENCE.sub(value, text)


def earlier_stage(found: list[Stage], number: int) -> int | None:
    """The number of the stage that stage ``number`` starts from; None if that is an image.

    A stage's own name is no stage before it: `FROM node AS node` starts from an image.
    """
    base = found[number].base.lower()
    return next((i for i in reversed(range(number)) if found[i].name.lower() == base), None)


def base_image(text: str, arguments: Mapping[str, str] | None = None) -> str:
    """The image that the last stage starts from, through the stages between.

    Empty for `FROM scratch`, and for a Dockerfile without a stage.
    """
    found = stages(text, arguments)
    if not found:
        return ""
    number = len(found) - 1
    while (earlier := earlier_stage(found, number)) is not None:
        number = earlier
    base = found[number].base
    return "" if base == "scratch" else base


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
