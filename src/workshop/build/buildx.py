"""Build an image with BuildKit and say which steps ran.

The command line reports progress as JSON (``--progress=rawjson``): one object per
event, printed over several lines before buildx 0.15 and on one line since. Error text
comes between the objects.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..engine import causes, client
from ..errors import WorkshopError
from ..show.display import Command, Composed, Stack, Table, shorten

_STEP = re.compile(r"^\[(?:(?P<stage>\S+) )?(?P<number>\d+)/(?P<total>\d+)\] (?P<what>.*)$", re.S)
_EXIT = re.compile(r"exit code: (\d+)")
LOG_LINES = 15
LOG_CHARACTERS = 8000


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


@dataclass(frozen=True)
class Step:
    """One instruction that the builder executed or took from its cache.

    ``seconds`` is the time that it took; ``cached`` is None for FROM, which has
    nothing to run.
    """

    stage: str
    number: int
    total: int
    instruction: str
    cached: bool | None
    seconds: float

    @property
    def ran(self) -> bool:
        """True when the builder executed it in this build."""
        return self.cached is False

    @property
    def state(self) -> str:
        """``cached``, ``ran``, or ``base`` for FROM."""
        return {None: "base", True: "cached", False: "ran"}[self.cached]

    def __str__(self) -> str:
        if self.cached is None:
            return self.instruction
        place = f"{self.stage} {self.number}/{self.total}".strip()
        return f"[{place}] {self.instruction}"


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


@dataclass
class _Vertex:
    name: str
    cached: bool = False
    error: str = ""
    spans: dict[str, str] = field(default_factory=dict)
    output: str = ""

    @property
    def log(self) -> list[str]:
        """The last lines of the output that are not blank."""
        lines = re.split(r"[\r\n]+", self.output)
        return [line.rstrip() for line in lines if line.strip()][-LOG_LINES:]

    @property
    def seconds(self) -> float:
        return sum(
            (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
            for start, end in self.spans.items()
            if end
        )


def build_image(
    *,
    tag: str,
    shown_as: str,
    cwd: Path,
    target: str = "",
    file: str = "",
    labels: dict[str, str] | None = None,
    options: Iterable[str] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Build:
    """Build an image and tag it; returns the steps with ran or cached.

    ``shown_as`` is the build context as the printed command names it, relative to ``cwd``.
    ``options`` go to ``docker build`` as they are. ``progress`` gets a line whenever
    something moves. Raises BuildFailed; an interrupt cancels the build and passes on.
    """
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
    process = subprocess.Popen(
        [*real, *words[2:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=client.environment(),
        cwd=cwd,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        assert process.stderr is not None
        vertices, stray = _follow(process.stderr, progress)
        status = process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    if status:
        raise _failure(vertices, stray)
    return Build(words, tag, _steps(vertices), time.monotonic() - start)


def events(lines: Iterable[str], stray: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects in ``lines``; every line outside an object is added to ``stray``."""
    pending: list[str] = []
    for line in lines:
        if line.startswith("{"):
            # Inside an object every brace is indented: what is open was no object.
            stray.extend(part.rstrip() for part in pending)
            pending = []
        elif not pending:
            stray.append(line.rstrip())
            continue
        pending.append(line)
        if line.rstrip() == "}" or len(pending) == 1:
            try:
                yield json.loads("".join(pending))
            except ValueError:
                if line.rstrip() != "}":
                    continue
                stray.extend(part.rstrip() for part in pending)
            pending = []
    stray.extend(part.rstrip() for part in pending)


def _follow(
    lines: Iterable[str], progress: Callable[[str], None]
) -> tuple[list[_Vertex], list[str]]:
    vertices: dict[str, _Vertex] = {}
    stray: list[str] = []
    for event in events(lines, stray):
        for told in event.get("vertexes") or []:
            vertex = vertices.setdefault(told["digest"], _Vertex(told["name"]))
            vertex.cached |= bool(told.get("cached"))
            vertex.error = told.get("error") or vertex.error
            if told.get("started"):
                begun = told["started"]
                vertex.spans[begun] = told.get("completed") or vertex.spans.get(begun, "")
                if not told.get("completed") and _STEP.match(vertex.name):
                    progress(shorten(vertex.name, 80))
        for told in event.get("logs") or []:
            if told["vertex"] in vertices:
                _add_log(vertices[told["vertex"]], told.get("data", ""), progress)
    return list(vertices.values()), stray


def _add_log(vertex: _Vertex, data: str, progress: Callable[[str], None]) -> None:
    try:
        text = base64.b64decode(data).decode("utf-8", errors="replace")
    except binascii.Error:
        return
    # The pieces are as the command wrote them: a line may come in several.
    vertex.output = (vertex.output + text)[-LOG_CHARACTERS:]
    if text.strip():
        progress(f"{shorten(vertex.name, 40)}  {shorten(vertex.log[-1], 60)}")


def _steps(vertices: list[_Vertex]) -> list[Step]:
    found = []
    for vertex in vertices:
        match = _STEP.match(vertex.name)
        if match:
            what = " ".join(match["what"].split())
            # Stages that start from one image share its FROM, under either's name.
            is_base = what.startswith("FROM ")
            found.append(
                Step(
                    "" if is_base else match["stage"] or "",
                    1 if is_base else int(match["number"]),
                    int(match["total"]),
                    what.replace("FROM docker.io/library/", "FROM "),
                    None if is_base else vertex.cached,
                    vertex.seconds,
                )
            )
    # Stages are built side by side: sort, so that the order never varies.
    return sorted(found, key=lambda step: (step.stage, step.number))


def _failure(vertices: list[_Vertex], stray: list[str]) -> BuildFailed:
    broken = next((v for v in vertices if v.error and _STEP.match(v.name)), None)
    error = next(
        (line.removeprefix("ERROR: ") for line in reversed(stray) if line.startswith("ERROR:")),
        "\n".join(stray[-LOG_LINES:]) or "no reason was given",
    )
    # The arrow marks the line of the Dockerfile that the builder stumbled over.
    arrow = next((line for line in stray if ">>>" in line), "")
    step = broken.name if broken else arrow.partition(">>>")[2].strip()
    return BuildFailed(error.removeprefix("failed to solve: "), step, broken.log if broken else [])
