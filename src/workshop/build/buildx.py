"""Build an image with BuildKit, through the docker command line, and say which steps ran."""

from __future__ import annotations

import argparse
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..engine import children, client, error_texts
from ..errors import WorkshopError
from ..show.display import Composed, Stack, Table, Verbatim, command_line, shorten
from . import grammar, progress, slots
from .progress import LOG_LINES, Step

_EXIT = re.compile(r"exit code: (\d+)")
# Two builds that pack the same layer at once can disturb each other (moby/buildkit#6521).
_DISTURBED = re.compile(
    r"failed to prepare extraction snapshot|parent snapshot \S+ does not exist", re.I
)
# The cache says that it has a result, and the layer is gone (moby/buildkit#1992). It would say so
# for ever. Built once more without it, the result has a layer again, for other builds, too.
_LOST = re.compile(r"layer does not exist", re.I)
TRIES = 4


class BuildFailed(WorkshopError):
    """A build that ended with an error: the step, its last lines, the exit status.

    ``step`` is the failed instruction (empty for a syntax error), ``status`` the exit
    status of its command (None if no command failed), ``output`` what the command printed,
    without its beginning where that is long, ``log`` its last lines.
    """

    def __init__(self, error: str, step: str, output: str) -> None:
        match = _EXIT.search(error)
        self.step = step
        self.status = int(match[1]) if match else None
        self.output = output
        self.log = log = progress.last_lines(output)
        said = "\n".join([error, *log])
        cause = error_texts.find("build", said)
        fix = (
            "Correct the instruction, and run the cell again. What was built before is still there."
        )
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
    """A finished build: the command, the image's first tag, the steps in order, seconds in all."""

    typed: str
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
        return Stack([Verbatim(f"$ {self.typed}"), self.table()])

    def table(self) -> Table:
        """The steps, one row each."""
        rows = [
            (shorten(str(step), 66), step.state, f"{step.seconds:.1f} s" if step.ran else "")
            for step in self.steps
        ]
        # The widths keep a stored output's shape whether a step ran or not.
        return Table(
            "Steps of this build",
            ("step", "state", "time"),
            rows,
            right=("time",),
            least={"state": 6, "time": 8},
        )


def build_image(
    words: Sequence[str],
    *,
    cwd: Path,
    labels: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Build:
    """Run the `docker build` of ``words`` in the folder ``cwd``: the steps, ran or cached.

    The labels, and this machine's proxies, are added; ``variables`` are in the command's
    environment, too. It waits for one of the engine's slots. ``tell`` gets a line whenever
    something moves. Raises BuildFailed; an interrupt cancels the build and passes on. A
    Dockerfile without FROM is never sent to an engine, because BuildKit's reaction (a panic,
    seen on Engine 26.1) ends the whole engine.
    """
    typed = options(words)
    dockerfile = _read(cwd / typed.file)
    if dockerfile is not None and not grammar.stages(dockerfile):
        raise WorkshopError(
            "The Dockerfile has no FROM, so there is nothing to build on.",
            "Begin it with an image, as `FROM python:3.13-slim`.",
        )
    real = [client.cli(), "buildx", "build", "--progress=rawjson"]
    for name, value in (labels or {}).items():
        real += ["--label", f"{name}={value}"]
    real += client.proxy_options("--build-arg")
    environment = {**client.environment(), **(variables or {})}
    with slots.slot(tell):
        start = time.monotonic()
        more: list[str] = []
        is_disturbed = False
        ran: dict[tuple[str, int], Step] = {}
        for _ in range(TRIES):
            vertices, stray, status = _run([*real, *more, *typed.words], cwd, environment, tell)
            seconds = time.monotonic() - start
            found = progress.steps(vertices, dockerfile or "", typed.arguments)
            if not status:
                # What an earlier try made, this one takes from the cache: it ran all the same.
                found = [
                    ran.get((step.stage, step.number), step) if step.cached else step
                    for step in found
                ]
                return Build(command_line(words), next(iter(typed.tags), ""), found, seconds)
            ran |= {(step.stage, step.number): step for step in found if step.ran}
            said = "\n".join(stray)
            if _LOST.search(said) and not more:
                tell("the build cache has lost a layer; once more, without the cache")
                more = ["--no-cache"]
                continue
            is_disturbed = _DISTURBED.search(said) is not None
            if not is_disturbed:
                break
            tell("another build was at work at the same time; once more")
    failure = _failure(vertices, stray, dockerfile or "", typed.arguments)
    if is_disturbed:
        failure.fix = "Another build was at work at the same time. Run the cell again."
    raise failure


# The names under which the command line knows `docker build`.
COMMANDS = (("build",), ("buildx", "build"), ("image", "build"), ("builder", "build"))
# Its options that take a value, besides those that are looked at here (buildx 0.13 to 0.30).
_WITH_VALUE = (
    "--add-host", "--allow", "--annotation", "--attest", "--build-context", "--builder",
    "--cache-from", "--cache-to", "--cgroup-parent", "--iidfile", "--label",
    "--metadata-file", "--network", "--no-cache-filter", "--output", "-o", "--platform",
    "--policy", "--provenance", "--sbom", "--secret", "--shm-size", "--ssh", "--ulimit",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a `docker build` command says: the words after its name, and what they mean.

    ``file`` is the Dockerfile, relative to the folder that the command is run in. ``words`` lack
    `-q` and `--progress`, because with them the builder says nothing of its steps.
    """

    words: list[str]
    tags: list[str]
    file: str
    arguments: dict[str, str]
    is_quiet: bool


def is_build(words: Sequence[str]) -> bool:
    """True for the words of a `docker build`, under any of its names.

    Not for one that only checks the file: it has no steps, and says what it found.
    """
    checks = any(word == "--check" or word.startswith("--call") for word in words)
    return _begin(words) > 0 and not checks


def _begin(words: Sequence[str]) -> int:
    """How many words the command's own name has; 0 when it is none of these."""
    if list(words[:1]) != ["docker"]:
        return 0
    names = (name for name in COMMANDS if tuple(words[1 : 1 + len(name)]) == name)
    return next((1 + len(name) for name in names), 0)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WorkshopError(
            f"This `docker build` can't be read: {message}.", "Compare it with the examples above."
        )


def options(words: Sequence[str]) -> Options:
    """Read the options of a `docker build`."""
    own = list(words[_begin(words) :])
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("-f", "--file", default="")
    parser.add_argument("-t", "--tag", action="append", default=[])
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("--progress")
    parser.add_argument("--target")
    parser.add_argument("--build-arg", action="append", default=[])
    for name in _WITH_VALUE:
        parser.add_argument(name, action="append")
    parser.add_argument("context", nargs="?", default=".")
    found, _ = parser.parse_known_args(own)
    split = (argument.partition("=") for argument in found.build_arg)
    return Options(
        _without_progress(own),
        found.tag,
        found.file or f"{found.context}/Dockerfile",
        {name: value for name, mark, value in split if mark},
        found.quiet,
    )


def _without_progress(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("--progress") or before == "--progress" or word in ("-q", "--quiet"):
            continue
        kept.append(f"-{word[2:]}" if word.startswith("-q") else word)
    return kept


def _read(path: Path) -> str | None:
    """The text of a Dockerfile; None when there is none, which the builder then says itself."""
    try:
        # Some editors of Windows begin a file with a mark, which the builder takes off, too.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise WorkshopError(
            f"{path} is not a text in UTF-8, so it can't be a Dockerfile.",
            "Save it as UTF-8 in your editor.",
        ) from None
    except OSError:
        return None


def _run(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
) -> tuple[list[progress.Vertex], list[str], int]:
    """Run a build to its end: what it told, the lines that were no event, the exit status."""
    process = children.start(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
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
    step, output = progress.failed(vertices, dockerfile, arguments)
    # The arrow marks the line of the Dockerfile that the builder stumbled over.
    arrow = next((line for line in stray if ">>>" in line), "")
    step = step or arrow.partition(">>>")[2].strip()
    return BuildFailed(error.removeprefix("failed to solve: "), step, output)
