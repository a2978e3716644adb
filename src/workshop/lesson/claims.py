"""``check``: a sentence that a cell proves; and what was measured when all of them were proved."""

from __future__ import annotations

import ast
import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, ModuleType

import executing
from IPython import get_ipython

from ..errors import WorkshopError
from ..paths import ROOT

# The variable with the file to which a kernel writes what its claims have seen.
KEEP = "WORKSHOP_CLAIMS"
KEPT = ROOT / "docs" / "claims.json"
SHOWN = 160


class ClaimFailed(WorkshopError):
    """A claim that did not hold: what was expected, and what was seen."""


def check(claim: str, condition: object) -> None:
    """Print ``✔ claim`` if ``condition`` is true.

    Otherwise raise ClaimFailed with the condition as it is written in the cell, and
    the value of each name and attribute in it.
    """
    if condition:
        print(f"✔ {claim}")
        if KEEP in os.environ:
            _keep(claim, *_explain(sys._getframe(1), condition))
        return
    expected, seen = _explain(sys._getframe(1), condition)
    raise ClaimFailed(f"{claim}\n  expected: {expected}\n  seen:     {seen}")


def _explain(frame: FrameType, condition: object) -> tuple[str, str]:
    call = executing.Source.executing(frame).node
    if not isinstance(call, ast.Call) or len(call.args) != 2:
        return "a true value", repr(condition)
    asked = call.args[1]
    seen = {}
    for part in _readable_parts(asked):
        name = ast.unparse(part)
        try:
            value = eval(name, frame.f_globals, frame.f_locals)  # no calls in it
        except Exception:  # a comprehension's own name, say
            continue
        if callable(value) or isinstance(value, ModuleType):  # only its name would be told
            continue
        shown = repr(value)
        seen[name] = shown if len(shown) <= 400 else shown[:399] + "…"
    return (
        ast.unparse(asked),
        ", ".join(f"{name} = {value}" for name, value in seen.items()) or repr(condition),
    )


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


def _keep(claim: str, asked: str, seen: str) -> None:
    seen = seen.replace(f"{ROOT}/", "")
    shell = get_ipython()
    cell = shell.execution_count if shell else 0
    seen = seen if len(seen) <= SHOWN else seen[: SHOWN - 1] + "…"
    line = json.dumps(asdict(Measured(cell, claim, asked, seen)))
    with Path(os.environ[KEEP]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def remember(chapter: str, kept: Path, machine: str) -> None:
    """Keep what a chapter's claims have seen in one run: ``kept`` is what its kernel wrote."""
    lines = kept.read_text(encoding="utf-8").splitlines()
    told = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    told[chapter] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "claims": [json.loads(line) for line in lines],
    }
    text = json.dumps(dict(sorted(told.items())), indent=1, ensure_ascii=False)
    KEPT.write_text(text + "\n", encoding="utf-8")
