"""Look into an image: one call for each question that a reader asks of it.

Every answer is shown as a table, short by default; ``rows=None`` shows all of it.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import docker

from ..errors import WorkshopError
from ..show.display import Composed, Shown, Stack, Table, bar, printable, shorten, size
from ..show.drawing import Column, Flow
from ..show.figure import Figure, Row
from . import packages, unwanted
from .answers import ROWS, Owner, Sizes, Unwanted, by_folder, readable
from .difference import Difference, features, settings
from .image import File, Image, Layer, Superseded, instruction
from .sources import digests_of, of_archive, of_image


def look_into(image: str, base: str = "", *, client: docker.DockerClient | None = None) -> Look:
    """Look into ``image``: a name on the engine, or the file of an archive.

    The layers that come from ``base``, an image of the engine, are shown as one. Without a
    ``client`` the engine is the one that docker-py finds in the environment. Raises
    WorkshopError when there is no such image, or when it can't be read.
    """
    below = partial(digests_of, base, client=client) if base else list
    if os.path.isfile(image):
        path = Path(image)
        return Look(of_archive(path), partial(of_archive, path), base, below())
    found = of_image(image, client=client)
    # Once more means the same image, also when its name was given to a newer one.
    return Look(found, partial(of_image, found.id, client=client), base, below())


class Look(Composed):
    """An image, and what you can ask it. Shown as its layers, and what of them is superseded.

    Made by ``look_into``. ``below`` are the digests of the layers of ``base``.
    """

    def __init__(
        self,
        image: Image,
        read_again: Callable[..., Image],
        base: str = "",
        below: Sequence[str] = (),
    ) -> None:
        self.image = image
        self._read_again = read_again
        self.base = base
        mine = [layer.digest for layer in self.image.layers]
        self.base_layers = len(below) if mine[: len(below)] == list(below) else 0

    def parts(self) -> Stack:
        shown: list[Shown | str] = [self.by_layer()]
        if self.image.superseded:
            shown.append(self.superseded())
        return Stack(shown)

    def by_layer(self) -> Stack:
        """What does each layer store, and what of it is superseded?"""
        image = self.image
        return Stack(
            [
                self._layer_table(),
                "█ can be seen, ░ superseded. Files: + added, ~ changed, − removed.",
                f"{size(image.size)} in {_many(len(image.layers), 'layer')}. Superseded: "
                f"{size(image.superseded_bytes)}.",
            ]
        )

    @property
    def _name(self) -> str:
        return printable(self.image.name)

    # What there is, as numbers

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return self.image.size

    @property
    def superseded_bytes(self) -> int:
        """Bytes that some layer stores and that the final file system does not show."""
        return self.image.superseded_bytes

    @property
    def layers(self) -> list[Layer]:
        """The layers, lowest first."""
        return self.image.layers

    @property
    def superseded_paths(self) -> list[Superseded]:
        """Every path that some layer stores and the final file system does not show."""
        return self.image.superseded

    @property
    def files(self) -> dict[str, File]:
        """The final file system: what is no folder, by path without the first slash."""
        return self.image.files

    @cached_property
    def known_packages(self) -> packages.Packages:
        """What Debian's and Python's package managers noted."""
        return packages.of_image(self.image)

    def layer(self, part: str) -> int:
        """The number of the one layer whose instruction contains ``part``."""
        told = [instruction(layer.created_by) for layer in self.layers]
        found = [number for number, text in enumerate(told) if part in text]
        if len(found) != 1:
            lines = [printable(f"  {i} {shorten(text, 80)}") for i, text in enumerate(told)]
            raise WorkshopError(
                f"{_many(len(found), 'layer')} of {self._name} come from an instruction with "
                f"{part!r}. The layers:\n" + "\n".join(lines),
                "Name a part that only one of them has.",
            )
        return found[0]

    # Questions

    def added(self, part: str, by: str = "folder", rows: int | None = ROWS) -> Sizes:
        """What did the instruction that contains ``part`` add? ``by`` folder or package."""
        number = self.layer(part)
        entries = [e for e in self.image.contents[number].entries if e.kind != "folder"]
        items = [(entry.path, entry.size) for entry in entries]
        title = f"Added by {self._named(number)}"
        return self._sizes(title, items, by, rows)

    def folders(self, path: str = "/", rows: int | None = ROWS) -> Sizes:
        """Where do the megabytes go? The folders of the final file system, below ``path``."""
        start = self.image.resolve(path)
        inside = f"{start}/" if start else ""
        items = [(p, f.bytes) for p, f in self.files.items() if p.startswith(inside)]
        if not items:
            raise WorkshopError(f"{self._name} has no folder {path} with files in it.")
        return self._sizes(f"In {path}", items, "folder", rows)

    def packages(self, rows: int | None = ROWS) -> Sizes:
        """Where do the megabytes go? The packages of the final file system."""
        items = [(path, file.bytes) for path, file in self.files.items()]
        return self._sizes("By package", items, "package", rows)

    def owner(self, path: str) -> Owner:
        """Who owns this file? Its package, and each layer that stored or removed it."""
        wanted = self.image.resolve(path)
        steps = []
        for number, contents in enumerate(self.image.contents):
            entry = next((e for e in contents.entries if e.path == wanted), None)
            if entry:
                what = f"stored, {size(entry.size)}" if entry.kind == "file" else entry.kind
                steps.append((number, what))
        gone = [s.hidden_by for s in self.image.superseded if s.path == wanted]
        if not steps:
            name = wanted.rpartition("/")[2]
            near = sorted({e.path for _, e in self.image.stored() if e.path.endswith(f"/{name}")})
            hint = "Paths are as `find /` prints them."
            raise WorkshopError(
                f"No layer of {self._name} stores {path}.",
                f"Did you mean {readable(near[0])}?" if near else hint,
            )
        file = self.files.get(wanted)
        return Owner(
            readable(wanted),
            self.known_packages.owner(wanted),
            file.layer if file else None,
            [
                (self._number(n), self._told(n), did)
                for n, did in sorted(steps + [(n, "removed") for n in gone if n not in dict(steps)])
            ],
        )

    def superseded(self, by: str = "layer", rows: int | None = ROWS) -> Table:
        """Which bytes ship and can't be seen? The layers that store and that hide them.

        Added up for each pair of layers, or ``by`` "folder", or by "path".
        """
        if by not in ("layer", "folder", "path"):
            raise WorkshopError(
                f"by={by!r} is no way to add up.", 'Use "layer", "folder" or "path".'
            )
        groups: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        paths: Counter[tuple[str, str, str]] = Counter()
        for path, lost, stored, hidden in self.image.superseded:
            folder = path.rpartition("/")[0]
            place = {"layer": "", "folder": folder, "path": path}[by]
            key = (place, self._named(stored, 28), self._named(hidden, 28))
            groups[key][folder if by == "layer" else place] += lost
            paths[key] += 1
        order = sorted(groups, key=lambda key: (-groups[key].total(), key))
        return Table(
            "Superseded: stored by one layer, hidden by another",
            ("mostly in" if by == "layer" else by, "bytes", "paths", "stored by", "hidden by"),
            [
                (
                    readable(groups[key].most_common(1)[0][0]), size(groups[key].total()),
                    f"{paths[key]:,}", *key[1:],
                )
                for key in order
            ],
            right=("bytes", "paths"),
            least={"bytes": 9, "paths": 6},
            most=rows,
        )  # fmt: skip

    def unwanted(self, rows: int | None = None) -> Unwanted:
        """Is anything in here that should not be? One line a kind; ``rows`` for each place."""
        return Unwanted(unwanted.findings(self.image), rows, self._number)

    def diff(self, other: Look, rows: int | None = ROWS) -> Difference:
        """What differs in ``other``? Files, packages, settings.

        A file is changed if its kind, size, mode, owner or content is another one; times do
        not count. Contents are compared by SHA-256, of files that are otherwise alike.
        """
        a, b = self.files, other.files
        both = a.keys() & b.keys()
        changed = {path for path in both if features(a[path]) != features(b[path])}
        doubtful = {
            path
            for path in both - changed
            if a[path].first.size
            and self.layers[a[path].layer].digest != other.layers[b[path].layer].digest
        }
        if doubtful:
            ours, theirs = self.fingerprints(doubtful), other.fingerprints(doubtful)
            changed |= {path for path in doubtful if ours[path] != theirs[path]}
        old, new = self.known_packages.versions, other.known_packages.versions
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        sizes = self.packages().items, other.packages().items
        return Difference(
            (self.image.name, other.image.name),
            [
                ("layers", self.size, other.size),
                ("superseded", self.superseded_bytes, other.superseded_bytes),
                (
                    "final file system",
                    self.size - self.superseded_bytes,
                    other.size - other.superseded_bytes,
                ),
            ],
            {path: b[path].bytes for path in sorted(b.keys() - both)},
            {path: a[path].bytes for path in sorted(a.keys() - both)},
            {path: (a[path].bytes, b[path].bytes) for path in sorted(changed)},
            {name: (old.get(name, "–"), new.get(name, "–")) for name in names},
            {n: (sizes[0].get(n, (0, 0))[0], sizes[1].get(n, (0, 0))[0]) for n in names},
            settings(self.image.config, other.image.config),
            rows,
        )

    def trace(self, path: str) -> Flow:
        """What each layer does with what lies at ``path``, drawn; last, what a container shows.

        Raises WorkshopError if no layer has anything there.
        """
        wanted = path.strip("/")
        columns = []
        for number, contents in enumerate(self.image.contents):
            stored = [e for e in contents.entries if _lies_in(e.path, wanted)]
            files = [e for e in stored if e.kind != "folder"]
            lines = []
            if files:
                lines.append(f"stores {_many(len(files), 'file')}")
                lines.append(size(sum(e.size for e in files)))
            gone = [p for p in contents.removed if _lies_in(p, wanted)]
            if gone:
                lines.append(f"stores {_many(len(gone), 'whiteout')}")
            if lines:
                columns.append(Column(self._named(number), lines, [lines[-1]] if gone else []))
        if not columns:
            raise WorkshopError(
                f"No layer of {self._name} has anything at {printable('/' + wanted)}.",
                "Name a file or a folder as it is written from / on.",
            )
        shown = sum(_lies_in(p, wanted) for p in self.files)
        columns.append(Column("a container", [f"shows {_many(shown, 'file')}"]))
        arrows = ["then"] * (len(columns) - 2) + ["adds up to"]
        return Flow(columns, arrows)

    def figure(self, beside: Look | None = None) -> Figure:
        """One picture of the whole image: its layers, and what of them is superseded.

        ``beside`` is another image: both figures then have one scale.
        """
        rows = self._rows()
        drawn = [row for row in rows if row.visible + row.superseded >= 1000]
        title = f"{size(self.size)} in {_many(len(self.layers), 'layer')}"
        if left := len(rows) - len(drawn):
            title += f" ({left} of less than 1 kB left out)"
        most = max((r.visible + r.superseded for r in beside._rows()), default=0) if beside else 0
        return Figure(f"{title}; {size(self.superseded_bytes)} superseded", drawn, most)

    def _rows(self) -> list[Row]:
        return [
            Row(self._named(numbers[0]), stored - lost, lost)
            for numbers in self._together()
            for stored in [sum(self.layers[n].size for n in numbers)]
            for lost in [sum(self.layers[n].superseded_bytes for n in numbers)]
        ]

    def fingerprints(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of files of the final file system. Reads the image once more."""
        again = self._read_again(fingerprint={self.files[path].first.path for path in paths})
        return {
            path: again.contents[file.layer].fingerprints.get(file.first.path, "")
            for path in paths
            for file in [again.files[path]]
        }

    def as_json(self) -> dict[str, Any]:
        """What ``workshop layers --json`` prints. Sizes in bytes."""
        image = self.image
        return {
            "image": image.name,
            "size": image.size,
            "superseded_bytes": image.superseded_bytes,
            "layers": [dataclasses.asdict(layer) for layer in image.layers],
            "superseded": [dict(s._asdict(), path=readable(s.path)) for s in image.superseded],
        }

    def _together(self) -> list[list[int]]:
        """The numbers of the layers, those of the base in one list."""
        first = [list(range(self.base_layers))] if self.base_layers else []
        return first + [[number] for number in range(self.base_layers, len(self.layers))]

    def _number(self, number: int) -> str:
        """A layer's number as it is shown: with a base, the first one above it is 1."""
        if number < self.base_layers:
            return "base"
        return str(number - self.base_layers + 1 if self.base_layers else number)

    def _told(self, number: int) -> str:
        """What made a layer."""
        if number < self.base_layers:
            return self.base
        return instruction(self.layers[number].created_by)

    def _named(self, number: int, width: int = 60) -> str:
        return shorten(f"{self._number(number)} {self._told(number)}", width)

    def _layer_table(self) -> Table:
        sums = []
        for numbers in self._together():
            found = [self.layers[number] for number in numbers]
            stored, lost = sum(la.size for la in found), sum(la.superseded_bytes for la in found)
            sums.append((numbers[0], stored, lost, found))
        most = max((stored for _, stored, *_ in sums), default=0) or 1
        body = [
            (
                self._number(number),
                shorten(self._told(number), 40),
                size(stored),
                bar(stored / most, 12, lost / most),
                f"+{sum(la.added - la.removed for la in found[:-1]) + found[-1].added:,}",
                f"~{found[-1].changed:,}",
                f"−{found[-1].removed:,}",
                size(lost),
            )
            for number, stored, lost, found in sums
        ]
        return Table(
            f"Layers of {self.image.name}, lowest first",
            ("#", "instruction", "size", "", "+", "~", "−", "superseded"),
            body,
            right=("#", "size", "+", "~", "−", "superseded"),
            least={"#": 4, "size": 9, "": 12, "+": 6, "~": 4, "−": 6, "superseded": 10},
        )

    def _sizes(self, title: str, items: list[tuple[str, int]], by: str, rows: int | None) -> Sizes:
        if by not in ("folder", "package"):
            raise WorkshopError(f"by={by!r} is no way to add up.", 'Use "folder" or "package".')
        total = sum(count for _, count in items)
        if by == "folder":
            return Sizes(title, "path", by_folder(items), total, rows)
        owners = self.known_packages
        sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for path, count in items:
            name = owners.owner(path)
            if not name:
                top = "/".join(path.split("/")[:2]) if path.count("/") > 1 else path.split("/")[0]
                name = f"(no package) {readable(top)}"
            bytes_, files = sums[name]
            sums[name] = bytes_ + count, files + 1
        return Sizes(title, "package", dict(sums), total, rows)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
