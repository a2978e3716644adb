"""What differs between two images: files by content, packages, settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..show.display import Composed, Shown, Stack, Table, shorten, size
from .answers import ROWS, readable
from .image import File


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


def features(file: File) -> tuple[object, ...]:
    """What makes a file another one, its content apart."""
    entry = file.entry
    kind = "file" if entry.kind == "hard link" else entry.kind
    target = entry.target if kind == "symlink" else ""
    return kind, entry.mode, entry.uid, entry.gid, target, file.first.size


def settings(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[str, str]]:
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


def _signed(number: int) -> str:
    return ("+" if number > 0 else "−" if number < 0 else "") + size(abs(number))
