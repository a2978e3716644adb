"""Where things are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

# The package runs from the repo (an editable install), never from site-packages alone.
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SAMPLE_PROJECT = ROOT / "sample_project"
DOCKERFILE = ROOT / "Dockerfile"
ENTRYPOINT = ROOT / "entrypoint.sh"
VARIANTS = ROOT / "variants"
WORKSPACES = ROOT / ".workspaces"
SITE = ROOT / "_site"


def state_folder() -> Path:
    """The reader's own folder for logs and small state; made when missing."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "dockerfile-workshop"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def program(name: str) -> str | None:
    """Where a program is: of the tutorial's own environment, else of the PATH; None if nowhere."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(folders))
