"""A chapter's own Dockerfile, build and containers, as drawings."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from urllib.parse import urlsplit

from docker.models.containers import Container

from ..build import grammar
from ..build.buildx import Build
from ..engine import client, session
from ..errors import WorkshopError
from ..layers.image import instruction
from ..layers.look import Look
from ..show.display import size
from ..show.drawing import Column, Flow, Stage, Stages

# Names of the folder that are listed; the rest is counted.
MOST_NAMES = 12


def stages(dockerfile: str) -> Stages:
    """The stages of a Dockerfile, with what one copies from another."""
    parts: list[tuple[grammar.Stage, list[str]]] = []
    for text in grammar.instructions(dockerfile):
        if stage := grammar.stage_of(text):
            parts.append((stage, []))
        elif parts:
            parts[-1][1].append(text)
    return Stages(
        [
            Stage(
                stage.name or f"stage {number}",
                stage.base,
                own,
                {n: copy for n, text in enumerate(own) if (copy := _copied(text))},
            )
            for number, (stage, own) in enumerate(parts, 1)
        ]
    )


def flow(folder: Path, build: Build, look: Look) -> Flow:
    """What a build took out of ``folder``, its steps, and the layers that they left."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    copied = {word for step in build.steps for word in _sources(step.instruction)}
    taken = {name for name in names if "." in copied or name.rstrip("/") in copied}
    # What is taken is never among those that are only counted.
    listed = sorted(names, key=lambda name: (name not in taken, name))[:MOST_NAMES]
    shown = [name for name in names if name in listed]
    if left := len(names) - len(shown):
        shown.append(f"… and {left} more")
    base = sum(layer.size for layer in look.layers[: look.base_layers])
    layers = [f"{size(base)}  base"] if look.base_layers else []
    layers += [
        f"{size(layer.size)}  {instruction(layer.created_by)}"
        for layer in look.layers[look.base_layers :]
    ]
    return Flow(
        [
            Column("the folder", shown, taken),
            Column("the builder", [step.instruction for step in build.steps]),
            Column("the image", layers),
        ],
        ["COPY takes", "leaves"],
    )


def containers(chapter: str) -> Flow:
    """The containers of a chapter on their network, and who is told of whom.

    First what this machine reaches, by a published port; then what those containers reach,
    because a variable of their environment names it. Raises WorkshopError if nothing runs.
    """
    all_of_it = {
        name: client.connect().containers.get(name) for name in session.containers(chapter)
    }
    found = {name: c for name, c in all_of_it.items() if c.status == "running"}
    if not found:
        raise WorkshopError(
            "No container of this chapter runs.", "Run the cells above from the first one on."
        )
    published = [name for name in found if _published(found[name])]
    order = [*published, *(name for name in found if name not in published)]
    ports = ", ".join(
        f"{client.address()}:{port}" for n in published for port in _published(found[n])
    )
    columns = [Column("this machine", [f"http://{ports}"] if ports else [])]
    columns += [
        Column(name.removeprefix(f"{session.prefix()}-{chapter}-"), _told(found[name]))
        for name in order
    ]
    inside = ", ".join(p for n in published for p in _published(found[n]).values())
    arrows = [f"to port {inside}" if published else ""]
    arrows += [_knows(found[one], found[other]) for one, other in itertools.pairwise(order)]
    networks = {name for container in found.values() for name in _networks(container)}
    return Flow(columns, arrows, f"the network {', '.join(sorted(networks))}", 1)


def _copied(instruction: str) -> tuple[str, str] | None:
    """The stage that an instruction copies from, and the path; None for any other one."""
    form = r"COPY\s+(?:--\S+\s+)*?--from=(\S+)\s+(?:--\S+\s+)*(\S+)"
    found = re.match(form, instruction, re.IGNORECASE)
    return (found[1], found[2]) if found else None


def _sources(instruction: str) -> list[str]:
    """What an instruction copies out of the folder."""
    words = instruction.split()
    if words[0].upper() not in ("COPY", "ADD") or _copied(instruction):
        return []
    return [word.rstrip("/") for word in words[1:-1] if not word.startswith("--")]


def _published(container: Container) -> dict[str, str]:
    """The ports of this machine that lead into a container, and the port that each leads to."""
    return {
        bound["HostPort"]: port.partition("/")[0]
        for port, found in container.ports.items()
        for bound in (found or [])[:1]
    }


def _networks(container: Container) -> dict[str, list[str]]:
    """The networks of a container, and its names in each."""
    found = container.attrs["NetworkSettings"]["Networks"]
    return {name: settings.get("Aliases") or [] for name, settings in found.items()}


def _told(container: Container) -> list[str]:
    ports = [port.partition("/")[0] for port in container.ports]
    command = [
        *(container.attrs["Config"]["Entrypoint"] or []),
        *(container.attrs["Config"]["Cmd"] or []),
    ]
    return [
        container.attrs["Config"]["Image"],
        *(f"listens on {port}" for port in ports),
        " ".join(command),
    ]


def _knows(one: Container, other: Container) -> str:
    """The variable by which ``one`` is told of ``other``, and the address in it; or empty."""
    names = {alias for aliases in _networks(other).values() for alias in aliases}
    for entry in one.attrs["Config"]["Env"] or []:
        name, _, value = entry.partition("=")
        parts = urlsplit(value)
        if parts.hostname in names:
            return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return ""
