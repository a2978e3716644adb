"""The magics: ``%%dockerfile`` holds instructions, ``%%terminal`` commands, ``%%file`` a file.

And ``%%needs NAME`` above any cell: it is skipped where the reader has not set that variable.
"""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any, NoReturn

from IPython import get_ipython

from ..errors import WorkshopError
from ..show.display import Shown
from . import explain, workspace
from .results import Change, StepResult
from .terminal import Answer, Answers, failed, part


def dockerfile(line: str, cell: str | None = None) -> StepResult | Change:
    """Put the cell's lines into the Dockerfile as the step NAME, and build the image so far.

    `%%dockerfile NAME --replace FIRST [LAST]` puts them in place of steps that are there:
    the one that holds the text FIRST, and all that follow up to the one that holds LAST.
    """
    try:
        name, *rest = shlex.split(line)
    except ValueError:
        name, rest = "", []
    if name and not rest:
        return workspace.current().put(name, cell or "")
    if name and rest[0] == "--replace" and len(rest) in (2, 3):
        return workspace.current().replace(name, cell or "", *rest[1:])
    raise WorkshopError(
        "A %%dockerfile cell needs one name for its step.",
        "Write `%%dockerfile my-step`, or `%%dockerfile my-step --replace FIRST LAST`.",
    )


def terminal(line: str, cell: str | None = None) -> Shown | None:
    """Run the cell's commands as a person types them, in the chapter's folder.

    `--out NAME` keeps what they printed, with their exit status, under that name. `--wait`
    repeats the cell's one command until it succeeds; `--until TEXT` until it also printed that.
    `--first N` shows the first N lines only, `--only TEXT` those that hold TEXT, `--hide` none:
    without `--out`, it shows the commands that failed.
    """
    found = _options(line)
    commands, here = cell or "", workspace.current().terminal
    if found.wait or found.until:
        answer: Answer | Answers = here.wait_for(commands, found.until)
    else:
        answer = here.run(commands)
    if found.out:
        ipython = get_ipython()
        assert ipython is not None
        ipython.user_ns[found.out] = answer
    shown: Shown = answer
    if found.first or found.only or found.hide:
        shown = part(answer, found.first, found.only, found.hide)
    if found.hide and not found.out and len(errors := failed(answer)):
        shown = errors
    return shown if shown.text() else None


def file(line: str, cell: str | None = None) -> None:
    """Write the cell's lines to the file PATH of the chapter's folder."""
    words = line.split()
    if len(words) != 1:
        raise WorkshopError(
            "A %%file cell needs the path of one file.", "Write `%%file compose.yaml`."
        )
    ws = workspace.current()
    if not (ws.path / words[0]).resolve().is_relative_to(ws.path.resolve()):
        raise WorkshopError(
            f"{words[0]} is outside of the chapter's folder.", "Name a file within it."
        )
    ws.write(words[0], cell or "")


NEEDS = "%%needs "


def skip_without(lines: list[str]) -> list[str]:
    """The lines of a cell. Below `%%needs NAME` they only say so where NAME is not set.

    Where it is, `$NAME` stands for it in the chapter's terminal.
    """
    if not lines or not lines[0].startswith(NEEDS):
        return lines
    name = lines[0].removeprefix(NEEDS).strip()
    value = os.environ.get(name)
    if not value:
        return [f'print("Skipped, because {name} is not set.")\n']
    workspace.current().terminal.variables[name] = value
    return lines[1:]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WorkshopError(
            f"%%terminal: {message}.",
            "It takes --out NAME, --wait, --until TEXT, --first N, --only TEXT and --hide.",
        )


def _options(line: str) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", default="")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--until", default="")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--hide", action="store_true")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise WorkshopError(f"%%terminal: {error}.") from None
    found = parser.parse_args(words)
    if found.out and not found.out.isidentifier():
        raise WorkshopError(f"%%terminal: {found.out!r} is no name for a variable of Python.")
    return found


def load(shell: Any) -> None:
    """Make the magics known to IPython, and let it show some errors in a line."""
    for magic in (dockerfile, terminal, file):
        shell.register_magic_function(magic, magic_kind="cell", magic_name=magic.__name__)
    shell.input_transformers_cleanup.append(skip_without)
    explain.load(shell)
