"""Build an image with BuildKit, through the docker command line, and say which steps ran."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine import causes, children, client
from ..errors import WorkshopError
from ..show.display import Command, Composed, Stack, Table, shorten
from . import grammar, progress
from .progress import LOG_LINES, Step

_EXIT = re.compile(r"exit code: (\d+)")
# Two builds that pack the same layer at once can disturb each other (moby/buildkit#6521).
_DISTURBED = re.compile(
    r"failed to prepare extraction snapshot|parent snapshot \S+ does not exist", re.I
)
TRIES = 4


class BuildFailed(WorkshopError):
    """A build that ended with an error: the step, its last lines, the exit status.

    ``step`` is the failed instruction (empty for a syntax error), ``status`` the exit
    status of its command (None if no command failed), ``log`` the command's last lines.
    """

    def __init__(self, error: str, step: str, log: list[str]) -> None:
        match = _EXIT.search(error)
        self.step = step
        self.status = int(match[1]) if match else None
        self.log = log
        said = "\n".join([error, *log])
        cause = causes.find("build", said)
        fix = "Mend the instruction and run the cell again; the last good state was kept."
        lines = ["The build failed."]
        if cause:
            lines, fix = [f"The build failed: {cause.what}"], cause.fix
        if step:
            lines.append(f"  step: {shorten(step, 100)}")
        lines += [f"  │ {line}" for line in log]
        if self.status is not None:
            lines.append(f"  exit status: {self.status}")
        else:
            lines.append(f"  {error}")
        super().__init__("\n".join(lines), fix)


@dataclass(repr=False)
class Build(Composed):
    """A finished build: the command, the steps in order, the image's tag, seconds in all."""

    words: list[str]
    tag: str
    steps: list[Step]
    seconds: float

    @property
    def ran(self) -> list[str]:
        """The instructions that ran, in order, without those from the cache."""
        return [step.instruction for step in self.steps if step.ran]

    @property
    def cached(self) -> list[str]:
        """The instructions whose result came from the cache, in order."""
        return [step.instruction for step in self.steps if step.cached]

    def step(self, part: str) -> Step:
        """The one step whose instruction contains ``part``; WorkshopError if not one."""
        found = [step for step in self.steps if part in step.instruction]
        if len(found) != 1:
            listed = "\n  ".join(map(str, self.steps))
            raise WorkshopError(f"{len(found)} steps contain {part!r}. The steps:\n  {listed}")
        return found[0]

    def parts(self) -> Stack:
        rows = [
            (shorten(str(step), 66), step.state, f"{step.seconds:.1f} s" if step.ran else "")
            for step in self.steps
        ]
        # The widths keep a stored output's shape whether a step ran or not.
        table = Table(
            "Steps of this build",
            ("step", "state", "time"),
            rows,
            right=("time",),
            least={"state": 6, "time": 8},
        )
        return Stack([Command(self.words), table])


def build_image(
    *,
    tag: str,
    shown_as: str,
    cwd: Path,
    target: str = "",
    file: str = "",
    labels: dict[str, str] | None = None,
    options: Iterable[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Build:
    """Build an image and tag it; returns the steps with ran or cached.

    ``shown_as`` is the build context as the printed command names it, relative to ``cwd``,
    and ``file`` the Dockerfile, relative to the build context. ``options`` go to
    ``docker build`` as they are. ``tell`` gets a line whenever something moves. Raises
    BuildFailed; an interrupt cancels the build and passes on. A Dockerfile without FROM is
    never sent to an engine, because BuildKit's reaction (a panic, seen on Engine 26.1) ends
    the whole engine.
    """
    options = list(options)
    dockerfile = _read(cwd / shown_as / (file or "Dockerfile"))
    if not grammar.stages(dockerfile):
        raise WorkshopError(
            "The Dockerfile has no FROM, so there is nothing to build on.",
            "Begin it with an image, as `FROM python:3.13-slim`.",
        )
    words = ["docker", "build", *options, *client.proxy_options("--build-arg")]
    if file:
        words += ["--file", f"{shown_as}/{file}"]
    if target:
        words += ["--target", target]
    words += ["--tag", tag, shown_as]
    real = [client.cli(), "buildx", "build", "--progress=rawjson"]
    for name, value in (labels or {}).items():
        real += ["--label", f"{name}={value}"]
    start = time.monotonic()
    arguments = _build_arguments(options)
    for _ in range(TRIES):
        vertices, stray, status = _run([*real, *words[2:]], cwd, tell)
        if not status:
            found = progress.steps(vertices, dockerfile, arguments)
            return Build(words, tag, found, time.monotonic() - start)
        is_disturbed = _DISTURBED.search("\n".join(stray)) is not None
        if not is_disturbed:
            break
        tell("another build was at work at the same time; once more")
    failure = _failure(vertices, stray, dockerfile, arguments)
    if is_disturbed:
        failure.fix = "Another build was at work at the same time. Run the cell again."
    raise failure


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise WorkshopError(
            f"{path} is not a text in UTF-8, so it can't be a Dockerfile.",
            "Save it as UTF-8 in your editor.",
        ) from None


def _build_arguments(options: Sequence[str]) -> dict[str, str]:
    """The build arguments that the options of a `docker build` give."""
    given = [b for a, b in zip(options, options[1:], strict=False) if a == "--build-arg"]
    given += [o.removeprefix("--build-arg=") for o in options if o.startswith("--build-arg=")]
    split = (argument.partition("=") for argument in given)
    return {name: value for name, mark, value in split if mark}


def _run(
    command: Sequence[str], cwd: Path, tell: Callable[[str], None]
) -> tuple[list[progress.Vertex], list[str], int]:
    """Run a build to its end: what it told, the lines that were no event, the exit status."""
    process = children.start(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=client.environment(),
        cwd=cwd,
    )
    try:
        assert process.stderr is not None
        with process.stderr as lines:
            vertices, stray = progress.follow(lines, tell)
        return vertices, stray, process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _failure(
    vertices: list[progress.Vertex], stray: list[str], dockerfile: str, arguments: dict[str, str]
) -> BuildFailed:
    error = next(
        (line.removeprefix("ERROR: ") for line in reversed(stray) if line.startswith("ERROR:")),
        "\n".join(stray[-LOG_LINES:]) or "no reason was given",
    )
    step, log = progress.failed(vertices, dockerfile, arguments)
    # The arrow marks the line of the Dockerfile that the builder stumbled over.
    arrow = next((line for line in stray if ">>>" in line), "")
    step = step or arrow.partition(">>>")[2].strip()
    return BuildFailed(error.removeprefix("failed to solve: "), step, log)
