"""A second clone of this repository, with what is not committed yet."""

import shutil
import subprocess
from pathlib import Path

from workshop.paths import ROOT


def make(folder: Path) -> Path:
    """Copy what git knows, or would, to ``folder``; gives that folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder
