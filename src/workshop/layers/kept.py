"""Keep what was read: each layer by its digest, each configuration by its image's id.

A layer never changes under its name. A configuration may, where the id is that of an index of
several platforms: who loads it compares its layers with those that the engine names. It lies in the
user's cache folder. Where that can't be written nothing is kept, and all still works.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from .layer import Contents
from .tar import Entry

MOST_FILES = 300


def folder() -> Path:
    """Where it is kept; it need not exist."""
    return Path(platformdirs.user_cache_dir("dockerfile-workshop", appauthor=False)) / "layers"


def forget() -> None:
    """Remove everything that was kept."""
    for file in folder().glob("*.json"):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def load_config(image_id: str) -> dict[str, Any] | None:
    """The configuration of an image, or None if it is not kept."""
    found = _load(_file("image", image_id))
    return found if isinstance(found, dict) else None


def store_config(image_id: str, config: dict[str, Any]) -> None:
    """Keep the configuration of an image."""
    _store(_file("image", image_id), config)


def load_layer(diff_id: str) -> Contents | None:
    """What a layer stores, or None if that is not kept."""
    data = _load(_file("layer", diff_id))
    try:
        rows = zip(*data["entries"], strict=True)
        return Contents(**{**data, "entries": [Entry._make(row) for row in rows]})
    except (KeyError, TypeError, ValueError):
        return None


def store_layer(diff_id: str, contents: Contents) -> None:
    """Keep what a layer stores."""
    data = asdict(contents)
    # Columns take half the room of rows, and load in half the time.
    data["entries"] = [list(column) for column in zip(*contents.entries, strict=True)]
    _store(_file("layer", diff_id), data)


def _file(kind: str, digest: str) -> Path:
    return folder() / f"{kind}-{digest.removeprefix('sha256:')}.json"


def _load(path: Path) -> Any:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the last use decides what has to go first
    return data


def _store(path: Path, data: Any) -> None:
    """Write all of it or nothing: others may read and write the same at the same time."""
    if not path.is_absolute():
        return  # nobody's home: there is no cache folder
    new = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        # Not the home itself, nor what is above it.
        for made in (path.parents[2], path.parents[1], path.parent):
            made.mkdir(exist_ok=True)
        new.write_text(json.dumps(data), encoding="utf-8")
        new.replace(path)
        kept = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-MOST_FILES]:
            old.unlink(missing_ok=True)
    except OSError:  # no room, no right, or another process cleans up too
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
