"""Files for browsers: the folder whose package.json builds them, and how."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .tree import text_of

_LOCKS_OF_NODE = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "package-lock.json": "npm"}
_NODE = "24"
# Where there are several, the one for production.
_BUILDS = ("build:production", "build:prod", "build")
# What installing reads besides package.json and the lock file.
_NODE_SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml")
# Scripts that installing runs.
_NODE_HOOKS = {"preinstall", "install", "postinstall", "prepublish", "prepare"}


@dataclass(frozen=True)
class Assets:
    """Files for browsers that a script of package.json builds, in ``folder``.

    ``first`` are the files that its packages are installed from; empty where installing runs a
    script that may need the whole project.
    """

    folder: PurePosixPath
    base: str
    manager: str
    lock: str
    first: tuple[str, ...]
    script: str = "build"


def build_script(package: Path) -> str:
    """The script of a package.json that builds, the one for production first; empty if none."""
    try:
        scripts = json.loads(text_of(package)).get("scripts", {})
        return next((name for name in _BUILDS if name in scripts), "")
    except (json.JSONDecodeError, AttributeError, TypeError):
        return ""


def assets_of(folder: Path, root: PurePosixPath) -> Assets | None:
    """What builds files for browsers, at the top, beside manage.py or in `frontend`."""
    for place in dict.fromkeys([PurePosixPath(), root, PurePosixPath("frontend")]):
        there = folder / place
        # With a Dockerfile of its own it is another program.
        is_another = place not in (PurePosixPath(), root) and (there / "Dockerfile").is_file()
        script = build_script(there / "package.json")
        if is_another or not script:
            continue
        package = json.loads(text_of(there / "package.json"))
        scripts = package["scripts"]
        lock = next((name for name in _LOCKS_OF_NODE if (there / name).is_file()), "")
        manager = _LOCKS_OF_NODE.get(lock, "npm")
        first = [name for name in ("package.json", lock, *_NODE_SETTINGS) if name]
        first = [name for name in first if (there / name).is_file()]
        # What one of these starts may need any file of the project.
        has_patches = (there / ".yarn").is_dir() or (there / "patches").is_dir()
        # Those of a workspace are installed with the package.json of each member.
        is_workspace = "workspaces" in package or "packages:" in text_of(
            there / "pnpm-workspace.yaml"
        )
        if _NODE_HOOKS & set(scripts) or has_patches or is_workspace:
            first = []
        told = text_of(there / ".nvmrc") or text_of(there / ".node-version")
        version = re.match(r"v?(\d+)", told.strip())
        base = f"node:{version[1] if version else _NODE}-slim"
        return Assets(place, base, manager, lock, tuple(first), script)
    return None
