"""Read files of a project's folder, and nothing that is other people's."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

# Folders that hold other people's files.
NOT_OURS = {
    ".git", ".hg", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "site-packages",
    "__pycache__", "build", "dist", "staticfiles", "container", ".workspaces",
}  # fmt: skip


def files_named(folder: Path, name: str) -> list[PurePosixPath]:
    """The files of a name, which may hold *, relative to ``folder``; those near its top first."""
    found = []
    for path in folder.rglob(name):
        parts = path.relative_to(folder).parts
        if path.is_file() and not NOT_OURS & set(parts) and not any("{{" in p for p in parts):
            found.append(PurePosixPath(*parts))
    return sorted(found, key=lambda path: (len(path.parts), path))


def text_of(path: Path) -> str:
    """The text of a file; nothing if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def toml_of(file: Path) -> dict[str, Any]:
    """What a TOML file says; nothing if it is not there, or is none."""
    try:
        return tomllib.loads(text_of(file))
    except tomllib.TOMLDecodeError:
        return {}
