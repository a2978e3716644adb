"""Where things are."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import platformdirs

APP = "dockerfile-workshop"

# What an installed package carries along; in a clone these files are above the package.
CARRIED = Path(__file__).with_name("tutorial")
FOLDER = "dockerfile-for-django-devs"
FIRST = "00-start-here.ipynb"


def _root() -> Path:
    """The folder with the notebooks: the clone, or a reader's copy of what was installed.

    A copy is looked for in the current folder and above it; `workshop lab` makes one in the
    home folder where there is none.
    """
    if not CARRIED.is_dir():
        return Path(__file__).resolve().parents[2]
    here = Path(os.path.abspath("."))
    copies = (f for f in (here, *here.parents) if (f / "notebooks" / FIRST).is_file())
    return next(copies, Path(os.path.expanduser("~"), FOLDER))


ROOT = _root()
NOTEBOOKS = ROOT / "notebooks"
SAMPLE_PROJECT = ROOT / "sample_project"
DOCKERFILE = ROOT / "Dockerfile"
ENTRYPOINT = ROOT / "entrypoint.sh"
VARIANTS = ROOT / "variants"
WORKSPACES = ROOT / ".workspaces"
EXECUTED = ROOT / "_executed"
SLIDES = ROOT / "_slides"


def copy_carried() -> bool:
    """Make the reader's copy of what was installed; true if it was not there.

    Raises OSError when the folder can't be made.
    """
    if not CARRIED.is_dir() or (NOTEBOOKS / FIRST).is_file():
        return False
    # The first chapter comes last: a copy that was interrupted has none, and is made again.
    without = shutil.ignore_patterns(FIRST)
    shutil.copytree(CARRIED, ROOT, ignore=without, copy_function=_copy_new, dirs_exist_ok=True)
    _copy_new(str(CARRIED / "notebooks" / FIRST), str(NOTEBOOKS / FIRST))
    return True


def _copy_new(source: str, target: str) -> None:
    """Copy a file unless it is there: it is the reader's, who may have changed it."""
    if not os.path.exists(target):
        shutil.copy2(source, f"{target}.part")
        os.replace(f"{target}.part", target)


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


def room_folder() -> Path:
    """The folder that all readers of one engine share, for locks; made when missing.

    It is the reader's own, unless the variable WORKSHOP_ROOM names one for readers who have
    several homes.
    """
    folder = Path(os.environ.get("WORKSHOP_ROOM") or state_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_private(folder: Path) -> bool:
    """Make ``folder`` unless it is there; true when it belongs to this user and is writable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        return mine and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file at once: who reads it meanwhile sees the text of before, or all of this.

    ``mode`` are its permissions, of which the umask takes some, as for every new file.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.touch(mode)
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def program(name: str) -> str | None:
    """Where a program is: of the tutorial's own environment, else of the PATH; None if nowhere."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(folders))
