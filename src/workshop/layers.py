"""Count what each layer of an image holds. Imports docker, errors, paths.

Layers never change, so what was counted once is kept by the layer's digest.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from . import docker
from .errors import WorkshopError
from .paths import state_folder


@dataclass(frozen=True)
class Layer:
    """One layer: ``files`` that are not folders, their ``bytes``, and files ``removed``."""

    digest: str
    files: int
    bytes: int
    removed: int


def of_image(image: str) -> list[Layer]:
    """The layers of ``image``, lowest first. Reads the image once, as `docker save` gives it.

    The digest is that of the uncompressed layer (its "diff id"). Archive forms:
    github.com/opencontainers/image-spec, image-layout.md, and Docker's older one.
    """
    digests = docker.client().images.get(image).attrs["RootFS"]["Layers"]
    known = {digest: _load(digest) for digest in digests}
    if None in known.values():
        for layer in _read(image, digests):
            known[layer.digest] = layer
            _store(layer)
    return [layer for digest in digests if (layer := known[digest])]


class _Stream:
    """The chunks of a response as a file that can only be read forward."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def _read(image: str, digests: list[str]) -> list[Layer]:
    counted: dict[str, tuple[int, int, int]] = {}
    manifest: list[dict[str, Any]] = []
    chunks = docker.client().images.get(image).save(chunk_size=1 << 20)
    with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:  # type: ignore[arg-type]
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name == "manifest.json":
                manifest = json.load(content)
            elif member.name.startswith("blobs/") or member.name.endswith("/layer.tar"):
                found = _count(content)
                if found:
                    counted[member.name] = found
    paths = manifest[0]["Layers"] if manifest else []
    if len(paths) != len(digests) or not all(path in counted for path in paths):
        raise WorkshopError(
            f"The archive of {image} is not in a form that the tutorial knows.",
            "Use Docker Engine 23 or newer.",
        )
    return [Layer(digest, *counted[path]) for digest, path in zip(digests, paths, strict=True)]


def _count(blob: IO[bytes]) -> tuple[int, int, int] | None:
    """(files, bytes, removed) of a layer's tar; None when the blob is not a tar."""
    files = size = removed = 0
    try:
        with tarfile.open(fileobj=blob, mode="r|*") as layer:
            for entry in layer:
                if entry.name.rpartition("/")[2].startswith(".wh."):
                    removed += 1
                elif not entry.isdir():
                    files += 1
                    size += entry.size if entry.isfile() else 0
    except tarfile.ReadError:
        return None
    return files, size, removed


def _cached(digest: str) -> Path:
    return state_folder() / "layers" / f"{digest.removeprefix('sha256:')}.json"


def _load(digest: str) -> Layer | None:
    try:
        return Layer(**json.loads(_cached(digest).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _store(layer: Layer) -> None:
    path = _cached(layer.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(layer)))
