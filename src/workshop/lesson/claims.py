"""``check``: a sentence that a cell proves."""

from __future__ import annotations

import ast
import sys
from types import FrameType

import executing

from ..errors import WorkshopError


class ClaimFailed(WorkshopError):
    """A claim that did not hold: what was expected, and what was seen."""


def check(claim: str, condition: object) -> None:
    """Print ``✔ claim`` if ``condition`` is true.

    Otherwise raise ClaimFailed with the condition as it is written in the cell, and
    the value of each name and attribute in it.
    """
    if condition:
        print(f"✔ {claim}")
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
