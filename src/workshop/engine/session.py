"""Who this reader is on the engine, so that two readers never meet.

Everything made carries the label ``dockerfile-workshop.session=<id>``, and names and
tags begin with ``workshop-<id>``. A label alone proves nothing: images and containers
inherit the labels of the image that they are made from, and that may be a reader's own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
from docker.models.images import Image
from filelock import FileLock

from ..errors import WorkshopError
from ..paths import WORKSPACES
from . import client

LABEL = "dockerfile-workshop.session"
CHAPTER_LABEL = "dockerfile-workshop.chapter"
LIST_TRIES = 10
_IDENT = re.compile(r"[0-9a-f]{8}")
# What a name may hold: it becomes part of an address.
_REFERENCE = re.compile(r"[\w.:/@-]+", re.ASCII)


@functools.cache
def ident() -> str:
    """Eight hex digits: those in WORKSHOP_SESSION, else the clone's own, made once.

    Raises WorkshopError when WORKSHOP_SESSION holds anything else.
    """
    given = os.environ.get("WORKSHOP_SESSION")
    if given:
        if not _IDENT.fullmatch(given):
            raise WorkshopError(
                f"WORKSHOP_SESSION is {given!r}, which is not eight hex digits (0-9, a-f).",
                "Unset it, and the tutorial chooses one, or set it to eight of them.",
            )
        return given
    WORKSPACES.mkdir(parents=True, exist_ok=True)
    path = WORKSPACES / "session"
    with FileLock(f"{path}.lock"):
        found = path.read_text(encoding="utf-8").strip() if path.exists() else ""
        if not _IDENT.fullmatch(found):
            found = secrets.token_hex(4)
            path.write_text(found, encoding="utf-8")
    return found


def prefix() -> str:
    """What every name and tag of this session begins with."""
    return f"workshop-{ident()}"


def labels(chapter: str = "") -> dict[str, str]:
    """The labels of everything that this session makes; one more for what is a chapter's."""
    return {LABEL: ident(), **({CHAPTER_LABEL: chapter} if chapter else {})}


# Images that lost their names


def _record() -> Path:
    return WORKSPACES / ident() / "images"


def recorded() -> set[str]:
    """The ids of the images that this session named, the replaced ones included."""
    path = _record()
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


def record(image_id: str) -> None:
    """Note that an image is this session's, before a newer one takes its name."""
    if image_id not in recorded():
        path = _record()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{image_id}\n")


def _record_tag(tag: str) -> None:
    """Note which image has ``tag`` before another one gets it."""
    if found := image(tag):
        record(str(found.id))


def image(name: str) -> Image | None:
    """The engine's image of this name; None if it has none, or if nothing can have this name."""
    if not _REFERENCE.fullmatch(name) or {"", ".", ".."} & set(name.split("/")):
        return None
    try:
        return client.connect().images.get(name)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        return None


def _images(**wanted: Any) -> list[dict[str, Any]]:
    """The images of the engine, in one answer.

    docker-py's own list asks for each one again, and fails when one is removed meanwhile. So
    does an engine with the containerd image store, within the one answer: then it is asked anew.
    """
    for _ in range(LIST_TRIES - 1):
        with contextlib.suppress(docker.errors.NotFound):
            return _listed(wanted)
    return _listed(wanted)


def _listed(wanted: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.connect().api.images(filters=wanted)
    return found


def _without_a_name() -> list[str]:
    mine = recorded()
    found = _images(label=f"{LABEL}={ident()}", dangling=True) if mine else []
    return [image["Id"] for image in found if image["Id"] in mine]


def _remove_replaced() -> None:
    """Remove this session's images that lost their name to a newer one.

    The build cache keeps their layers. One that a container still uses stays until later.
    """
    for image_id in _without_a_name():
        with contextlib.suppress(docker.errors.APIError):
            client.connect().api.remove_image(image_id)


def tags(repository: str) -> list[str]:
    """The names on the engine in ``repository`` of this session, and in those below it.

    A name may begin with a registry's address. Where an image was pushed or pulled, and has no
    tag in that repository (any more), its digest is the name.
    """
    registry = "((localhost|[^/]*[.:][^/]*)/([^/]+/)?)?"
    inside = re.compile(f"{registry}{re.escape(repository)}[:/@]")
    names = (name for image in _images() for name in _names(image))
    return sorted(name for name in names if inside.match(name))


def _names(image: dict[str, Any]) -> list[str]:
    tagged = [name for name in image["RepoTags"] or [] if name != "<none>:<none>"]
    # With the last tag of a repository, the engine removes the image's digests there.
    among = {name.rpartition(":")[0] for name in tagged} | {"<none>"}
    digests = image.get("RepoDigests") or []
    return tagged + [name for name in digests if name.partition("@")[0] not in among]


@contextlib.contextmanager
def replacing(*tags: str) -> Iterator[None]:
    """While ``tags`` get another image, or are removed: those that had them are removed after it.

    However it ends, so that images without a name do not pile up.
    """
    for tag in tags:
        _record_tag(tag)
    try:
        yield
    finally:
        _remove_replaced()


def remove_folder(folder: Path) -> None:
    """Remove a folder of workspaces, if it is there. Raises WorkshopError when some of it stays."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise WorkshopError(
            f"The folder {folder} can't be removed. A container may have written files there "
            "that belong to another user, or a program has one open.",
            f"Close what is open there, or type `sudo rm -r {shlex.quote(str(folder))}`.",
        )


# All that there is


def _is_mine(name: str, found: Mapping[str, str] | None, chapter: str) -> bool:
    """True for what this session made, or a reader at a terminal under a name of this session.

    ``found`` are its labels. Those of an image are inherited by its containers, but no image
    has the label of a chapter: what has it, says whose it is.
    """
    if found and CHAPTER_LABEL in found:
        return labels(chapter).items() <= found.items()
    begin = f"{prefix()}-{chapter}" if chapter else prefix()
    return name == begin or name.startswith(f"{begin}-")


def containers(chapter: str = "") -> list[str]:
    """Names of this session's containers, running or not: all, or those of one chapter."""
    found = client.connect().api.containers(all=True)
    named = ((c["Names"][0].removeprefix("/"), c["Labels"]) for c in found if c["Names"])
    return [name for name, tags in named if _is_mine(name, tags, chapter)]


def networks(chapter: str = "") -> list[str]:
    """Names of this session's networks: all, or those of one chapter."""
    found = client.connect().api.networks()
    return [n["Name"] for n in found if _is_mine(n["Name"], n["Labels"], chapter)]


def volumes(chapter: str = "") -> list[str]:
    """Names of this session's volumes: all, or those of one chapter."""
    found = client.connect().api.volumes()["Volumes"] or []
    return [v["Name"] for v in found if _is_mine(v["Name"], v["Labels"], chapter)]


def leftovers() -> dict[str, list[str]]:
    """Names of this session's containers, images, networks and volumes on the engine."""
    return {
        "containers": containers(),
        "images": [*tags(prefix()), *_without_a_name()],
        "networks": networks(),
        "volumes": volumes(),
    }


@dataclass
class Removal:
    """What was removed, by kind, and why the rest stayed: the engine's reason by name."""

    removed: dict[str, list[str]] = field(default_factory=dict)
    stayed: dict[str, str] = field(default_factory=dict)


def remove_leftovers() -> Removal:
    """Remove all of ``leftovers``, and nothing else.

    An image that has another name, too, keeps that one. What the engine refuses to remove
    stays, and the rest is removed all the same.
    """
    api = client.connect().api
    remove: dict[str, Callable[[str], object]] = {
        "containers": functools.partial(api.remove_container, force=True, v=True),
        "networks": api.remove_network,
        "volumes": api.remove_volume,
        "images": api.remove_image,
    }
    found, done = leftovers(), Removal()
    for kind, remove_one in remove.items():
        done.removed[kind] = []
        for name in found[kind]:
            try:
                remove_one(name)
            except docker.errors.NotFound:  # somebody else was faster
                continue
            except docker.errors.APIError as error:
                done.stayed[name] = str(error.explanation or error)
                continue
            done.removed[kind].append(name)
    return done
