"""Read an image archive as a stream: its configuration, and what each layer stores.

Two forms, also mixed in one file: Docker's, where manifest.json names the image's
configuration and its layers (docs.docker.com/reference/api/engine, "Export an image"),
and OCI's, where index.json leads to manifests and those to blobs
(github.com/opencontainers/image-spec, image-layout.md).

The archive is read forward, once, and nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import WorkshopError
from ..show.display import printable
from .layer import Contents, LayerReader
from .tar import BLOCK, MOST_AT_ONCE, Malformed, Readable, exactly, inside, members

MOST_LEVELS = 64


@dataclass
class Archive:
    """An image as its archive has it: the configuration, and the layers, lowest first.

    A layer is None when it was known before and so was passed over.
    """

    config: dict[str, Any]
    layers: list[Contents | None]

    @property
    def diff_ids(self) -> list[str]:
        """The digest of each layer's tar, unpacked."""
        return list(self.config["rootfs"]["diff_ids"])


def read(
    file: Readable,
    name: str,
    *,
    end: float = math.inf,
    known: Collection[str] = (),
    fingerprint: Collection[str] = (),
    diff_ids: Sequence[str] | None = None,
) -> Archive:
    """Read the one image in the archive ``file``; ``name`` is for messages.

    ``end`` is the file's size in bytes, if that is known. Layers whose blob has a digest in
    ``known`` are passed over. Files whose path is in ``fingerprint`` get their SHA-256.
    Of several images the one with the layers ``diff_ids`` is taken, without these the one
    for this machine. Raises WorkshopError for what is no image archive, for a damaged or
    truncated one, for paths that lead out of the image, and for sizes that can't be.
    """
    try:
        return _read(file, end, frozenset(known), LayerReader(frozenset(fingerprint)), diff_ids)
    except Malformed as error:
        why = str(error)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        why = (
            "its manifest or configuration is not as the format wants it "
            f"({type(error).__name__}: {error})"
        )
    raise WorkshopError(
        printable(f"{name} can't be read as an image: {why}."),
        "Make the archive anew with `docker save`, or look at the image on the engine.",
    )


def _read(
    file: Readable,
    end: float,
    known: frozenset[str],
    reader: LayerReader,
    diff_ids: Sequence[str] | None,
) -> Archive:
    documents: dict[str, bytes] = {}
    blobs: dict[str, Contents | Malformed | None] = {}
    links: dict[str, str] = {}
    for member, data in members(file, 0, end):
        path = inside(member.path)
        if member.kind == "symlink":
            # Docker before Engine 25 stores a layer that occurs twice as a link.
            folder = path.rpartition("/")[0]
            links[path] = re.sub(r"^[^/]+/\.\./", "", f"{folder}/{member.target}")
        elif member.kind == "file" and _digest(path) in known:
            blobs[path] = None
        elif member.kind == "file":
            file.seek(data)
            head = exactly(file, min(member.size, BLOCK))
            is_tar = head[257:262] == b"ustar"
            if head[:1] in (b"{", b"[") and not is_tar and member.size <= MOST_AT_ONCE:
                documents[path] = head + exactly(file, member.size - len(head))
                continue
            try:
                blobs[path] = reader.read(file, data, member.size, head)
            except Malformed as error:
                # It matters only if the manifest calls this a layer.
                blobs[path] = error
    config, paths = _image(documents, diff_ids)
    if len(paths) != len(diff_ids_of(config)):
        raise Malformed("manifest and configuration count different numbers of layers")
    layers = []
    for path, diff_id in zip(paths, diff_ids_of(config), strict=True):
        path = links.get(path, path)
        if path not in blobs:
            raise Malformed(f"the layer {path} is missing")
        found = blobs[path]
        if isinstance(found, Malformed):
            raise Malformed(f"in the layer {path}, {found}")
        if found is not None and _digest(path) not in ("", diff_id):
            found.blobs = [_digest(path)]
        layers.append(found)
    return Archive(config, layers)


def _digest(path: str) -> str:
    """The digest that the path of a blob stands for; empty if it does not."""
    match = re.fullmatch(r"blobs/(\w+)/([0-9a-f]+)", path)
    return f"{match[1]}:{match[2]}" if match else ""


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


# Manifest and configuration


def _image(
    documents: dict[str, bytes], diff_ids: Sequence[str] | None
) -> tuple[dict[str, Any], list[str]]:
    """The configuration, and the paths of the layers."""
    if "manifest.json" in documents:
        manifests = json.loads(documents["manifest.json"])
        found = [(m["Config"], m["Layers"] or []) for m in manifests]
    elif "index.json" in documents:
        found = [
            (_blob(m["config"]["digest"]), [_blob(layer["digest"]) for layer in m["layers"]])
            for m in _manifests("index.json", documents, set())
        ]
    else:
        raise Malformed("it has no manifest.json and no index.json")
    images = [(json.loads(documents[c]), layers) for c, layers in found if c in documents]
    if not images:
        raise Malformed("its manifest leads to no image")
    if diff_ids is not None:
        fitting = [i for i in images if diff_ids_of(i[0]) == list(diff_ids)][:1]
        if not fitting:
            raise Malformed("it holds no image with the layers that the engine lists")
    else:
        # One image for several platforms: the one for this machine.
        machine = platform.machine().lower()
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        fitting = [i for i in images if i[0].get("architecture") == machine] or images
    if len(fitting) > 1:
        raise Malformed(f"it holds {len(fitting)} images; save one, as NAME:TAG")
    config, paths = fitting[0]
    return _checked(config), list(paths)


def _manifests(path: str, documents: dict[str, bytes], seen: set[str]) -> Iterator[dict[str, Any]]:
    """The image manifests behind the index ``path``, however nested, without attestations."""
    for entry in json.loads(documents[path])["manifests"]:
        if "vnd.docker.reference.type" in (entry.get("annotations") or {}):
            continue
        path = _blob(entry["digest"])
        if path in seen or path not in documents:
            continue  # listed twice, or a platform that was not saved
        seen.add(path)
        document = json.loads(documents[path])
        if "manifests" in document:
            yield from _manifests(path, documents, seen)
        else:
            yield document


def diff_ids_of(config: dict[str, Any]) -> list[str]:
    return list((config.get("rootfs") or {}).get("diff_ids") or [])


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """``config``, if what is read of it later is text where the format wants text.

    The format: github.com/opencontainers/image-spec, config.md. What is optional there
    may be missing or null.
    """
    _limit_levels(config)
    settings = config.get("config") or {}
    texts = [settings.get("User") or "", *(settings.get("Labels") or {}).values()]
    texts += [text for key in ("Env", "Cmd", "Entrypoint") for text in settings.get(key) or []]
    texts += [entry.get("created_by") or "" for entry in config.get("history") or []]
    texts += diff_ids_of(config)
    if not all(isinstance(text, str) for text in texts):
        raise Malformed("its configuration holds something else where the format wants text")
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids_of(config)}
    return config


def _limit_levels(value: Any, levels: int = MOST_LEVELS) -> None:
    if not levels:
        raise Malformed(f"its configuration is nested more than {MOST_LEVELS} levels deep")
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _limit_levels(inner, levels - 1)
