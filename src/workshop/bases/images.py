"""Make the base images present: already there, else pulled, else a stand-in made here.

A stand-in is an image under an official image's name, built on this machine from
Debian's packages (``standin.py``) and labelled as one. It behaves like the official
image in all that the tutorial teaches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
from filelock import FileLock, Timeout

from ..engine import client
from ..errors import WorkshopError
from ..layers.sources import of_image
from ..paths import room_folder
from ..show.console import say
from . import pull, standin

BASE_IMAGES = ("python:3.13-slim", "postgres:17", "redis:8", "registry:2", "docker:26-dind")

Source = Literal["present", "pulled", "stand-in"]


@dataclass(frozen=True)
class Base:
    """A base image on the engine; ``size`` is the bytes of its layers' files.

    ``source`` says how this call came by it. ``stand_in`` is true also for a stand-in
    that an earlier call made.
    """

    name: str
    source: Source
    id: str
    size: int
    stand_in: bool

    def __str__(self) -> str:
        how = {
            "present": "present" + (", a stand-in made on this machine" if self.stand_in else ""),
            "pulled": "pulled",
            "stand-in": "a stand-in, made on this machine",
        }[self.source]
        return f"{self.name}: {how} ({self.size / 1e6:.0f} MB)"


def ensure(names: Sequence[str] = BASE_IMAGES) -> list[Base]:
    """Make each image present and say in one line how: present, pulled or a stand-in.

    Images are pulled from the official registry, or from the mirror that the variable
    WORKSHOP_REGISTRY names, as ``$WORKSHOP_REGISTRY/library/python:3.13-slim``. Only
    when the registry is out of reach, a stand-in is made (about 4 minutes for Python, or
    seconds from the archive of one that was made before). Of two processes, one waits for
    the other.

    Raises WorkshopError when an image can be had neither way, with the reason: no such
    image or no access, registry out of reach, or disk full.
    """
    with nullcontext() if all(map(is_present, names)) else _alone():
        sources = _fetch([name for name in names if not is_present(name)])
        bases = [_look(name, sources.get(name, "present")) for name in names]
    _put_into_build_cache(names)
    for base in bases:
        say(f"✔ {base}")
    return bases


def _put_into_build_cache(names: Sequence[str]) -> None:
    """Let the builder take each image into its cache, before several builds ask for it at once.

    Where it is not there, and one build ends with its FROM while another runs a step on top,
    Engine 26.1 (with either image store) runs all steps of both again the next time.
    """
    with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as folder:
        for name in names:
            (Path(folder) / "Dockerfile").write_text(f"FROM {name}\n", encoding="utf-8")
            client.run_cli("buildx", "build", "--quiet", "--output=type=cacheonly", folder)


def is_present(name: str) -> bool:
    """True when the engine has an image under this name, whatever its origin."""
    return pull.on_engine(name) is not None


def describe(name: str) -> str:
    """The image in a few words, as ``python:3.13-slim: present (119 MB)``.

    Raises WorkshopError when the engine doesn't have it.
    """
    return str(_look(name))


def remove() -> list[str]:
    """Remove the stand-ins and the images that this tutorial pulled, and nothing else.

    Returns the names removed. An image that the engine does not give up, because a
    container uses it, stays; WorkshopError says so after the others are gone.
    """
    pulled = pull.pulled()
    ours = [*standin.BUILDS, *pulled, *map(standin.private, standin.BUILDS), standin.DEBIAN_BASE]
    removed, staying = [], []
    for name in dict.fromkeys(ours):
        image = pull.on_engine(name)
        # Another image under a name that was pulled once is not ours.
        if image is None or not (standin.is_one(image) or pulled.get(name) == image.id):
            continue
        try:
            client.connect().api.remove_image(name)
        except docker.errors.NotFound:  # somebody else was faster
            continue
        except docker.errors.APIError as error:
            staying.append(f"{name}: {error.explanation}")
        else:
            removed.append(name)
    pull.remember({name: ident for name, ident in pulled.items() if is_present(name)})
    if staying:
        raise WorkshopError(
            "Some base images could not be removed. " + " ".join(staying),
            "Remove the containers that use them (docker ps --all), then try again.",
        )
    return removed


def _look(name: str, source: Source = "present") -> Base:
    image = pull.on_engine(name)
    if image is None:
        raise WorkshopError(
            f"The engine has no image {name}.", "`uv run workshop images` fetches it."
        )
    stand_in = standin.is_one(image)
    if source == "stand-in" and not stand_in:  # somebody pulled it meanwhile
        source = "present"
    return Base(name, source, str(image.id), of_image(name, client=client.connect()).size, stand_in)


def _fetch(names: Sequence[str]) -> dict[str, Source]:
    """Pull each image, or make a stand-in of it; returns how it was got."""
    sources: dict[str, Source] = {}
    out_of_reach: dict[str, pull.OutOfReach] = {}
    for name in names:
        try:
            pull.pull(name)
        except pull.OutOfReach as problem:
            obstacle = standin.why_not(name)
            if obstacle:
                raise WorkshopError(f"{problem.what} {obstacle}", problem.fix) from None
            out_of_reach[name] = problem
        else:
            sources[name] = "pulled"
            pull.remember({**pull.pulled(), name: str(_id(name))})
    if out_of_reach:
        first = next(iter(out_of_reach.values()))
        say(f"  {first.what} So stand-ins are made here: {', '.join(out_of_reach)}.")
        if first.certificate:
            say(f"  For the official images: {first.fix}")
    standin.make(list(out_of_reach))
    return sources | dict.fromkeys(out_of_reach, "stand-in")


def _id(name: str) -> str | None:
    image = pull.on_engine(name)
    return image.id if image else None


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process at a time makes base images present, of all readers of the engine."""
    lock = FileLock(room_folder() / "images.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("… Waiting for another process that makes the base images present")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
