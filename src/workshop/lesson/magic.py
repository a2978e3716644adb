"""The one magic: ``%%dockerfile NAME``."""

from __future__ import annotations

import shlex
from typing import Any

from ..errors import WorkshopError
from . import explain, workspace
from .results import Change, StepResult


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


def load(shell: Any) -> None:
    """Make the magic known to IPython, and let it show some errors in a line."""
    shell.register_magic_function(dockerfile, magic_kind="cell", magic_name="dockerfile")
    explain.load(shell)
