"""One clear line in place of a traceback, where a notebook was run in another order or stopped."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ..errors import WorkshopError
from ..paths import NOTEBOOKS
from ..show.display import shorten
from . import workspace

# The name under which a terminal cell keeps what it printed.
_KEPT = re.compile(r"^%%terminal .*--out (\w+)", re.MULTILINE)
# What is defined in one of these is not seen outside of it.
_OWN_SCOPE = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def load(shell: Any) -> None:
    """Let IPython show these errors in a line. They stay errors: "Run all" stops at them."""
    shell.set_custom_exc((NameError, KeyboardInterrupt), _show)


def _show(
    shell: Any,
    _: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    lines = ["✘ Stopped."] if isinstance(error, KeyboardInterrupt) else []
    if type(error) is NameError:  # and none of a function's own, unbound names
        lines = missing_cell(error.name or "", chapter_cells(), _running_cell(shell))
    if lines:
        error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    shell.showtraceback((type(error), error, traceback), tb_offset=tb_offset)


def _running_cell(shell: Any) -> str:
    cells = shell.history_manager.input_hist_raw
    return str(cells[-1]) if cells else ""


def chapter_cells() -> list[str]:
    """The code cells of the chapter's notebook, in order; none before its first cell ran."""
    try:
        path = NOTEBOOKS / f"{workspace.current().chapter}.ipynb"
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (WorkshopError, OSError, ValueError, KeyError):
        return []
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def missing_cell(name: str, cells: list[str], running: str) -> list[str]:
    """What to say when ``name`` is not defined: which cell above defines it.

    ``running`` is the source of the cell that failed. Nothing, if no other cell above does.
    """
    same = [number for number, cell in enumerate(cells) if cell.strip() == running.strip()]
    above = cells[: same[0]] if same else cells
    for cell in above:
        if name in _defined(cell):
            first = shorten(next(line for line in cell.splitlines() if line.strip()), 70)
            return [
                f"✘ {name!r} is not there yet: a cell further up defines it, which did not run.",
                f"→ Run that cell first, it begins with `{first}`. Or run all cells above this "
                "one: Run ▸ Run All Above Selected Cell.",
            ]
    return []


def _defined(cell: str) -> set[str]:
    """The names that a cell defines at its top level."""
    if kept := _KEPT.search(cell):
        return {kept[1]}
    try:
        tree = ast.parse(cell)
    except SyntaxError:  # another magic, which defines none
        return set()
    found: set[str] = set()
    _collect(tree, found.add)
    return found


def _collect(node: ast.AST, add: Callable[[str], object]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            add(child.name)
            continue
        if isinstance(child, _OWN_SCOPE):
            continue
        if isinstance(child, ast.alias):
            add(child.asname or child.name.partition(".")[0])
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            add(child.id)
        _collect(child, add)
