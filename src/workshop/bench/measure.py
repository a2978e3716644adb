"""Measure the Dockerfiles side by side, on the same project.

They take turns, round by round, and medians are compared: what slows the machine down
for a while slows all of them. Absolute times belong to the machine, ratios carry over.
"""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..engine import client, session
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..show.console import say
from ..show.live import Live, in_a_notebook
from . import builds, serving
from .dockerfiles import DOCKERFILES, VARIATIONS
from .report import COLUMNS, Benchmark


def run(rounds: int, names: Sequence[str] = tuple(DOCKERFILES), cold: bool = True) -> Benchmark:
    """Measure the Dockerfiles ``names`` in turn, ``rounds`` times.

    Without ``cold`` the columns "cold_s" and "dependency_s" are left out, which take minutes.
    Raises WorkshopError for a name that is none, and when a Dockerfile can't be measured.
    """
    unknown = [name for name in names if name not in DOCKERFILES]
    if unknown:
        raise WorkshopError(
            f"There is no Dockerfile {unknown[0]!r}.", f"There are: {', '.join(DOCKERFILES)}."
        )
    with _round_by_round(rounds) as turns:
        turns.tell("… Building the load generator")
        load_generator = serving.build_load_generator(Workspace("bench-load"))
        new_files = {}
        if cold:
            turns.tell(f"… Asking uv to add {builds.ADDED}")
            new_files = builds.files_with_a_package_more()

        def everything(space: Workspace) -> Iterator[tuple[str, float]]:
            yield from builds.seconds(space, new_files)
            yield from serving.measure(space, load_generator)

        return turns.take({name: DOCKERFILES[name] for name in names}, everything)


def variations(rounds: int) -> Benchmark:
    """Measure the builds of the article's file and of what people change in it.

    The lock files are those of several programs, so "dependency_s" is after a comment more
    in the lock file: no package is new, and the steps below it run as if one were.
    """
    with _round_by_round(rounds) as turns:
        return turns.take(
            VARIATIONS, lambda space: builds.seconds(space, builds.lock_with_a_comment_more(space))
        )


@dataclass
class _Turns:
    """Dockerfiles that are measured in turn; ``busy`` is what ran before it began."""

    rounds: int
    busy: str
    tell: Callable[[str], None]

    def take(
        self,
        dockerfiles: Mapping[str, Path],
        measured: Callable[[Workspace], Iterator[tuple[str, float]]],
    ) -> Benchmark:
        date = datetime.now(UTC).date().isoformat()
        spaces = {name: _workspace(name, file) for name, file in dockerfiles.items()}
        names = list(spaces)
        taken: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in names}
        for number in range(self.rounds):
            # Each round begins with another one, so that none is always the first.
            for name in [*names[number % len(names) :], *names[: number % len(names)]]:
                self.tell(f"… Round {number + 1} of {self.rounds}, {name}")
                for column, value in measured(spaces[name]):
                    taken[name][column].append(value)
                    self.tell(f"  {COLUMNS[column].head:14} {COLUMNS[column].show(value)}")
        rows = {}
        for name in names:
            self.tell(f"… Weighing {name}")
            over, packed = builds.weigh(spaces[name])
            medians = {column: statistics.median(values) for column, values in taken[name].items()}
            known = {"bytes_over_base": over, "compressed_bytes": packed, **medians}
            rows[name] = {column: known[column] for column in COLUMNS if column in known}
        return Benchmark(rows, self.rounds, self.busy, date, client.machine())


@contextmanager
def _round_by_round(rounds: int) -> Iterator[_Turns]:
    if rounds < 1:
        raise WorkshopError("No round, no measurement.", "Ask for one round or more.")
    with Live() as live:
        turns = _Turns(rounds, _what_else_runs(), live.line if in_a_notebook() else say)
        turns.tell(f"… {turns.busy}")
        yield turns


def _workspace(name: str, file: Path) -> Workspace:
    space = Workspace(f"bench-{''.join(c if c.isalnum() else '-' for c in name.lower())}")
    space.use(file)
    return space


def _what_else_runs() -> str:
    mine = session.ident()
    running = client.connect().containers.list(ignore_removed=True)
    others = [c.name for c in running if c.labels.get(session.LABEL) != mine]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Before it began, this machine's load was {load}, and {len(others)} other containers "
        "ran on the engine."
    )
