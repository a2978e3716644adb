"""The one magic: ``%%dockerfile NAME``. Imports workspace, errors."""

from __future__ import annotations

from typing import Any

from . import workspace
from .errors import WorkshopError


def dockerfile(line: str, cell: str | None = None) -> workspace.StepResult:
    """Put the cell's lines into the Dockerfile as the step NAME, and build the image so far."""
    name = line.strip()
    if not name or len(name.split()) != 1:
        raise WorkshopError(
            "A %%dockerfile cell needs one name for its step.", "Write `%%dockerfile my-step`."
        )
    return workspace.current().put(name, cell or "")


def load(shell: Any) -> None:
    """Register the magic with IPython, and colour its cells as a Dockerfile where possible."""
    shell.register_magic_function(dockerfile, magic_kind="cell", magic_name="dockerfile")
