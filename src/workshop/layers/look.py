"""Look into an image: one call for each question that a reader asks of it.

Every answer is shown as a table, short by default; ``rows=None`` shows all of it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..errors import WorkshopError
from ..show.display import Composed, Shown, Stack, Table, bar, shorten, size
from ..show.figure import Figure, Row
from . import packages, unwanted
from .image import File, Image, Layer, Superseded, digests_of, of_archive, of_image
from .unwanted import Finding

ROWS = 10


def look(image: str, base: str = "") -> Look:
    """Look into ``image``: a name on the engine, or the file of an archive.

    The layers that come from ``base``, an image of the engine, are shown as one. Raises
    WorkshopError when there is no such image, or when it can't be read.
    """
    if Path(image).is_file():
        return Look(of_archive(Path(image)), partial(of_archive, Path(image)), base)
    found = of_image(image)
    # Once more means the same image, also when its name was given to a newer one.
    return Look(found, partial(of_image, found.id), base)


class Look(Composed):
    """An image under the microscope. Shown as its layers, and what of them is superseded."""

    def __init__(self, image: Image, read_again: Callable[..., Image], base: str = "") -> None:
        self.image = image
        self._read_again = read_again
        self.base = base
        below = digests_of(base) if base else []
        mine = [layer.digest for layer in self.image.layers]
        self.base_layers = len(below) if mine[: len(below)] == below else 0

    def parts(self) -> Stack:
        image = self.image
        shown: list[Shown | str] = [
            self._layer_table(),
            "█ can be seen, ░ superseded. Files: + added, ~ changed, − removed.",
            f"{size(image.size)} in {_many(len(image.layers), 'layer')}. Superseded: "
            f"{size(image.superseded_bytes)}.",
        ]
        if image.superseded:
            shown.append(self.superseded())
        return Stack(shown)

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
            listed = "\n  ".join(f"{i} {shorten(text, 80)}" for i, text in enumerate(told))
            raise WorkshopError(
                f"{_many(len(found), 'layer')} of {self.image.name} come from an instruction "
                f"with {part!r}. The layers:\n  {listed}",
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
            raise WorkshopError(f"{self.image.name} has no folder {path} with files in it.")
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
            hint = f"Did you mean /{near[0]}?" if near else "Paths are as `find /` prints them."
            raise WorkshopError(f"No layer of {self.image.name} stores {path}.", hint)
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
        """What differs in ``other``? Files by content, packages, settings."""
        return compare(self, other, rows)

    def figure(self) -> Figure:
        """One picture of the whole image: its layers, and what of them is superseded."""
        rows = [
            Row(self._named(numbers[0]), stored - lost, lost)
            for numbers in self._together()
            for stored in [sum(self.layers[n].size for n in numbers)]
            for lost in [sum(self.layers[n].superseded_bytes for n in numbers)]
        ]
        drawn = [row for row in rows if row.visible + row.superseded >= 1000]
        title = f"{size(self.size)} in {_many(len(self.layers), 'layer')}"
        if left := len(rows) - len(drawn):
            title += f" ({left} of less than 1 kB left out)"
        return Figure(f"{title}; {size(self.superseded_bytes)} superseded", drawn)

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
            return Sizes(title, "path", _by_folder(items), total, rows)
        owners, sums = self.known_packages, defaultdict(lambda: (0, 0))
        for path, count in items:
            name = owners.owner(path)
            if not name:
                top = "/".join(path.split("/")[:2]) if path.count("/") > 1 else path.split("/")[0]
                name = f"(no package) {readable(top)}"
            bytes_, files = sums[name]
            sums[name] = bytes_ + count, files + 1
        return Sizes(title, "package", dict(sums), total, rows)


@dataclass(repr=False)
class Sizes(Composed):
    """Bytes and files by name, with a bar for each one's share of ``total`` bytes."""

    title: str
    what: str
    items: dict[str, tuple[int, int]]
    total: int
    rows: int | None

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes by name, the largest first."""
        return {name: self.items[name][0] for name in self._order()}

    def _order(self) -> list[str]:
        return sorted(self.items, key=lambda name: (-self.items[name][0], name))

    def parts(self) -> Table:
        body = [
            (name, size(bytes_), bar(bytes_ / self.total if self.total else 0, 24), f"{files:,}")
            for name in self._order()
            for bytes_, files in [self.items[name]]
        ]
        return Table(
            f"{self.title}: {size(self.total)}",
            (self.what, "size", "share", "files"),
            body,
            right=("size", "files"),
            least={"size": 9, "share": 24, "files": 6},
            most=self.rows,
        )


@dataclass(repr=False)
class Owner(Composed):
    """Where a path comes from. ``layer`` is the number of the layer that has it, or None.

    ``steps`` are the layers that stored or removed it: number, instruction, what it did.
    """

    path: str
    package: str
    layer: int | None
    steps: list[tuple[str, str, str]]

    def parts(self) -> Table:
        seen = "can be seen" if self.layer is not None else "can't be seen"
        owner = f"of the package {self.package}" if self.package else "of no package"
        return Table(
            f"{self.path} is {owner}, and {seen}",
            ("#", "instruction", "what it did"),
            [(number, shorten(told, 60), did) for number, told, did in self.steps],
            right=("#",),
        )


@dataclass(repr=False)
class Unwanted(Composed):
    """What the rules of ``unwanted`` found."""

    findings: list[Finding]
    rows: int | None
    number: Callable[[int], str]

    @property
    def kinds(self) -> list[str]:
        """What kinds of things were found."""
        return list(dict.fromkeys(finding.kind for finding in self.findings))

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def parts(self) -> Table:
        if self.rows is not None:
            body = [(f.kind, *self._row(f)) for f in self.findings]
        else:
            body = [self._whole(kind) for kind in self.kinds]
        return Table(
            "Should this be in here?",
            ("found", "where", "size", "files", "layer"),
            body,
            right=("size", "files", "layer"),
            least={"size": 9, "files": 6},
            most=self.rows,
        )

    def _whole(self, kind: str) -> tuple[str, ...]:
        found = self.of(kind)
        place = found[0].place + (" (superseded)" if found[0].hidden else "")
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        whole = Finding(
            kind, shorten(place, 44) + more,
            sum(f.files for f in found), sum(f.bytes for f in found), found[0].layer,
        )  # fmt: skip
        return (kind, *self._row(whole))

    def _row(self, finding: Finding) -> tuple[str, str, str, str]:
        where = finding.place + (" (superseded)" if finding.hidden else "")
        if not finding.files:
            return where, "", "", ""
        layer = "" if finding.layer is None else self.number(finding.layer)
        return where, size(finding.bytes), f"{finding.files:,}", layer


# Two images


@dataclass(repr=False)
class Difference(Composed):
    """What differs between two images. Paths are without the first slash.

    ``packages`` maps a name to both versions, ``config`` a setting to both values.
    """

    names: tuple[str, str]
    totals: list[tuple[str, int, int]]
    added: dict[str, int]
    removed: dict[str, int]
    changed: dict[str, tuple[int, int]]
    packages: dict[str, tuple[str, str]]
    package_bytes: dict[str, tuple[int, int]]
    config: dict[str, tuple[str, str]]
    rows: int | None = field(default=ROWS)

    def parts(self) -> Stack:
        this, that = self.names
        shown: list[Shown | str] = [
            Table(
                f"From {this} to {that}",
                ("", "from", "to", "difference"),
                [(name, size(a), size(b), _signed(b - a)) for name, a, b in self.totals],
                right=("from", "to", "difference"),
                least={"from": 9, "to": 9, "difference": 10},
            ),
            f"Files: {len(self.added):,} files added ({size(sum(self.added.values()))}), "
            f"{len(self.removed):,} files removed ({size(sum(self.removed.values()))}), "
            f"{len(self.changed):,} files changed.",
        ]
        order = sorted(
            self.packages,
            key=lambda n: (-abs(self.package_bytes[n][1] - self.package_bytes[n][0]), n),
        )
        if order:
            shown.append(
                Table(
                    "Packages",
                    ("package", "from", "to", "difference"),
                    [
                        (name, *self.packages[name], _signed(b - a))
                        for name in order
                        for a, b in [self.package_bytes[name]]
                    ],
                    right=("difference",),
                    least={"difference": 10},
                    most=self.rows,
                )
            )
        if self.config:
            shown.append(
                Table(
                    "Settings",
                    ("setting", "from", "to"),
                    [(k, shorten(a, 40), shorten(b, 40)) for k, (a, b) in self.config.items()],
                )
            )
        return Stack(shown)

    def files(self, rows: int | None = ROWS) -> Table:
        """The files that differ, the largest first."""
        listed = [(path, "added", "", size(b), b) for path, b in self.added.items()]
        listed += [(path, "removed", size(a), "", a) for path, a in self.removed.items()]
        listed += [
            (path, "changed", size(a), size(b), max(a, b)) for path, (a, b) in self.changed.items()
        ]
        listed.sort(key=lambda row: (-row[-1], row[0]))
        return Table(
            f"Files that differ: {len(listed):,}",
            ("path", "", "from", "to"),
            [(readable(path), *rest[:-1]) for path, *rest in listed],
            right=("from", "to"),
            least={"from": 9, "to": 9},
            most=rows,
        )


def compare(this: Look, that: Look, rows: int | None = ROWS) -> Difference:
    """What differs from ``this`` to ``that``.

    A file is changed if its kind, size, mode, owner or content is another one; times do
    not count. Contents are compared by SHA-256, of files that are otherwise alike.
    """
    a, b = this.files, that.files
    both = a.keys() & b.keys()
    changed = {path for path in both if _features(a[path]) != _features(b[path])}
    doubtful = {
        path
        for path in both - changed
        if a[path].first.size
        and this.layers[a[path].layer].digest != that.layers[b[path].layer].digest
    }
    if doubtful:
        ours, theirs = this.fingerprints(doubtful), that.fingerprints(doubtful)
        changed |= {path for path in doubtful if ours[path] != theirs[path]}
    old, new = this.known_packages.versions, that.known_packages.versions
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    sizes = this.packages().items, that.packages().items
    return Difference(
        (this.image.name, that.image.name),
        [
            ("layers", this.size, that.size),
            ("superseded", this.superseded_bytes, that.superseded_bytes),
            (
                "final file system",
                this.size - this.superseded_bytes,
                that.size - that.superseded_bytes,
            ),
        ],
        {path: b[path].bytes for path in sorted(b.keys() - both)},
        {path: a[path].bytes for path in sorted(a.keys() - both)},
        {path: (a[path].bytes, b[path].bytes) for path in sorted(changed)},
        {name: (old.get(name, "–"), new.get(name, "–")) for name in names},
        {n: (sizes[0].get(n, (0, 0))[0], sizes[1].get(n, (0, 0))[0]) for n in names},
        _settings(this.image.config, that.image.config),
        rows,
    )


def _features(file: File) -> tuple[object, ...]:
    """What makes a file another one, its content apart."""
    entry = file.entry
    kind = "file" if entry.kind == "hard link" else entry.kind
    target = entry.target if kind == "symlink" else ""
    return kind, entry.mode, entry.uid, entry.gid, target, file.first.size


def _settings(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Settings that differ, both values as JSON; variables one by one, labels left out."""
    found = {}
    a, b = old.get("config") or {}, new.get("config") or {}
    for key in sorted({*a, *b} - {"Env", "Labels"}):
        if a.get(key) != b.get(key):
            found[key] = (json.dumps(a.get(key)), json.dumps(b.get(key)))
    ours, theirs = (dict(entry.partition("=")[::2] for entry in c.get("Env") or []) for c in (a, b))
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            found[f"ENV {name}"] = (ours.get(name, "–"), theirs.get(name, "–"))
    return found


# Words and rows


def instruction(created_by: str) -> str:
    """The instruction of a Dockerfile behind what the history says of a layer."""
    text = created_by.removesuffix(" # buildkit").strip()
    # RUN |2 NAME=value NAME=value /bin/sh -c: what BuildKit puts before a command
    text = re.sub(r"^RUN (?:\|\d+ .*?)?/bin/sh -c ", "RUN ", text)
    # the older builder: every instruction is a command, and #(nop) marks those that are none
    text = re.sub(r"^/bin/sh -c #\(nop\)\s*", "", text)
    text = re.sub(r"^/bin/sh -c ", "RUN ", text)
    return text.strip() or "(no instruction recorded)"


def readable(path: str) -> str:
    """``path`` from the root, with what a terminal would not print written as an escape."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return "/" + "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def _by_folder(items: list[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Bytes and files of folders, as deep as it takes: no folder shown has most of the bytes."""
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    inside: dict[str, set[str]] = defaultdict(set)
    for path, count in items:
        inside[path.rpartition("/")[0] + "/"].add(path)
        sums[path] = count, 1
        folder = path
        while folder:
            above = folder.rpartition("/")[0]
            bytes_, files = sums[f"{above}/"]
            sums[f"{above}/"] = bytes_ + count, files + 1
            if above:
                inside[above.rpartition("/")[0] + "/"].add(f"{above}/")
            folder = above
    total, shown = sum(count for _, count in items), {"/"}
    while large := {f for f in shown if f.endswith("/") and 2 * sums[f][0] > total or f == "/"}:
        shown = (shown - large).union(*(inside[folder] for folder in large))
    return {readable(name).replace("//", "/"): sums[name] for name in shown}


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _signed(number: int) -> str:
    return ("+" if number > 0 else "−" if number < 0 else "") + size(abs(number))
