"""The one magic: ``%%dockerfile NAME``, and what it replaces."""

from __future__ import annotations

import shlex
from typing import Any

from ..errors import WorkshopError
from . import workspace


def dockerfile(line: str, cell: str | None = None) -> workspace.StepResult | workspace.Change:
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
    """Register the magic with IPython, and colour its cells as a Dockerfile where possible."""
    shell.register_magic_function(dockerfile, magic_kind="cell", magic_name="dockerfile")
