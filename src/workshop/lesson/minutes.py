"""How long a chapter takes: to read, to run, and to solve its exercises.

Reading is counted in words, at the speed of somebody for whom English is a foreign language and
the subject is new. Running is what it took the last time when outputs were stored.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..paths import ROOT, write_whole
from ..show.display import Table
from . import exercises

WORDS_A_MINUTE = 200
# Code is read twice: what it says, and what it means.
CODE_WORDS_A_MINUTE = 100
MINUTES_AN_EXERCISE = 5
RAN = ROOT / "docs" / "seconds.json"


@dataclass(frozen=True)
class Minutes:
    """Minutes of one chapter: for its text, its code, its running, and its exercises."""

    text: float
    code: float
    running: float
    exercises: float

    @property
    def chapter(self) -> int:
        """Without the exercises, in steps of five: what the chapter says of itself."""
        return max(5 * math.ceil((self.text + self.code + self.running) / 5), 5)


def of_chapter(path: Path) -> Minutes:
    """The minutes of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    own = [cell for cell in cells if not cell["metadata"].get("tags")]
    seconds = _ran().get(path.stem, 0)
    return Minutes(
        _words(own, "markdown") / WORDS_A_MINUTE,
        _words(own, "code") / CODE_WORDS_A_MINUTE,
        seconds / 60,
        MINUTES_AN_EXERCISE * len(exercises.names(path.stem)),
    )


def as_table(paths: list[Path]) -> Table:
    """One row a chapter, and the sum."""
    found = [of_chapter(path) for path in paths]
    rows = [
        (
            path.stem,
            *(f"{part:.1f}" for part in (m.text, m.code, m.running)),
            m.chapter,
            m.exercises,
        )
        for path, m in zip(paths, found, strict=True)
    ]
    total = (sum(m.chapter for m in found), sum(m.exercises for m in found))
    rows.append(("all", "", "", "", *total))
    heads = ("chapter", "text", "code", "running", "minutes", "exercises")
    return Table("Minutes", heads, rows, right=heads[1:])


def remember(chapter: str, seconds: float) -> None:
    """Keep how long a chapter ran."""
    told = {**_ran(), chapter: round(seconds)}
    write_whole(RAN, json.dumps(dict(sorted(told.items())), indent=2) + "\n")


def _ran() -> dict[str, float]:
    found: dict[str, float] = json.loads(RAN.read_text(encoding="utf-8")) if RAN.exists() else {}
    return found


def _words(cells: list[dict[str, Any]], kind: str) -> int:
    return sum(len("".join(c["source"]).split()) for c in cells if c["cell_type"] == kind)
