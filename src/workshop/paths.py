"""Where things are."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import platformdirs

APP = "dockerfile-workshop"

# The package runs from the repo (an editable install), never from site-packages alone.
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SAMPLE_PROJECT = ROOT / "sample_project"
DOCKERFILE = ROOT / "Dockerfile"
ENTRYPOINT = ROOT / "entrypoint.sh"
VARIANTS = ROOT / "variants"
WORKSPACES = ROOT / ".workspaces"
EXECUTED = ROOT / "_executed"


def state_folder() -> Path:
    """The reader's own folder for logs and small state; made when missing.

    Where the system keeps such things: below XDG_STATE_HOME or ~/.local/state on Linux. A
    folder among the temporary files where that can't be written, as without a home. Raises
    OSError when there is neither.
    """
    usual = platformdirs.user_state_path(APP, appauthor=False)
    home = Path(os.path.expanduser("~"))
    # A home that does not exist is not made; one without a name is the relative path "~".
    has_home = home.is_dir() or (usual.is_absolute() and not usual.is_relative_to(home))
    if has_home and _make_private(usual):
        return usual
    whose = str(os.getuid()) if hasattr(os, "getuid") else "state"
    folder = Path(tempfile.gettempdir(), f"{APP}-{whose}")
    # Anybody may make a folder among the temporary files, also one of this name.
    if _make_private(folder) and not folder.is_symlink():
        return folder
    raise PermissionError(f"no folder for state: neither {usual} nor {folder} can be written")


def _make_private(folder: Path) -> bool:
    """Make ``folder`` unless it is there; true when it belongs to this user and is writable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        return mine and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def program(name: str) -> str | None:
    """Where a program is: of the tutorial's own environment, else of the PATH; None if nowhere."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(folders))
