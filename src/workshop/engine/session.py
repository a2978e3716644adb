"""Who this reader is on the engine, so that two readers never meet.

Everything made carries the label ``dockerfile-workshop.session=<id>``, and names and
tags carry the id too.
"""

from __future__ import annotations

import functools
import os
import secrets

import docker

from ..paths import WORKSPACES
from . import client

LABEL = "dockerfile-workshop.session"


@functools.cache
def ident() -> str:
    """Eight hex digits: those in WORKSHOP_SESSION, else the clone's own, made once."""
    given = os.environ.get("WORKSHOP_SESSION")
    if given:
        return given
    WORKSPACES.mkdir(exist_ok=True)
    path = WORKSPACES / "session"
    try:
        with path.open("x") as new:
            new.write(secrets.token_hex(4))
    except FileExistsError:
        pass
    return path.read_text().strip()


def prefix() -> str:
    """What every name and tag of this session begins with."""
    return f"workshop-{ident()}"


def labels() -> dict[str, str]:
    """The labels of everything that this session makes."""
    return {LABEL: ident()}


def leftovers() -> dict[str, list[str]]:
    """Names of this session's containers, images, networks and volumes on the engine."""
    engine = client.connect()
    mine = {"label": f"{LABEL}={ident()}"}
    return {
        "containers": [
            c.name for c in engine.containers.list(all=True, filters=mine, ignore_removed=True)
        ],
        "images": [
            tag for i in engine.images.list(filters=mine) for tag in (i.tags or [i.short_id])
        ],
        "networks": [n.name for n in engine.networks.list(filters=mine)],
        "volumes": [v.name for v in engine.volumes.list(filters=mine)],
    }


def remove_leftovers() -> dict[str, list[str]]:
    """Remove all of ``leftovers``, and nothing else; returns what was removed."""
    found = leftovers()
    engine = client.connect()
    for name in found["containers"]:
        engine.api.remove_container(name, force=True, v=True)
    for name in found["networks"]:
        engine.api.remove_network(name)
    for name in found["volumes"]:
        engine.api.remove_volume(name)
    for name in found["images"]:
        try:
            engine.api.remove_image(name, force=True)
        except docker.errors.ImageNotFound:
            continue
    return found
