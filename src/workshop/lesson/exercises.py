"""Exercises: whether one is solved, and which ones a reader has solved so far.

What was solved is kept beside the session's workspaces. Nothing leaves the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from ..engine import session
from ..errors import WorkshopError
from ..paths import NOTEBOOKS, WORKSPACES, write_whole
from ..show.display import Stack, Table
from . import workspace

# The one key of a file that is handed over.
FORM = "exercises solved in dockerfile-workshop"
_VERDICT = re.compile(r'^exercise\("([\w-]+)"', re.MULTILINE)


def exercise(name: str, missing: Callable[[], str | None]) -> None:
    """Print whether the exercise ``name`` of the running chapter is solved, and remember it.

    ``missing`` looks at what the reader's cells did. It returns what is still missing, as a
    sentence, or nothing when the exercise is solved. A WorkshopError that it raises is such a
    sentence, too.
    """
    try:
        said = missing()
    except WorkshopError as error:
        said = str(error)
    if said:
        print(f"Not yet: {said}")
        return
    chapter = workspace.current().chapter
    with _alone():
        _write({**_read(), chapter: sorted({*solved(chapter), name})})
    print(f"Solved. That makes {len(solved(chapter))} of {len(names(chapter))} in this chapter.")


def names(chapter: str) -> list[str]:
    """The names of a chapter's exercises, in order."""
    path = NOTEBOOKS / f"{chapter}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return [found[1] for source in sources if (found := _VERDICT.search(source))]


def _chapters() -> dict[str, list[str]]:
    """The chapters that have exercises, in order, and the names of these."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    return {path.stem: found for path in paths if (found := names(path.stem))}


def solved(chapter: str) -> list[str]:
    """The names of the exercises of a chapter that this session's reader has solved."""
    known = _read().get(chapter, [])
    return [name for name in names(chapter) if name in known]


def progress() -> Table:
    """One row a chapter: how many of its exercises are solved, and which are left."""
    rows = []
    for chapter, everything in _chapters().items():
        done = solved(chapter)
        left = [name for name in everything if name not in done]
        rows.append((chapter, f"{len(done)} of {len(everything)}", ", ".join(left)))
    return Table("Exercises", ("chapter", "solved", "left"), rows)


def save(path: Path) -> None:
    """Write what this session's reader has solved to a file, to hand over."""
    path.write_text(json.dumps({FORM: _read()}, indent=2) + "\n", encoding="utf-8")


def collect(folder: Path) -> Stack:
    """The progress of a room: one row for each file that ``save`` wrote into ``folder``.

    A file that is something else is named below the table. Raises WorkshopError when there is
    none, or no such folder.
    """
    if not folder.is_dir():
        raise WorkshopError(f"{folder} is no folder.", "Name the one with the files handed over.")
    chapters = _chapters()
    rows, others, sums = [], [], dict.fromkeys(chapters, 0)
    for path in sorted(folder.glob("*.json")):
        try:
            known = json.loads(path.read_text(encoding="utf-8"))[FORM]
            counts = {
                name: len({*all_} & {*known.get(name, [])}) for name, all_ in chapters.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            others.append(path.name)
            continue
        sums = {name: sums[name] + (counts[name] == len(all_)) for name, all_ in chapters.items()}
        rows.append((path.stem, *map(str, counts.values())))
    if not rows:
        raise WorkshopError(
            f"{folder} holds no file of `workshop progress --save`.",
            "Let each participant run it, and put their files there.",
        )
    rows.append((f"solved all, of {len(rows)}", *map(str, sums.values())))
    heads = ("participant", *(name[:2] for name in chapters))
    below = [f"Not a file of `workshop progress --save`: {', '.join(others)}."] if others else []
    return Stack([Table("Exercises solved, by chapter", heads, rows, right=heads[1:]), *below])


def forget(chapter: str) -> None:
    """Forget what was solved in a chapter."""
    with _alone():
        _write({known: found for known, found in _read().items() if known != chapter})


def _file() -> Path:
    return WORKSPACES / session.ident() / "solved.json"


def _alone() -> FileLock:
    """Two chapters of one reader may change the file."""
    _file().parent.mkdir(parents=True, exist_ok=True)
    return FileLock(_file().with_suffix(".lock"))


def _read() -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing solved yet, or a file that was cut off
        return {}
    return found


def _write(solved: dict[str, list[str]]) -> None:
    write_whole(_file(), json.dumps(solved, indent=2) + "\n")
