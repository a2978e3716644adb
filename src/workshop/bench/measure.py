"""Measure the Dockerfiles side by side, on the same project.

They take turns, round by round, and medians are compared: what slows the machine down
for a while slows all of them. Absolute times belong to the machine, ratios carry over.
"""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ..engine import client, session
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..show.console import say
from ..show.live import Live, in_a_notebook
from . import builds, serving
from .dockerfiles import DOCKERFILES
from .report import COLUMNS, Benchmark


def run(rounds: int, names: Sequence[str] = tuple(DOCKERFILES), cold: bool = True) -> Benchmark:
    """Measure the Dockerfiles ``names`` in turn, ``rounds`` times.

    Without ``cold`` the columns "cold_s" and "dependency_s" are left out, which take minutes.
    Raises WorkshopError for a name that is none, and when a Dockerfile can't be measured.
    """
    unknown = [name for name in names if name not in DOCKERFILES]
    if unknown or rounds < 1:
        raise WorkshopError(
            f"There is no Dockerfile {unknown[0]!r}." if unknown else "No round, no measurement.",
            f"There are: {', '.join(DOCKERFILES)}." if unknown else "Ask for one round or more.",
        )
    with Live() as live:
        tell = live.line if in_a_notebook() else say
        return _run(rounds, names, cold, tell)


def _run(rounds: int, names: Sequence[str], cold: bool, tell: Callable[[str], None]) -> Benchmark:
    date, busy = datetime.now(UTC).date().isoformat(), _what_else_runs()
    tell(f"… {busy}")
    tell("… Building the load generator")
    load_generator = serving.build_load_generator()
    spaces = {name: _workspace(name) for name in names}
    new_files = {}
    if cold:
        tell(f"… Asking uv to add {builds.ADDED}")
        new_files = builds.files_with_a_package_more()
    taken: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in names}
    for number in range(rounds):
        # Each round begins with another one, so that none is always the first.
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            tell(f"… Round {number + 1} of {rounds}, {name}")
            for measured in (
                builds.seconds(spaces[name], new_files),
                serving.measure(spaces[name], load_generator),
            ):
                for column, value in measured:
                    taken[name][column].append(value)
                    tell(f"  {COLUMNS[column].head:14} {COLUMNS[column].show(value)}")
    rows = {}
    for name in names:
        tell(f"… Weighing {name}")
        over, packed = builds.weigh(spaces[name])
        medians = {column: statistics.median(values) for column, values in taken[name].items()}
        known = {"bytes_over_base": over, "compressed_bytes": packed, **medians}
        rows[name] = {column: known[column] for column in COLUMNS if column in known}
    return Benchmark(rows, rounds, busy, date, _machine())


def _workspace(name: str) -> Workspace:
    space = Workspace(f"bench-{''.join(c if c.isalnum() else '-' for c in name.lower())}")
    space.use(DOCKERFILES[name])
    return space


def _what_else_runs() -> str:
    mine = session.ident()
    running = client.connect().containers.list()
    others = [c.name for c in running if c.labels.get(session.LABEL) != mine]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Before it began, this machine's load was {load}, and {len(others)} other containers "
        "ran on the engine."
    )


def _machine() -> str:
    """The engine's machine in words, because that is where everything ran."""
    told = client.connect().info()
    return (
        f"{told['OSType']} {told['Architecture']}, {told['NCPU']} processors, "
        f"{told['MemTotal'] / 1e9:.0f} GB of memory, Docker Engine {told['ServerVersion']} "
        f"with the {told['Driver']} store"
    )
