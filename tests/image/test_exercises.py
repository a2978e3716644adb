"""Every exercise, on the engine: nothing done, wrong answers, the solution, other right ones."""

import nbformat
import pytest
import turns
from nbclient import NotebookClient

from workshop.lesson import exercises
from workshop.paths import NOTEBOOKS
from workshop.run import containers

pytestmark = pytest.mark.slow

DONE = "Solved."


class Kernel:
    """Runs cells as a reader does, one after the other, in one kernel."""

    def __init__(self) -> None:
        self.notebook = nbformat.v4.new_notebook()
        resources = {"metadata": {"path": str(NOTEBOOKS)}}
        self.client = NotebookClient(
            self.notebook, timeout=600, kernel_name="python3", resources=resources
        )

    def run(self, source: str) -> str:
        """Run a cell; returns what it printed. An error in it fails the test."""
        cell = nbformat.v4.new_code_cell(source)
        self.notebook.cells.append(cell)
        done = self.client.execute_cell(cell, len(self.notebook.cells) - 1)
        return "".join(out.get("text", "") for out in done.outputs)


@pytest.fixture(autouse=True)
def nothing_solved():
    """The notebooks run in the same session, and show what is solved."""
    yield
    for chapter in {turn.chapter.stem for turn in turns.ALL}:
        exercises.forget(chapter)


@pytest.fixture(autouse=True)
def nothing_left(turn):
    """The chapter's last cells take away what an exercise started, and don't run here."""
    yield
    containers.remove_of(turn.chapter.stem)


@pytest.mark.parametrize("turn", turns.ALL, ids=lambda turn: f"{turn.chapter.name[:2]}-{turn.name}")
def test_it_is_solved_by_right_answers_and_by_nothing_else(turn):
    kernel = Kernel()

    def verdict(start: str) -> str:
        # The preparing cells too, because an answer may change what they made.
        for source in [*turn.preparing, start, *turn.cells["check"][:-1]]:
            kernel.run(source)
        return kernel.run(turn.cells["check"][-1])

    with kernel.client.setup_kernel():
        kernel.run(turn.first)
        assert verdict(turn.start).startswith("Not yet: ")
        for answer, says in turn.wrong:
            told = verdict(turn.answered(answer))
            assert told.startswith("Not yet: "), answer
            assert says in told, answer
        for answer in [turn.solution, *turn.right]:
            assert verdict(turn.answered(answer)).startswith(DONE), answer
