"""What the layers of an image add up to: its files, and the bytes that nobody can see.

The rules are those of the OCI image
specification (github.com/opencontainers/image-spec, layer.md): a layer's removals apply
to the layers below it, then its own paths take their places.

Layers never change, so what was read once is kept: each layer by its digest, each
image's configuration by the image's id. The images that were asked for last stay in
memory, too.
"""

from __future__ import annotations

import contextlib
import gc
import json
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import docker
import requests

from ..engine import client
from ..errors import WorkshopError
from ..paths import state_folder
from . import archive
from .archive import Contents, Entry

KEPT_FILES = 300
IN_MEMORY = 8  # images, of some 10 MB each


@dataclass
class Layer:
    """One layer. All sizes in bytes; counts are of paths that are not folders.

    ``size`` is what it stores (a file with several names counts once), and
    ``superseded_bytes`` the part of it that the final file system does not show.
    ``added``, ``changed`` and ``removed`` compare with the layers below.
    """

    digest: str
    created_by: str
    size: int = 0
    files: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    superseded_bytes: int = 0


class Superseded(NamedTuple):
    """A path that a layer stores and the final file system does not show.

    ``bytes`` is 0 if the file can still be seen under another name. ``stored_by`` and
    ``hidden_by`` are numbers of layers, from 0.
    """

    path: str
    bytes: int
    stored_by: int
    hidden_by: int


class File(NamedTuple):
    """A path of the final file system, and the number of the layer that stores it.

    ``first`` is the entry that has the bytes: another one only for a hard link.
    ``bytes`` is 0 for all but one of several names of a file.
    """

    entry: Entry
    layer: int
    bytes: int
    first: Entry


@dataclass
class Image:
    """An image, layer by layer. Made by ``of_image`` or ``of_archive``.

    ``id`` is the engine's, empty for an archive.
    """

    name: str
    config: dict[str, Any]
    contents: list[Contents]
    id: str = ""
    layers: list[Layer] = field(init=False)
    files: dict[str, File] = field(init=False)
    folders: dict[str, Entry] = field(init=False)
    superseded: list[Superseded] = field(init=False)

    def __post_init__(self) -> None:
        digests = self.config["rootfs"]["diff_ids"]
        made = [h for h in self.config.get("history") or [] if not h.get("empty_layer")]
        told = [h.get("created_by", "") for h in made] if len(made) == len(digests) else []
        self.layers = [Layer(digest, told[i] if told else "") for i, digest in enumerate(digests)]
        _Pile(self).put_together()

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def superseded_bytes(self) -> int:
        """Bytes that some layer stores and the final file system does not show."""
        return sum(layer.superseded_bytes for layer in self.layers)

    @cached_property
    def texts(self) -> dict[str, str]:
        """The kept files of the final file system, by path; see archive.Contents."""
        found = {}
        for path, file in self.files.items():
            text = self.contents[file.layer].texts.get(path)
            if text is not None:
                found[path] = text
        return found

    def resolve(self, path: str) -> str:
        """``path`` with the symlinks in it followed, as `realpath` would; at most 40 of them."""
        rest, found = [part for part in path.split("/") if part], ""
        links = 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                found = found.rpartition("/")[0]
                continue
            step = _join(found, part)
            file = self.files.get(step)
            if file is None or file.entry.kind != "symlink" or links == 40:
                found = step
                continue
            links += 1
            if file.entry.target.startswith("/"):
                found = ""
            rest[:0] = [p for p in file.entry.target.split("/") if p not in ("", ".")]
        return found

    def stored(self) -> list[tuple[int, Entry]]:
        """Every path of every layer, folders left out, with the layer's number."""
        return [
            (number, entry)
            for number, contents in enumerate(self.contents)
            for entry in contents.entries
            if entry.kind != "folder"
        ]


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
def of_image(name: str, fingerprint: Collection[str] = ()) -> Image:
    """The image ``name`` of the engine, read as `docker save` gives it, or from what is kept.

    Files whose path is in ``fingerprint`` get their SHA-256, which always takes a read.
    Raises WorkshopError when the engine has no such image.
    """
    found = _find(name)
    if fingerprint:
        return Image(name, *_read(found, name, fingerprint=fingerprint), found.id)
    return by_id(found, name)


@lru_cache(maxsize=IN_MEMORY)
def by_id(found: docker.models.images.Image, name: str) -> Image:
    """What ``of_image`` gives for an image of the engine; treat it as read-only.

    Two such images are equal, and so have one answer, when their ids are.
    """
    config, kept = _load(_config_file(found.id)), _kept(found)
    if config is None or None in kept:
        config, kept = _read(found, name, kept)
    return Image(name, config, kept, found.id)


@_nothing_collected()
def contents_of(name: str) -> list[Contents]:
    """What each layer of the image ``name`` of the engine stores, lowest first.

    Unlike ``of_image`` this does not have to know the image, if it knows all its layers.
    """
    found = _find(name)
    kept = _kept(found)
    return _read(found, name, kept)[1] if None in kept else kept


def digests_of(name: str) -> list[str]:
    """The digests of the layers of the image ``name`` of the engine, lowest first."""
    return _find(name).attrs["RootFS"]["Layers"]


def _find(name: str) -> Any:
    try:
        return client.connect().images.get(name)
    except (docker.errors.ImageNotFound, docker.errors.NullResource):
        raise WorkshopError(
            f"The engine has no image {name!r}.",
            "`docker images` lists what there is; the file of an archive works too.",
        ) from None
    except docker.errors.APIError as error:
        raise WorkshopError(
            f"{name!r} names no image: {error.explanation}.",
            "Use a name that `docker images` lists.",
        ) from None


def _kept(found: Any) -> list[Contents | None]:
    """The layers of an image, lowest first. None stands for one that was not read before."""
    return [_load_layer(digest) for digest in found.attrs["RootFS"]["Layers"]]


def _read(
    found: Any,
    name: str,
    kept: Sequence[Contents | None] = (),
    fingerprint: Collection[str] = (),
) -> tuple[dict[str, Any], list[Contents]]:
    """Configuration and layers of an image as `docker save` gives them, without those ``kept``."""
    known = {d: c for d, c in zip(found.attrs["RootFS"]["Layers"], kept, strict=False) if c}
    try:
        stream = archive.Stream(found.save(chunk_size=1 << 20))
        read = archive.read(stream, name, known=known, fingerprint=fingerprint)
    except (docker.errors.APIError, requests.RequestException) as error:
        raise WorkshopError(
            f"The engine broke off while it saved {name}: {error}.",
            "Is it still there? `uv run workshop engine status` asks it. Then try again.",
        ) from None
    for digest, contents in zip(read.diff_ids, read.layers, strict=True):
        if contents is not None:
            known[digest] = contents
            if not fingerprint:
                _store_layer(digest, contents)
    _store(_config_file(found.id), read.config)
    return read.config, [known[digest] for digest in read.diff_ids]


@_nothing_collected()
def of_archive(path: Path, fingerprint: Collection[str] = ()) -> Image:
    """The image in an archive, as `docker save` or an OCI tool writes it."""
    with path.open("rb") as file:
        size = path.stat().st_size
        read = archive.read(file, str(path), end=size, fingerprint=fingerprint)
    return Image(path.name, read.config, [contents for contents in read.layers if contents])


class _Pile:
    """Puts layer on layer, and keeps for each path who stores it and who hides it."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.entries: list[Entry] = []
        self.stored_by: list[int] = []
        self.hidden_by: list[int] = []  # -1: it can be seen
        self.first_name: list[int] = []  # of a file with several names
        self.tree: dict[str, dict[str, int]] = {"": {}}  # folder → name → number of the entry
        self.folders: dict[str, Entry] = {}

    def put_together(self) -> None:
        for number, contents in enumerate(self.image.contents):
            self._put(number, contents)
        self._account()

    def _put(self, number: int, contents: Contents) -> None:
        gone: set[str] = set()
        for path in contents.removed:
            self._hide(path, number, gone)
        for folder in contents.opaque:
            for name in list(self.tree.get(folder, ())):
                self._hide(_join(folder, name), number, gone)
        # A mark stands in its folder, so the folder is there.
        for folder in [path.rpartition("/")[0] for path in contents.removed] + contents.opaque:
            self._make_folder(folder, number, gone)
        tree, made = self.tree, set()
        here: dict[str, int] = {}
        for entry in contents.entries:
            path = entry.path
            folder, _, name = path.rpartition("/")
            if folder not in tree:
                self._make_folder(folder, number, gone)
            if entry.kind == "folder":
                self._make_folder(path, number, gone)
                self.folders[path] = entry
                continue
            if name in tree[folder]:
                self._hide(path, number, gone)
            at = len(self.entries)
            self.entries.append(entry)
            self.stored_by.append(number)
            self.hidden_by.append(-1)
            self.first_name.append(at)
            if entry.kind == "hard link":
                self.first_name[at] = self._linked(entry, here, number)
            tree[folder][name] = here[path] = at
            made.add(path)
        layer = self.image.layers[number]
        layer.files = len(made)
        layer.changed = len(gone & made)
        layer.added = len(made) - layer.changed
        layer.removed = len(gone) - layer.changed

    def _linked(self, entry: Entry, here: dict[str, int], number: int) -> int:
        """The file that a hard link is a name of: in this layer, or one that was there."""
        folder, _, name = entry.target.rpartition("/")
        at = here.get(entry.target)
        if at is None:
            at = self.tree.get(folder, {}).get(name, -1)
        if at < 0:
            raise WorkshopError(
                f"{self.image.name} can't be read as an image: in layer {number}, the hard link "
                f"{entry.path!r} leads to {entry.target!r}, which is not there.",
                "Make the archive anew with `docker save`.",
            )
        return self.first_name[at]

    def _make_folder(self, path: str, number: int, gone: set[str]) -> None:
        if path in self.tree:
            return
        folder, _, name = path.rpartition("/")
        if folder not in self.tree:
            self._make_folder(folder, number, gone)
        if name in self.tree[folder]:
            self._hide(path, number, gone)
        self.tree[folder][name] = -1
        self.tree[path] = {}

    def _hide(self, path: str, number: int, gone: set[str]) -> None:
        """Take a path out of the tree, and what is below it."""
        folder, _, name = path.rpartition("/")
        at = self.tree.get(folder, {}).pop(name, None)
        if at is None:
            return
        if at >= 0:
            self.hidden_by[at] = number
            if self.stored_by[at] < number:
                gone.add(path)
            return
        for child in list(self.tree[path]):
            self._hide(_join(path, child), number, gone)
        del self.tree[path]
        self.folders.pop(path, None)

    def _account(self) -> None:
        """Who has which bytes. A file can be seen as long as one of its names can."""
        image, seen = self.image, set()
        image.files = {}
        image.folders = self.folders
        for at, hidden in enumerate(self.hidden_by):
            if hidden < 0:
                first = self.first_name[at]
                entry, has_bytes = self.entries[at], self.entries[first]
                size = 0 if first in seen else has_bytes.size
                seen.add(first)
                image.files[entry.path] = File(entry, self.stored_by[at], size, has_bytes)
        image.superseded = []
        for at, entry in enumerate(self.entries):
            layer, hidden = image.layers[self.stored_by[at]], self.hidden_by[at]
            layer.size += entry.size
            if hidden >= 0:
                lost = 0 if self.first_name[at] in seen else entry.size
                layer.superseded_bytes += lost
                image.superseded.append(Superseded(entry.path, lost, self.stored_by[at], hidden))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


# What is kept


def forget() -> None:
    """Remove everything that was kept."""
    by_id.cache_clear()
    for file in (state_folder() / "layers").glob("*.json"):
        file.unlink(missing_ok=True)


def _config_file(image_id: str) -> Path:
    return state_folder() / "layers" / f"image-{image_id.removeprefix('sha256:')}.json"


def _layer_file(digest: str) -> Path:
    return state_folder() / "layers" / f"layer-{digest.removeprefix('sha256:')}.json"


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _store(path: Path, data: Any) -> None:
    """Write all of it or nothing: others may read and write the same at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{secrets.token_hex(4)}")
    new.write_text(json.dumps(data), encoding="utf-8")
    new.replace(path)
    with contextlib.suppress(OSError):  # another process cleans up too
        kept = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-KEPT_FILES]:
            old.unlink(missing_ok=True)


def _store_layer(digest: str, contents: Contents) -> None:
    data = asdict(contents)
    # Columns take half the room of rows, and load in half the time.
    data["entries"] = [list(column) for column in zip(*contents.entries, strict=True)]
    _store(_layer_file(digest), data)


def _load_layer(digest: str) -> Contents | None:
    data = _load(_layer_file(digest))
    try:
        rows = zip(*data["entries"], strict=True)
        return Contents(**{**data, "entries": [Entry._make(row) for row in rows]})
    except (KeyError, TypeError, ValueError):
        return None
