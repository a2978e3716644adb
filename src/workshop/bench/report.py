"""What the benchmark found: ratios, numbers, bars; and the answer that is kept in docs/."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..paths import ROOT
from ..show.display import Composed, Stack, Table, size
from ..show.figure import Panel, Panels
from .dockerfiles import COMPARED_WITH
from .serving import SETTINGS

STORED = ROOT / "docs"


class Column(NamedTuple):
    """How a measure is headed, and how a value of it is written."""

    head: str
    show: Callable[[float], str]


def _bytes(value: float) -> str:
    return size(int(value))


COLUMNS = {
    "bytes_over_base": Column("over the base", _bytes),
    "compressed_bytes": Column("to pull", _bytes),
    "cold_s": Column("cold build", "{:.1f} s".format),
    "edit_s": Column("edited line", "{:.1f} s".format),
    "dependency_s": Column("added package", "{:.1f} s".format),
    "noop_s": Column("no change", "{:.2f} s".format),
    "check_s": Column("check", "{:.2f} s".format),
    "start_s": Column("start", "{:.2f} s".format),
    "memory_bytes": Column("memory", _bytes),
    "requests_per_s": Column("answers/s", "{:.0f}".format),
    "lost_requests": Column("lost at stop", "{:.0f}".format),
}
COMPARED = (
    f"Every server got the same settings: {SETTINGS}. Only for “lost at stop” each image has "
    "its own, because how a server drains is one of them."
)


@dataclass(repr=False)
class Benchmark(Composed):
    """What was measured, when, where, and what else kept the machine busy.

    ``rows`` holds the medians of each Dockerfile, by the names of COLUMNS: bytes, seconds,
    and answers in a second. ``cold_s`` is a build that finds neither a layer nor a cache
    mount, ``noop_s`` the same once more, ``edit_s`` after an edited line, ``dependency_s``
    after an added package; ``check_s`` is `manage.py check` in a container, in seconds of a
    processor, ``start_s`` the time from a container's start to its first answer,
    ``memory_bytes`` what its processes hold under load, ``requests_per_s`` the answers to /
    with status 200, ``lost_requests`` how many of eight clients' requests were accepted and
    never answered when it was told to stop. ``date`` is that of the start, as YYYY-MM-DD in UTC.
    """

    rows: dict[str, dict[str, float]]
    rounds: int
    busy: str
    date: str
    machine: str

    @property
    def columns(self) -> list[str]:
        """The names of what was measured, in the order of COLUMNS."""
        return [name for name in COLUMNS if name in next(iter(self.rows.values()))]

    def ratio(self, column: str, one: str = "production", to: str = COMPARED_WITH) -> float:
        """How many times as much ``one`` takes as the other; not a number for 0 of 0."""
        value, other = self.rows[one][column], self.rows[to][column]
        return value / other if other else math.inf if value else math.nan

    def as_json(self) -> dict[str, object]:
        """What ``workshop bench --json`` prints."""
        rows = [{"dockerfile": name, **values} for name, values in self.rows.items()]
        return {
            "rows": rows,
            "rounds": self.rounds,
            "busy": self.busy,
            "date": self.date,
            "machine": self.machine,
        }

    def as_markdown(self) -> str:
        """What was measured, as the table in README.md: a line for each column."""
        lines = [["measured", *self.rows], ["---"] * (len(self.rows) + 1)]
        for name in self.columns:
            head, show = COLUMNS[name]
            lines.append([head, *(show(row[name]) for row in self.rows.values())])
        return markdown(lines)

    def parts(self) -> Stack:
        columns = self.columns
        heads = [COLUMNS[name].head for name in columns]
        shown = {
            name: [COLUMNS[column].show(values[column]) for column in columns]
            for name, values in self.rows.items()
        }
        serves = "requests_per_s" in columns
        to = COMPARED_WITH if COMPARED_WITH in self.rows else next(iter(self.rows))
        ratios = [
            (name, *(f"{self.ratio(column, name, to):.2f}" for column in columns))
            for name in self.rows
        ]
        rounds = f"medians of {self.rounds} rounds" if self.rounds > 1 else "one round"
        return Stack(
            [
                Table(f"Times as much as {to}, {rounds}", ("image", *heads), ratios, right=heads),
                Table(
                    f"Measured on {self.date}",
                    ("image", *heads),
                    [(name, *values) for name, values in shown.items()],
                    right=heads,
                ),
                f"The machine: {self.machine}. {self.busy}",
                *([COMPARED] if serves else []),
                Panels(
                    "Less is better" + (", but for answers in a second" if serves else ""),
                    [
                        Panel(
                            COLUMNS[column].head,
                            [
                                (name, values[column], shown[name][number])
                                for name, values in self.rows.items()
                            ],
                        )
                        for number, column in enumerate(columns)
                    ],
                ),
            ]
        )


def markdown(lines: Iterable[Iterable[str]]) -> str:
    """A table of Markdown of the cells of its lines, the one below the head included."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Measured(Composed):
    """A table of what was measured once, which tells its date; ``rows`` are under ``HEADS``."""

    HEADS: ClassVar[tuple[str, ...]]
    # The columns at the left that hold words; the others hold numbers.
    WORDS: ClassVar[int] = 1

    @property
    def caption(self) -> str:
        raise NotImplementedError

    def rows(self) -> Sequence[tuple[str, ...]]:
        raise NotImplementedError

    def as_markdown(self) -> str:
        """The table as it stands in the docs."""
        numbers = len(self.HEADS) - self.WORDS
        line = [*["---"] * self.WORDS, *["---:"] * numbers]
        return markdown([self.HEADS, line, *self.rows()])

    def parts(self) -> Table:
        return Table(self.caption, self.HEADS, self.rows(), right=self.HEADS[self.WORDS :])


def of_json(told: dict[str, Any]) -> Benchmark:
    """The Benchmark that ``as_json`` made ``told`` of."""
    rows = {row.pop("dockerfile"): row for row in (dict(row) for row in told["rows"])}
    return Benchmark(rows, told["rounds"], told["busy"], told["date"], told["machine"])


def stored(name: str = "benchmark") -> Benchmark:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --json > docs/benchmark.json` replaces it, and `uv run workshop bench
    --variations --json > docs/variations.json` the other one, ``stored("variations")``.
    """
    return of_json(json.loads((STORED / f"{name}.json").read_text(encoding="utf-8")))
