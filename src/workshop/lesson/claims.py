"""``check``: a sentence that a cell proves; and what was measured when all of them were proved."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import executing
from IPython import get_ipython

from ..errors import WorkshopError
from ..paths import ROOT, write_whole

# The variable with the file to which a kernel writes what its claims have seen.
KEEP = "WORKSHOP_CLAIMS"
KEPT = ROOT / "docs" / "claims.json"
SHOWN = 160
# Characters of a value that a failed claim shows: enough for the table of a build.
EXPLAINED = 2000
# Functions and methods that change nothing, so that a comparison's calls can be made once more.
_CHANGE_NOTHING = {
    "abs", "int", "len", "max", "min", "round", "set", "sorted", "sum", "ratio", "size",
}  # fmt: skip


class ClaimFailed(WorkshopError):
    """A claim that did not hold: what was expected, and what was seen."""


def check(claim: str, condition: object) -> None:
    """Print ``✔ claim`` if ``condition`` is true.

    Otherwise raise ClaimFailed with the condition as it is written in the cell, and
    the value of each name and attribute in it, and of each number that it compares.
    """
    if condition:
        print(f"✔ {claim}")
        if KEEP in os.environ:
            _keep(claim, *_explain(sys._getframe(1), condition, _told))
        return
    expected, seen = _explain(sys._getframe(1), condition)
    raise ClaimFailed(f"{claim}\n  expected: {expected}\n  seen:     {seen}")


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= EXPLAINED else shown[: EXPLAINED - 1] + "…"


def _explain(
    frame: FrameType, condition: object, show: Callable[[object], str] = _shortened
) -> tuple[str, str]:
    call = executing.Source.executing(frame).node
    if not isinstance(call, ast.Call) or len(call.args) != 2:
        return "a true value", show(condition)
    asked = call.args[1]
    seen = {}
    compared = [call for node in ast.walk(asked) if isinstance(node, ast.Compare)
                for call in _calls(node)]  # fmt: skip
    for part in [*compared, *_readable_parts(asked)]:
        name = ast.unparse(part)
        try:
            value = eval(name, frame.f_globals, frame.f_locals)
        except Exception:  # a comprehension's own name, say
            continue
        if callable(value) or isinstance(value, ModuleType):  # only its name would be told
            continue
        if isinstance(part, ast.Call) and not isinstance(value, int | float):
            continue
        seen[name] = show(round(value, 3) if isinstance(value, float) else value)
    return (
        ast.unparse(asked),
        ", ".join(f"{name} = {value}" for name, value in seen.items()) or show(condition),
    )


def _calls(node: ast.AST) -> list[ast.Call]:
    """The outermost calls of functions that change nothing."""
    calls = [child for child in ast.walk(node) if isinstance(child, ast.Call)]
    if isinstance(node, ast.Call) and all(_called(call) in _CHANGE_NOTHING for call in calls):
        return [node]
    return [call for child in ast.iter_child_nodes(node) for call in _calls(child)]


def _called(call: ast.Call) -> str:
    """The last name of the function that is called; empty if it has none."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _readable_parts(node: ast.AST) -> list[ast.expr]:
    """The outermost names, attributes and subscripts that can be read without a call."""
    is_readable = isinstance(node, ast.Name | ast.Attribute | ast.Subscript)
    if is_readable and not any(isinstance(child, ast.Call) for child in ast.walk(node)):
        return [node]  # type: ignore[list-item]
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        # Of a call, what it is made on and with; not the function itself.
        children = list(node.args)
        if isinstance(node.func, ast.Attribute):
            children.insert(0, node.func.value)
    return [part for child in children for part in _readable_parts(child)]


# What was measured


@dataclass(frozen=True)
class Measured:
    """One claim of a chapter that held: the number of its code cell, what was asked and seen."""

    cell: int
    claim: str
    asked: str
    seen: str


def _told(value: object) -> str:
    """A value for the site, in a line; of a long one the beginning, or of a collection the size."""
    first, *more = repr(value).replace(f"{ROOT}/", "").splitlines() or [""]
    shown = f"{first} …" if more else first
    if len(shown) <= SHOWN:
        return shown
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return f"{type(value).__name__} of {len(value)}"
    return shown[: SHOWN - 1] + "…"


def _keep(claim: str, asked: str, seen: str) -> None:
    shell = get_ipython()
    # IPython's list of the cells that were run; the last one is this one, and none has number 0.
    cell = len(shell.user_ns["In"]) - 1 if shell else 0
    line = json.dumps(asdict(Measured(cell, claim, asked, seen)))
    with Path(os.environ[KEEP]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def remember(chapter: str, kept: Path, machine: str) -> None:
    """Keep what a chapter's claims have seen in one run: ``kept`` is what its kernel wrote."""
    lines = kept.read_text(encoding="utf-8").splitlines()
    told = stored()
    told[chapter] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "claims": [json.loads(line) for line in lines],
    }
    text = json.dumps(dict(sorted(told.items())), indent=1, ensure_ascii=False)
    write_whole(KEPT, text + "\n")


def stored() -> dict[str, Any]:
    """For each chapter the date, the machine, and its claims in the form of Measured."""
    told: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return told
