"""What the layers of an image add up to: its files, and the bytes that nobody can see.

The rules are those of the OCI image specification (github.com/opencontainers/image-spec,
layer.md). A layer goes onto those below it in this order: its whiteouts remove paths, with
all that is in them; its opaque folders are emptied; then its own paths take their places.
A whiteout never removes what its own layer stores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import WorkshopError
from ..show.display import printable
from .layer import Contents
from .tar import Entry


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


def instruction(created_by: str) -> str:
    """The instruction of a Dockerfile behind what the history says of a layer."""
    text = created_by.removesuffix(" # buildkit").strip()
    # RUN |2 NAME=value NAME=value /bin/sh -c: what BuildKit puts before a command
    text = re.sub(r"^RUN (?:\|\d+ .*?)?/bin/sh -c ", "RUN ", text)
    # the older builder: every instruction is a command, and #(nop) marks those that are none
    text = re.sub(r"^/bin/sh -c #\(nop\)\s*", "", text)
    text = re.sub(r"^/bin/sh -c ", "RUN ", text)
    return text.strip() or "(no instruction recorded)"


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
        digests: list[str] = self.config["rootfs"]["diff_ids"]
        made = [h for h in self.config.get("history") or [] if not h.get("empty_layer")]
        told = [h.get("created_by") or "" for h in made] if len(made) == len(digests) else []
        self.layers = [Layer(digest, told[i] if told else "") for i, digest in enumerate(digests)]
        _Union(self).put_together()

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
        """The kept files of the final file system, by path; see layer.Contents."""
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


class _Union:
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
        # A whiteout stands in its folder, so the folder is there.
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
                printable(f"{self.image.name} can't be read as an image: in layer {number}, ")
                + f"the hard link {entry.path!r} leads to {entry.target!r}, which is not there.",
                "Make the archive anew with `docker save`.",
            )
        return self.first_name[at]

    def _make_folder(self, path: str, number: int, gone: set[str]) -> None:
        missing = []
        while path not in self.tree:
            missing.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(missing):
            folder, _, name = path.rpartition("/")
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
        todo = [(path, at)]
        while todo:
            path, at = todo.pop()
            if at >= 0:
                self.hidden_by[at] = number
                if self.stored_by[at] < number:
                    gone.add(path)
            else:
                todo += [(_join(path, name), at) for name, at in self.tree.pop(path).items()]
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
