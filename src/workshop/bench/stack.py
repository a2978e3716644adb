"""The stack of chapters 15 and 16 in a workspace of its own, as the benchmarks drive it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import WorkshopError
from ..lesson.terminal import Answer
from ..lesson.workspace import Workspace
from ..paths import VARIANTS
from ..show.console import step


class Stack:
    """A Compose project, whose commands are typed as in a chapter."""

    def __init__(self, space: Workspace) -> None:
        self.space = space

    def typed(self, command: str) -> Answer:
        """The answer to one command, whatever its exit status."""
        answer = self.space.terminal.run(command)
        assert isinstance(answer, Answer)  # one command has one answer
        return answer

    def done(self, command: str) -> Answer:
        """The answer to a command that has to succeed. Raises WorkshopError when it does not."""
        answer = self.typed(command)
        if answer.status:
            raise WorkshopError(f"`{answer.typed}` failed: {answer.text()}")
        return answer


@contextmanager
def started(name: str, files: dict[str, str], services: str) -> Iterator[Stack]:
    """The stack with ``services``, or all, and ``files`` beside its own.

    In the end nothing of it is left.
    """
    space = Workspace(name)
    space.use(VARIANTS / "stack.Dockerfile")
    for path, text in files.items():
        space.write(path, text)
    space.terminal.run("export COMPOSE_PROJECT_NAME=$ME")
    stack = Stack(space)
    try:
        with step(f"Starting {services or 'the site'}"):
            stack.done("python container/make_secrets.py")
            stack.done("docker build -q -t $IMAGE .")
            stack.done(f"docker compose up --detach --wait {services}".strip())
        yield stack
    finally:
        stack.typed("docker compose down --volumes")
