"""What the cells of a chapter answer with: what a step added, and what a change made."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..build.buildx import Build
from ..show.display import Composed, Listing, Stack, size

_SETTINGS = {
    "WorkingDir": "WORKDIR",
    "User": "USER",
    "Entrypoint": "ENTRYPOINT",
    "Cmd": "CMD",
    "ExposedPorts": "EXPOSE",
    "Healthcheck": "HEALTHCHECK",
    "StopSignal": "STOPSIGNAL",
}


@dataclass(repr=False)
class Added(Composed):
    """What a step added to the image: layers, files, bytes; and the settings it changed.

    For a step that only opens a stage ``base`` names the image that the stage starts
    from, and ``bytes`` is that image's size.
    """

    layers: int
    files: int
    bytes: int
    settings: list[str]
    base: str = ""

    def parts(self) -> Stack:
        if self.base:
            return Stack([f"Starts from {self.base}: {size(self.bytes)}."])
        lines = ["Added no layer."]
        if self.layers:
            layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
            files = "1 file" if self.files == 1 else f"{self.files:,} files"
            lines = [f"Added {layers}: {size(self.bytes)} in {files}."]
        return Stack(lines + [f"Set {setting}" for setting in self.settings])


@dataclass(repr=False)
class StepResult(Composed):
    """The answer of a ``%%dockerfile`` cell: the build, and what the step added.

    ``build`` is None as long as the Dockerfile has no stage.
    """

    name: str
    build: Build | None
    added: Added

    def parts(self) -> Stack:
        if self.build is None:
            return Stack(["Nothing to build yet: no stage begins before the first FROM."])
        return Stack([self.build, self.added])


@dataclass(repr=False)
class Diff(Listing):
    """Lines of a difference, without numbers."""

    def _numbered(self) -> list[str]:
        return list(self.lines)


@dataclass(repr=False)
class Change(Composed):
    """The answer of a ``%%dockerfile`` cell that replaces steps: the difference and the build.

    ``bytes_before`` and ``bytes`` are those of the whole image.
    """

    diff: Diff
    build: Build
    bytes_before: int
    bytes: int

    def parts(self) -> Stack:
        change = f"The image has {size(self.bytes)}; before, it had {size(self.bytes_before)}."
        return Stack([self.diff, self.build, change])


def difference(path: str, before: str, after: str) -> Diff:
    """How the text ``before`` of a file became ``after``, with a line of context around."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    told = ["…" if line.startswith("@@") else line for line in lines]
    return Diff(f"{path}, edited", told[3:])


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings of an image that differ, as ``NAME value``; labels are left out."""
    old_env, new_env = before.get("Env") or [], now.get("Env") or []
    changed = [f"ENV {entry}" for entry in new_env if entry not in old_env]
    for key, word in _SETTINGS.items():
        value = now.get(key) or None
        if value != (before.get(key) or None):
            changed.append(f"{word} {value if isinstance(value, str) else json.dumps(value)}")
    return changed
