"""Cut the text of a terminal cell into commands, with the quoting of a POSIX shell.

One command a line, quotes, ``\\`` before a character and at the end of a line, comments, and
``$NAME`` from given variables, ``export NAME=$(command)``: what is common to every shell, so that
a cell also runs where there is none. The rules are those of POSIX.1-2024, Shell Command Language,
2.2 Quoting. What only a shell can do (pipes, redirections, ``&&``, wildcards) is refused, with
what to do. A variable stays one word, whatever is in it, as in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import WorkshopError

_NAME = r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})"
_PIECE = re.compile(
    rf"""(?P<joined>\\\n)            # a command goes on in the next line
      | (?P<end>\n)
      | (?P<space>[ \t]+)
      | '(?P<single>[^']*)'
      | "(?P<double>(?:\\.|[^"\\])*)"
      | \\(?P<escaped>[^\n])
      | {_NAME}
      | \$\((?P<command>[^()]+)\)
      | (?P<plain>[^\s'"\\$|&;<>()`*?\[\]]+)
      | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_DOUBLE = re.compile(
    rf'\\(?P<escaped>["\\$`\n])|{_NAME}|\$\((?P<command>[^()"]+)\)|(?P<other>\$[\d#?$!@*({{-]|`)|(?P<plain>.)',
    re.DOTALL,
)


class Variable(str):
    """The name of a variable, where its value belongs."""


class Command(str):
    """The text of a command, where its output belongs."""


@dataclass(frozen=True)
class Typed:
    """One command: the text as it was typed, and its words, each cut at its variables."""

    text: str
    parts: tuple[tuple[str, ...], ...]

    @property
    def is_export(self) -> bool:
        return self.parts[0] == ("export",)

    def words(self, variables: Mapping[str, str], output: Callable[[str], str] = str) -> list[str]:
        """The words with the values of ``variables``, each of which stays within its word.

        ``output`` gives the output of a command in ``$(…)``, which only an export can have.
        Raises WorkshopError for a variable that is not set.
        """
        return ["".join(_value(part, variables, output) for part in word) for word in self.parts]


def parse(cell: str) -> list[Typed]:
    """The commands of a cell, in order.

    Raises WorkshopError for an open quote, and for what needs a shell.
    """
    found: list[Typed] = []
    words: list[tuple[str, ...]] = []
    word: list[str] | None = None  # None between two words; an empty list is an empty word
    start = at = 0
    while at <= len(cell):
        piece = _PIECE.match(cell, at)
        if piece is None or piece["end"] or piece["space"]:
            if word is not None:
                words.append(tuple(word))
                word = None
            if (piece is None or piece["end"]) and words:
                found.append(_checked(Typed(cell[start:at].strip(), tuple(words))))
                words = []
            if piece is None:
                break
        elif word is None and piece["other"] is None and cell[at] == "#":
            at = cell.find("\n", at) if "\n" in cell[at:] else len(cell)
            continue
        elif not piece["joined"]:
            if word is None and (piece["plain"] or "").startswith("~"):
                raise _refused("~")
            if word is None and not words:
                start = at
            word = [*(word or []), *_parts(piece)]
        at = piece.end()
    return found


def _checked(typed: Typed) -> Typed:
    """``typed``, if its ``$(…)`` can be read and stand in an export."""
    first = "".join(typed.parts[0])
    name, mark, _ = first.partition("=")
    if mark and name.isidentifier():
        raise WorkshopError(
            f"`{typed.text}` sets a variable as a shell does, and there is none here.",
            f"Write `export {name}=…` on a line of its own.",
        )
    for part in (part for word in typed.parts for part in word if isinstance(part, Command)):
        if not typed.is_export or len(parse(part)) != 1:
            raise WorkshopError(
                f"The output of `{part}` can become a variable, and nothing else.",
                f"Write `export NAME=$({part})`, and $NAME in the next line.",
            )
    return typed


def _parts(piece: re.Match[str]) -> list[str]:
    """What a piece of a word stands for: text, and variables."""
    if piece["other"]:
        raise _refused(piece["other"])
    if piece["double"] is not None:
        return [part for inside in _IN_DOUBLE.finditer(piece["double"]) for part in _in(inside)]
    if name := piece["name"] or piece["braced"]:
        return [Variable(name)]
    if piece["command"]:
        return [Command(piece["command"])]
    return [piece["single"] or piece["escaped"] or piece["plain"] or ""]


def _in(inside: re.Match[str]) -> list[str]:
    """What a piece of a text in double quotes stands for."""
    if inside["other"]:
        raise _refused(inside["other"])
    if name := inside["name"] or inside["braced"]:
        return [Variable(name)]
    if inside["command"]:
        return [Command(inside["command"])]
    escaped = inside["escaped"]
    return [inside["plain"] if escaped is None else escaped.replace("\n", "")]


def _value(part: str, variables: Mapping[str, str], output: Callable[[str], str]) -> str:
    if isinstance(part, Command):
        return output(part)
    if not isinstance(part, Variable):
        return part
    if part not in variables:
        raise WorkshopError(
            f"${part} is not set in this chapter. Set are: "
            f"{', '.join(f'${known}' for known in sorted(variables))}.",
            f"Correct the name, or set it first: `export {part}=…` on a line of its own.",
        )
    return variables[part]


def _refused(character: str) -> WorkshopError:
    if character in "'\"":
        return WorkshopError(
            f"A quote ({character}) is opened and not closed.", "Close it, and run the cell again."
        )
    if character.isspace():
        return WorkshopError(
            f"The space {character!r} separates no words; texts from web pages have it.",
            "Replace it by an ordinary one.",
        )
    return WorkshopError(
        f"{character!r} is for a shell, and there is none here.",
        "Write one command a line; what needs a shell goes into `sh -c '…'`.",
    )
