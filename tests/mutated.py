"""Chapters with something wrong in them, to see their claims fail.

A file of tests/mutations holds, for one chapter, runs with changes that belong together. A change
is a text of one of the chapter's code cells and what takes its place, or the same for a file that
the chapter starts from. Each run names the claims that have to fail then.
"""

from __future__ import annotations

import ast
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from workshop.lesson import notebooks
from workshop.paths import NOTEBOOKS, ROOT

MUTATIONS = Path(__file__).with_name("mutations")
# In the kernel: a claim that fails is told, and the cell goes on.
KEEP_ON = """
def check(claim, condition):
    print("✔" if condition else "✘", claim)
"""
# In the kernel, before the chapter begins: it starts from changed copies of our own files.
OTHER_FILES = """
from pathlib import Path
from workshop.lesson import workspace
for name in ("DOCKERFILE", "ENTRYPOINT", "SAMPLE_PROJECT"):
    setattr(workspace, name, Path({folder!r}) / getattr(workspace, name).name)
"""
STARTED_FROM = ("Dockerfile", "entrypoint.sh", "sample_project")


@dataclass
class Run:
    """One run of a chapter: what is changed, and the claims that have to fail."""

    chapter: Path
    number: int
    changes: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, str, str]] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.chapter.name[:2]}-{self.number}"


def chapter_of(file: Path) -> Path:
    (path,) = notebooks.chapters([file.stem])
    return path


def runs(file: Path, kind: str = "run") -> list[Run]:
    """The runs of one file of mutations. Those of the kind "cluster" need one."""
    told = tomllib.loads(file.read_text(encoding="utf-8")).get(kind, [])
    return [
        Run(
            chapter_of(file),
            number,
            [(old, new) for old, new in run.get("changes", [])],
            [(path, old, new) for path, old, new in run.get("files", [])],
            run["fails"],
        )
        for number, run in enumerate(told, 1)
    ]


def unseen(file: Path) -> dict[str, str]:
    """The claims of a chapter that no run makes fail, each with the reason."""
    told = tomllib.loads(file.read_text(encoding="utf-8")).get("unseen", {})
    return dict(told)


def claims(path: Path, kind: str = "run") -> list[str]:
    """The claims of a chapter, in order, as they are written in its cells.

    Of the kind "cluster" are those of the cells that need one.
    """
    return [
        claim
        for cell in _own_code(path)
        if cell.source.startswith("%%needs ") == (kind == "cluster")
        for claim, _ in checks(cell.source)
    ]


def checks(source: str) -> list[tuple[str, str]]:
    """The claims of a cell, in order, each with the call of ``check`` that makes it."""
    if source.startswith("%%needs "):
        source = source.partition("\n")[2]
    if source.startswith("%%"):
        return []
    return [
        (ast.literal_eval(node.args[0]), ast.get_source_segment(source, node) or "")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"
    ]


def counted(passed: Mapping[str, bool]) -> tuple[int, int]:
    """How many claims were seen failing, of how many that the chapters of these runs have.

    ``passed`` says of each run that ended, by its name, whether its claims failed.
    """
    every = {str(run): run for file in MUTATIONS.glob("*.toml") for run in runs(file)}
    ended = {name: every[name] for name in passed}
    seen = {(r.chapter, claim) for name, r in ended.items() if passed[name] for claim in r.fails}
    chapters = {run.chapter for run in ended.values()}
    return len(seen), sum(len(claims(chapter)) for chapter in chapters)


def changed(run: Run) -> list[str]:
    """The sources of the changed chapter's cells, its exercises left out.

    Raises AssertionError when a text to change is not in exactly one cell.
    """
    sources = [cell.source for cell in _own_code(run.chapter)]
    for old, new in run.changes:
        found = [index for index, source in enumerate(sources) if old in source]
        assert len(found) == 1, f"{len(found)} cells hold {old!r}"
        sources[found[0]] = sources[found[0]].replace(old, new)
    return sources


def failing(run: Run, folder: Path) -> list[str]:
    """Run the changed chapter; returns the claims that failed, in order.

    ``folder`` takes the changed copies of the files that the chapter starts from.
    """
    notebook = nbformat.v4.new_notebook()
    sources = changed(run)
    if run.files:
        _copy(run, folder)
        sources.insert(0, OTHER_FILES.format(folder=str(folder)))
    # After the cell that imports the real one.
    sources.insert(2 if run.files else 1, KEEP_ON)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        allow_errors=True,
    ).execute()
    printed = "".join(
        out.get("text", "") for cell in notebook.cells for out in cell.outputs if "text" in out
    )
    return re.findall(r"(?m)^✘ (.*)$", printed)


def _copy(run: Run, folder: Path) -> None:
    for name in STARTED_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)
    for path, old, new in run.files:
        text = (folder / path).read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        (folder / path).write_text(text.replace(old, new), encoding="utf-8")


def _own_code(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and not cell.metadata.get("tags")]
