"""Get an image: from an engine, from the file of an archive, or from what is kept.

The images that were asked for last stay in memory.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import docker
import requests
from docker.models.images import Image as EngineImage

from ..errors import WorkshopError
from ..show.display import printable, shorten
from . import archive, kept
from .image import Image
from .layer import Contents
from .tar import Stream

IN_MEMORY = 8  # images, of some 10 MB each
CHUNK = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9_.:/@\[\]-]+")
_NAMES = "Use a name that `docker images` lists, or the file of an archive."


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Pause Python's garbage collector for the length of a call.

    What is read here is no garbage, but so much that the collector would look through the
    whole heap for some: 0.3 s in a large process, ten times what the reading takes.
    """
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()


@_nothing_collected()
def of_image(
    name: str,
    fingerprint: Collection[str] = (),
    *,
    client: docker.DockerClient | None = None,
) -> Image:
    """The image ``name`` of the engine, read as `docker save` gives it, or from what is kept.

    Files whose path is in ``fingerprint`` get their SHA-256, which always takes a read.
    Without a ``client`` the engine is the one that docker-py finds in the environment.
    Raises WorkshopError when no engine answers or it has no such image.
    """
    found = _find(name, client)
    if fingerprint:
        return Image(name, *_read(found, name, {}, fingerprint), found.id or "")
    return by_id(found, name, tuple(_diff_ids(found)))


@lru_cache(maxsize=IN_MEMORY)
def by_id(found: EngineImage, name: str, diff_ids: tuple[str, ...]) -> Image:
    """What ``of_image`` gives for an image of the engine; treat it as read-only.

    Two such images are equal, and so have one answer, when their ids and layers are. The id
    alone may be that of an index, which stands for images of several platforms.
    """
    image_id = found.id or ""
    config, known = kept.load_config(image_id), _kept(found)
    is_whole = all(digest in known for digest in diff_ids)
    if config is not None and archive.diff_ids_of(config) == list(diff_ids) and is_whole:
        return Image(name, config, [known[digest] for digest in diff_ids], image_id)
    return Image(name, *_read(found, name, known), image_id)


@_nothing_collected()
def contents_of(name: str, *, client: docker.DockerClient | None = None) -> list[Contents]:
    """What each layer of the image ``name`` of the engine stores, lowest first.

    Unlike ``of_image`` this does not have to know the image, if it knows all its layers.
    """
    found = _find(name, client)
    known = _kept(found)
    if all(digest in known for digest in _diff_ids(found)):
        return [known[digest] for digest in _diff_ids(found)]
    return _read(found, name, known)[1]


def digests_of(name: str, *, client: docker.DockerClient | None = None) -> list[str]:
    """The digests of the unpacked layers of the image ``name`` of the engine, lowest first."""
    return _diff_ids(_find(name, client))


@_nothing_collected()
def of_archive(path: Path, fingerprint: Collection[str] = ()) -> Image:
    """The image in an archive, as `docker save` or an OCI tool writes it."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            read = archive.read(file, str(path), end=size, fingerprint=fingerprint)
    except OSError as error:
        raise WorkshopError(
            printable(f"The archive {path} can't be read: {error.strerror or error}."),
            "Is it there, and may you read it? `ls -l` shows both.",
        ) from None
    return Image(path.name, read.config, [contents for contents in read.layers if contents])


def _find(name: str, client: docker.DockerClient | None) -> EngineImage:
    # The name becomes part of an address, so "." would be another question to the engine.
    if not _NAME.fullmatch(name) or {"", ".", ".."} & set(name.split("/")):
        raise WorkshopError(f"{shorten(repr(name), 80)} names no image.", _NAMES)
    try:
        return (client or docker.from_env()).images.get(name)
    except (docker.errors.ImageNotFound, docker.errors.NullResource):
        raise WorkshopError(
            f"The engine has no image {shorten(repr(name), 80)}.",
            "`docker images` lists what there is; the file of an archive works too.",
        ) from None
    except docker.errors.APIError as error:
        raise WorkshopError(
            f"{shorten(repr(name), 80)} names no image: {printable(str(error.explanation))}.",
            _NAMES,
        ) from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        if client is not None:
            raise  # whoever made the client knows what to say of its engine
        raise WorkshopError(
            f"No Docker engine answers: {printable(str(error))}.",
            "Start Docker; the file of an archive can be read without it.",
        ) from None


def _diff_ids(found: EngineImage) -> list[str]:
    return list(found.attrs["RootFS"].get("Layers") or [])


def _kept(found: EngineImage) -> dict[str, Contents]:
    """Those layers of an image that were read before, by diff id."""
    loaded = {digest: kept.load_layer(digest) for digest in _diff_ids(found)}
    return {digest: contents for digest, contents in loaded.items() if contents is not None}


def _read(
    found: EngineImage,
    name: str,
    known: Mapping[str, Contents],
    fingerprint: Collection[str] = (),
) -> tuple[dict[str, Any], list[Contents]]:
    """Configuration and layers of an image as `docker save` gives them, without those ``known``.

    Where the engine keeps its layers packed, as in the containerd image store, the archive
    names them by the digests of the packed blobs, so those that were seen are known, too.
    """
    passed = {*known, *(blob for contents in known.values() for blob in contents.blobs)}
    try:
        read = archive.read(
            Stream(found.save(chunk_size=CHUNK)), name,
            known=passed, fingerprint=fingerprint, diff_ids=_diff_ids(found),
        )  # fmt: skip
    except (docker.errors.APIError, requests.RequestException) as error:
        raise WorkshopError(
            f"The engine broke off while it saved {name}: {printable(str(error))}.",
            "Is it still there? `docker version` asks it. Then try again.",
        ) from None
    layers = []
    for diff_id, contents in zip(read.diff_ids, read.layers, strict=True):
        if contents is None:
            layers.append(known[diff_id])
            continue
        if not fingerprint:
            before = known[diff_id].blobs if diff_id in known else []
            contents.blobs = sorted({*before, *contents.blobs})
            kept.store_layer(diff_id, contents)
        layers.append(contents)
    if found.id:
        kept.store_config(found.id, read.config)
    return read.config, layers


def forget() -> None:
    """Remove everything that was kept."""
    by_id.cache_clear()
    kept.forget()
