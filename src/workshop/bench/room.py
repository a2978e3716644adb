"""A room on one engine: how long chapters take when several readers run them at once.

Each reader is a process with a session of its own. Before each round the engine's build cache is
emptied, as it is when a course begins.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..engine import client, embedded
from ..errors import WorkshopError
from ..lesson import claims
from ..show.console import step
from .report import STORED, Measured

CHAPTERS = ("02", "03")
READERS = (1, 2, 4, 8)
ROOM = 30
# In a reader's folder: what their claims have seen.
KEPT = "kept.jsonl"
# A reader, in a process: runs the chapters, and says how much memory it and its kernel took.
READER = """
import time
start = time.monotonic()
import resource
import shutil
import sys
from pathlib import Path
from workshop.engine import session
from workshop.lesson import notebooks
from workshop.paths import WORKSPACES
try:
    notebooks.run(sys.argv[2:], Path(sys.argv[1]))
finally:
    session.remove_leftovers()
    shutil.rmtree(WORKSPACES / session.ident(), ignore_errors=True)
own, kernel = (resource.getrusage(who).ru_maxrss for who in
               (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
# macOS says bytes, Linux kB.
print((own + kernel) // (1024 if sys.platform == "darwin" else 1), time.monotonic() - start)
"""


@dataclass(frozen=True)
class Round:
    """Readers at once: seconds of each, kB of memory of each, the claims that held for each."""

    readers: int
    seconds: list[float]
    memory_kb: list[int]
    claims: list[int]


@dataclass(repr=False)
class Room(Measured):
    """The rounds; which chapters, when and where it was."""

    HEADS = ("readers", "the slowest took", "times one reader", "claims that held", "memory")
    WORDS = 0

    rounds: list[Round]
    chapters: list[str]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"Chapters {' and '.join(self.chapters)}, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "machine": self.machine,
            "chapters": self.chapters,
            "rounds": [vars(each) for each in self.rounds],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Readers, seconds of the slowest, how many times one reader's, claims and memory of all.

        The last row is not measured: ROOM readers, on the line through the last two rounds.
        """
        alone = self.rounds[0]
        rows: list[tuple[str, ...]] = []
        for each in self.rounds:
            slowest = max(each.seconds)
            rows.append(
                (
                    str(each.readers),
                    f"{slowest:.0f} s",
                    f"{slowest / max(alone.seconds):.1f}",
                    f"{sum(each.claims)} of {each.readers * alone.claims[0]}",
                    f"{sum(each.memory_kb) / 1e6:.1f} GB",
                )
            )
        then = self._then()
        memory = statistics.mean(self.rounds[-1].memory_kb) * ROOM / 1e6
        rows.append(
            (
                f"{ROOM}, computed",
                f"{then:.0f} s",
                f"{then / max(alone.seconds):.1f}",
                "",
                f"{memory:.1f} GB",
            )
        )
        return rows

    def _then(self) -> float:
        """Seconds of ROOM readers, on the line through the last two rounds."""
        before, last = self.rounds[-2:]
        slope = (max(last.seconds) - max(before.seconds)) / (last.readers - before.readers)
        return max(last.seconds) + slope * (ROOM - last.readers)

    def processors(self) -> int:
        """With how many ROOM readers would take no longer than those of the last round did.

        Not measured: it is so if twice the processors do the same work in half the time.
        """
        (had,) = re.findall(r"(\d+) processors", self.machine)
        return math.ceil(int(had) * self._then() / max(self.rounds[-1].seconds))


def run() -> Room:
    """Let 1, 2, 4 and 8 readers run chapters, each round from an empty build cache.

    Takes about half an hour. Raises WorkshopError when a chapter of a reader fails.
    """
    rounds = []
    for readers in READERS:
        embedded.prune("the build cache")
        with (
            step(f"Chapters {' and '.join(CHAPTERS)}, {readers} readers at once"),
            tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary,
        ):
            rounds.append(_round(readers, Path(temporary)))
    return Room(rounds, list(CHAPTERS), datetime.now(UTC).date().isoformat(), client.machine())


def _round(readers: int, top: Path) -> Round:
    """Let readers run the chapters at once; each has a folder below ``top``, named by a number."""
    folders = [top / str(number) for number in range(readers)]
    started = [_start(folder) for folder in folders]
    try:
        ended = [_end(*reader) for reader in zip(started, folders, strict=True)]
    finally:
        # Also after one that failed, each cleans up behind itself.
        for process in started:
            process.wait()
    held = [len((folder / KEPT).read_text().splitlines()) for folder in folders]
    seconds = [each[0] for each in ended]
    return Round(readers, seconds, [each[1] for each in ended], held)


def _start(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    environment = {
        **os.environ,
        "WORKSHOP_SESSION": secrets.token_hex(4),
        claims.KEEP: str(folder / KEPT),
    }
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", READER, str(folder / "executed"), *CHAPTERS],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


def _end(process: subprocess.Popen[str], folder: Path) -> tuple[float, int]:
    said, _ = process.communicate()
    if process.returncode:
        tail = (folder / "log").read_text(encoding="utf-8").splitlines()[-15:]
        raise WorkshopError("A reader's chapters failed:\n" + "\n".join(tail))
    memory, seconds = said.split()
    return float(seconds), int(memory)


def stored() -> Room:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --room --json > docs/room.json` replaces it.
    """
    told = json.loads((STORED / "room.json").read_text(encoding="utf-8"))
    rounds = [Round(**each) for each in told["rounds"]]
    return Room(rounds, told["chapters"], told["date"], told["machine"])
