"""Run what a person types in a terminal, as it stands, on the engine in use.

To the docker commands is added what isolation and clean-up need, and nothing else:

- the engine's address, and a docker command line that can build
- labels that say whose it is, for images, containers, networks and volumes; for Compose, by one
  more file
- a name for a container that was given none, and `--pull never` for an image of this session
- this machine's proxies, for builds, and a build's turn where several run
- the chapter's own project name, for Compose

One thing is taken away: 127.0.0.1 from the ports that `docker run` publishes, where the engine is
on another machine, because nobody here could reach them.

A container or a network of the same chapter that has the name already is replaced, because a
cell is run more than once.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from IPython.display import display

from .. import paths
from ..build import buildx, slots
from ..engine import client, session
from ..errors import WorkshopError
from ..run import containers
from ..show.display import Composed, Folded, Shown, Stack, Verbatim, shorten
from ..show.live import Live
from . import commands, compose

LIMIT_S = 600.0
WAIT_S = 180.0
EVERY_S = 0.2
# The most lines of an output that can be unfolded: nobody reads more.
UNFOLDED = 100
NO_KEYBOARD = "This needs a keyboard: type it into JupyterLab's own terminal.\n"
# Colours, and the orders to a screen that `docker compose logs` prints into a file as well.
_CONTROLS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# A port that is published on the engine's own machine alone.
_LOCAL_PORT = re.compile(rf"^(--publish=|-p=?|){re.escape(client.LOOPBACK)}::?")
# What makes something that stays, by the words of the command, and what it is.
_MAKES = {
    ("run",): "container",
    ("create",): "container",
    ("container", "run"): "container",
    ("container", "create"): "container",
    ("network", "create"): "network",
    ("volume", "create"): "volume",
}


@dataclass(repr=False)
class Answer(Composed):
    """What one command printed, its exit status, the seconds that it took.

    ``build`` has the steps, if it was a `docker build` that succeeded; they are shown unless it
    was told to be quiet.
    """

    typed: str
    status: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    build: buildx.Build | None = None

    def parts(self) -> Shown:
        printed = [part.rstrip() for part in (self.stdout, self.stderr) if part.strip()]
        ending = [f"(exit status {self.status})"] if self.status else []
        if self.build and not self.stdout:
            return self.build.table()
        return Verbatim("\n".join(printed + ending))

    @property
    def lines(self) -> list[str]:
        """The lines of standard output that are not blank."""
        return [line for line in self.stdout.splitlines() if line.strip()]


@dataclass(repr=False)
class Answers(Composed):
    """The answers of a cell with several commands, in order: ``answers[0]`` is the first."""

    answers: list[Answer]

    def __getitem__(self, number: int) -> Answer:
        return self.answers[number]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    def parts(self) -> Shown:
        shown: list[Shown | str] = []
        for answer in self.answers:
            shown.append(Verbatim(f"$ {answer.typed}"))
            if answer.text():
                shown.append(answer.parts())
        return Stack(shown)


def failed(answer: Answer | Answers) -> Answers:
    """Those of a cell's answers whose exit status is not 0."""
    answers = [answer] if isinstance(answer, Answer) else answer
    return Answers([one for one in answers if one.status])


def part(shown: Shown, first: int = 0, only: str = "", hide: bool = False) -> Shown:
    """The ``first`` lines of what is shown, of those that hold ``only``, and how many are not.

    With ``hide`` none is. As HTML, the count unfolds the whole, if that has at most UNFOLDED lines,
    else a line that says so: an output that is sometimes longer has the same form each time.
    """
    lines = shown.text().splitlines()
    kept = [line for line in lines if only in line and not hide][: first or None]
    left = len(lines) - len(kept)
    if not left:
        return Verbatim("\n".join(kept))
    count = f"… and {left} more line{'s' if left > 1 else ''}"
    if len(lines) > UNFOLDED:
        lines = [f"More than {UNFOLDED} lines. Type the command into a terminal to see them."]
    rest = Folded(count, Verbatim("\n".join(lines)))
    return Stack([Verbatim("\n".join(kept)), rest]) if kept else rest


@dataclass
class Terminal:
    """A terminal in ``folder`` for one chapter; ``variables`` are what `$NAME` stands for."""

    folder: Path
    chapter: str
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, cell: str) -> Answer | Answers:
        """Run the commands of a cell, one after the other, also when one of them fails.

        `export NAME=value` sets a variable for the commands that follow, in later cells too; it
        has no answer. `export NAME=$(command)` sets it to what a command prints.
        Raises WorkshopError for what can't be read, before anything runs; and for a program
        that is not there or takes longer than LIMIT_S seconds.
        """
        found = commands.parse(cell)
        if not found:
            raise WorkshopError("The cell holds no command.", "Write one command a line.")
        answers: list[Answer] = []
        try:
            for typed in found:
                if not self._exported(typed):
                    answers.append(self._one(typed))
        except BaseException:
            if answers:  # what the others said is not lost
                display(Answers(answers))
            raise
        return answers[0] if len(answers) == 1 else Answers(answers)

    def wait_for(self, cell: str, text: str = "") -> Answer:
        """Repeat a command until its exit status is 0 and it has printed ``text``.

        Raises WorkshopError with what it printed last, after WAIT_S seconds.
        """
        found = commands.parse(cell)
        if len(found) != 1:
            raise WorkshopError(
                f"The cell waits for one command, and holds {len(found)}.",
                "Put the others into a cell of their own.",
            )
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = self._one(found[0])
            if answer.status == 0 and text in answer.stdout + answer.stderr:
                return answer
            if time.monotonic() > deadline:
                wanted = f"printed {text!r}" if text else "succeeded"
                raise WorkshopError(
                    f"The command has not {wanted} within {WAIT_S:.0f} seconds. "
                    f"It said last:\n{answer.text()}"
                )
            time.sleep(EVERY_S)

    def _one(self, typed: commands.Typed) -> Answer:
        words = typed.words(self.variables)
        if words[0] == "cd":
            raise WorkshopError(
                "Every cell runs in the chapter's folder, so `cd` has no effect.",
                "Name the file with its folder, or use `sh -c 'cd … && …'`.",
            )
        if buildx.is_build(words):
            return self._build(typed.text, words)
        if words[:2] == ["docker", "compose"]:
            return self._compose(typed.text, words[2:])
        program, *rest = words
        named: list[str] = []
        if program == "docker":
            rest, named = self._with_whose(rest)
        return self._run(typed.text, [self._found(program), *rest], named)

    def _exported(self, typed: commands.Typed) -> bool:
        """Set the variables of an `export`; False for any other command."""
        if not typed.is_export:
            return False
        _, *words = typed.words(self.variables, self._output)
        for word in words:
            name, mark, value = word.partition("=")
            if not name.isidentifier() or not mark:
                raise WorkshopError(f"`{typed.text}` sets nothing.", "Write `export NAME=value`.")
            self.variables[name] = value
        return True

    def _output(self, command: str) -> str:
        """What the command prints. Raises WorkshopError when it fails."""
        (typed,) = commands.parse(command)
        answer = self._one(typed)
        if answer.status:
            raise WorkshopError(f"`{command}` failed, so the variable is not set. {answer.text()}")
        return answer.stdout.rstrip("\n")

    def _build(self, text: str, words: list[str]) -> Answer:
        start = time.monotonic()
        asked = buildx.options(words)
        if asked.is_quiet and not asked.tags:
            # Its id is asked for, and an image without a name is removed with the next build.
            words = [*words, "-t", f"{session.prefix()}/{self.chapter}:{secrets.token_hex(6)}"]
        try:
            with session.replacing(*asked.tags), Live() as live:
                built = buildx.build_image(
                    words,
                    cwd=self.folder,
                    labels=session.labels(),
                    variables=self.variables,
                    tell=live.line,
                )
        except buildx.BuildFailed as failed:
            status = failed.status or 1
            return Answer(text, status, "", failed.what, time.monotonic() - start)
        printed = ""
        # With `--output` there may be no image.
        if asked.is_quiet and (image := session.image(built.tag)):
            printed = f"{image.id}\n"
        return Answer(text, 0, printed, seconds=built.seconds, build=built)

    def _compose(self, text: str, words: list[str]) -> Answer:
        """Run a `docker compose` command, with the labels in a file on top if it makes things."""
        command = [self._found("docker"), "compose"]
        if compose.only_looks(words):
            return self._run(text, [*command, *words])
        labelled = compose.labelled(
            words,
            self.folder,
            self._environment(),
            session.labels(self.chapter),
            paths.WORKSPACES / session.ident() / f"{self.chapter}.compose.json",
        )
        with session.replacing(*session.tags(f"{session.prefix()}/{self.chapter}")):
            return self._run(text, [*command, *labelled], builds=compose.builds(words))

    def _environment(self) -> dict[str, str]:
        # Without it, Compose would take the folder's name, which is that of every reader.
        project = self.variables.get("ME", self.chapter)
        return {**client.environment(), "COMPOSE_PROJECT_NAME": project, **self.variables}

    def _with_whose(self, words: list[str]) -> tuple[list[str], list[str]]:
        """The words of a docker command with the additions; names that its container may have."""
        names = [name for name in _MAKES if tuple(words[: len(name)]) == name]
        if not names:
            return words, []
        kind, length = _MAKES[names[0]], len(names[0])
        own, rest = words[:length], words[length:]
        given = _name(rest, kind)
        for key, value in session.labels(self.chapter).items():
            own += ["--label", f"{key}={value}"]
        if kind != "container":
            if kind == "network" and given in session.networks(self.chapter):
                containers.remove_network(given)
            return own + rest, []
        # The reader's own comes later, and of two names docker takes the last one.
        new = containers.new_name(self.chapter)
        own += ["--name", new]
        if given:
            containers.remove_if_of(self.chapter, given)
        if any(map(containers.is_ours, rest)):
            own += ["--pull", "never"]
        if client.address() != client.LOOPBACK:
            rest = _reachable(rest)
        return own + rest, [new, given] if given else [new]

    def _found(self, program: str) -> str:
        if program == "docker":
            return client.cli()
        found = paths.program(program)
        if found is None:
            raise WorkshopError(
                f"There is no program {program} on this machine.",
                "A typing mistake? Else install it, or run it in a container.",
            )
        return found

    def _run(
        self, text: str, words: list[str], named: Sequence[str] = (), builds: bool = False
    ) -> Answer:
        with Live() as live, slots.slot(live.line) if builds else contextlib.nullcontext():
            live.line(shorten(text, 80))
            done = containers.complete(
                words,
                words,
                timeout=LIMIT_S,
                named=named,
                fix="A server? `docker run --detach` starts it in the background.",
                cwd=self.folder,
                env=self._environment(),
            )
        stdout, stderr = (_CONTROLS.sub("", output) for output in (done.stdout, done.stderr))
        if "the input device is not a TTY" in stderr:
            stderr = NO_KEYBOARD
        return Answer(text, done.status, stdout, stderr, done.seconds)


def _reachable(words: Sequence[str]) -> list[str]:
    """The words behind `docker run`, with ports published on all addresses of the engine."""
    return [
        _LOCAL_PORT.sub(r"\1", word)
        if before in ("--publish", "-p") or word.startswith("-")
        else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def _name(words: Sequence[str], kind: str) -> str:
    """The name that the command gives to what it makes; empty if none."""
    if kind != "container":
        return words[-1] if words else ""
    for at, word in enumerate(words):
        if word == "--name" and at + 1 < len(words):
            return words[at + 1]
        if word.startswith("--name="):
            return word.removeprefix("--name=")
    return ""
