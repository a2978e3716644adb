"""What a `docker compose` command needs so that its things can be told from a reader's own.

Compose takes several files, each on top of the one before. So the labels go into a file of the
tutorial's own on top, and those of the reader stay as they are.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine import client

# Compose's own order: the first that is there, and what lies beside it.
DEFAULTS = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDES = ("compose.override.yaml", "compose.override.yml")
# These look at what is there, or get into it, and make nothing that could carry a label.
_ONLY_LOOK = {"config", "cp", "events", "exec", "images", "logs", "port", "ps", "top", "version"}
_WITH_VALUE = {
    "-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory",
    "--progress", "--ansi", "--parallel",
}  # fmt: skip


def labelled(
    words: Sequence[str], folder: Path, env: Mapping[str, str], labels: dict[str, str], on_top: Path
) -> list[str]:
    """The words behind `docker compose`, with one more file that holds labels.

    For a command that makes things. ``on_top`` is where that file is written. Where Compose can
    not read its own files, the words stay as they are, so that it says why.
    """
    general, rest = split(words)
    if not any(word in ("-f", "--file") or word.startswith("--file=") for word in general):
        for name in _files(folder, env):
            general += ["--file", name]
    told = subprocess.run(
        [client.cli(), "compose", *general, "config", "--format=json", "--no-interpolate"],
        cwd=folder, env=dict(env), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if told.returncode:
        return list(words)
    on_top.parent.mkdir(parents=True, exist_ok=True)
    on_top.write_text(json.dumps(_labels(json.loads(told.stdout), labels)), encoding="utf-8")
    return [*general, "--file", str(on_top), *rest]


def only_looks(words: Sequence[str]) -> bool:
    """True where the command makes nothing: no container, no image."""
    _, rest = split(words)
    return not rest or rest[0] in _ONLY_LOOK


def builds(words: Sequence[str]) -> bool:
    """True where the command says that it builds images."""
    _, rest = split(words)
    return rest[:1] == ["build"] or "--build" in rest


def _files(folder: Path, env: Mapping[str, str]) -> list[str]:
    """The files that Compose reads when no command says which."""
    if told := env.get("COMPOSE_FILE"):
        return told.split(env.get("COMPOSE_PATH_SEPARATOR", os.pathsep))
    there = (
        [name for name in names if (folder / name).is_file()] for names in (DEFAULTS, OVERRIDES)
    )
    return [found[0] for found in there if found]


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of Compose itself, and what follows: its command."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _WITH_VALUE else 1
    return list(words[:at]), list(words[at:])


def _labels(project: Mapping[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    services: dict[str, Any] = {}
    for name, service in project.get("services", {}).items():
        services[name] = {"labels": labels}
        if "build" in service:
            services[name]["build"] = {"labels": labels}
    found: dict[str, Any] = {"services": services}
    for kind in ("networks", "volumes"):
        named = {**({"default": None} if kind == "networks" else {}), **project.get(kind, {})}
        own = [name for name, told in named.items() if not (told or {}).get("external")]
        found[kind] = {name: {"labels": labels} for name in own}
    return found
