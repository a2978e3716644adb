"""What the questions of ``look.Look`` are answered with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ..show.display import Composed, Table, bar, printable, shorten, size
from .unwanted import Finding

ROWS = 10


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
        body: list[tuple[str, ...]]
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


def readable(path: str) -> str:
    """``path`` from the root, with what a terminal would not print written as an escape."""
    return printable(f"/{path}")


def by_folder(items: list[tuple[str, int]]) -> dict[str, tuple[int, int]]:
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
