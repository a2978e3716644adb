"""What a builder's progress says about the steps of a Dockerfile. Pure: text in, steps out.

buildx reports progress as JSON (``--progress=rawjson``): one object per event, printed
over several lines before buildx 0.15 and on one line since. Error text comes between the
objects.

A builder gives a step that two clients build at the same time to both, under the digest
and the name of either, and with its own spelling of image names. So what a step is called
comes from the Dockerfile alone, and what the builder says is sorted in there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..show.display import shorten
from . import grammar

LOG_LINES = 15
LOG_CHARACTERS = 8000

_NAME = re.compile(
    r"^\[(?:(?P<stage>\S.*) )? *(?P<number>\d+)/(?P<total>\d+)\] (?P<what>.*)$", re.S
)
_CANCELLED = re.compile(r"\bcancell?ed\b", re.I)
_NUMBERED = ("RUN", "COPY", "ADD", "WORKDIR")
_VARIABLE = re.compile(r"\\(?P<escaped>.)|\$\{[^}]*\}|\$\w+")
_LIBRARY = re.compile(r"^(?:docker\.io/)?(?:library/)?")


@dataclass(frozen=True)
class Step:
    """One instruction that the builder executed or took from its cache.

    ``number`` counts from 1 in its stage, of ``total``. ``seconds`` is the time in which
    it was at work. ``cached`` is None for FROM, which has nothing to run.
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


@dataclass
class Vertex:
    """What the builder told of one of its own steps, under one digest.

    ``spans`` has the intervals in which it worked, start to end, as ISO 8601 in UTC.
    """

    name: str
    cached: bool = False
    error: str = ""
    spans: dict[str, str] = field(default_factory=dict)
    output: str = ""


def last_lines(output: str) -> list[str]:
    """The last lines of an output that are not blank."""
    lines = re.split(r"[\r\n]+", output)
    return [line.rstrip() for line in lines if line.strip()][-LOG_LINES:]


def decode(lines: Iterable[str], stray: list[str]) -> Iterator[dict[str, Any]]:
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


def follow(
    lines: Iterable[str], tell: Callable[[str], None] = lambda line: None
) -> tuple[list[Vertex], list[str]]:
    """Read a build's progress to its end: the vertices, and the lines that were no event.

    ``tell`` gets a line of text whenever something moves.
    """
    vertices: dict[str, Vertex] = {}
    stray: list[str] = []
    for event in decode(lines, stray):
        for told in event.get("vertexes") or []:
            vertex = vertices.setdefault(told["digest"], Vertex(told["name"]))
            vertex.cached |= bool(told.get("cached"))
            vertex.error = told.get("error") or vertex.error
            if told.get("started"):
                begun = told["started"]
                vertex.spans[begun] = told.get("completed") or vertex.spans.get(begun, "")
                if not told.get("completed") and _NAME.match(vertex.name):
                    tell(shorten(vertex.name, 80))
        for told in event.get("logs") or []:
            if told["vertex"] in vertices:
                _add_log(vertices[told["vertex"]], told.get("data", ""), tell)
    return list(vertices.values()), stray


def _add_log(vertex: Vertex, data: str, tell: Callable[[str], None]) -> None:
    try:
        text = base64.b64decode(data).decode("utf-8", errors="replace")
    except binascii.Error:
        return
    # The pieces are as the command wrote them: a line may come in several.
    vertex.output = (vertex.output + text)[-LOG_CHARACTERS:]
    if text.strip():
        tell(f"{shorten(vertex.name, 40)}  {shorten(last_lines(vertex.output)[-1], 60)}")


@dataclass
class _Place:
    """A step as the Dockerfile has it, and the vertices that are it.

    ``opened`` is the first line of an instruction with a heredoc, empty for others.
    ``is_of_base`` is true for what no line of the Dockerfile says: ONBUILD of the base image.
    """

    stage: str
    number: int
    total: int
    instruction: str
    is_base: bool
    opened: str = ""
    vertices: list[Vertex] = field(default_factory=list)
    is_of_base: bool = False

    def is_at(self, stage: str, number: int) -> bool:
        return (self.stage.lower(), self.number) == (stage.lower(), number)

    def says(self, what: str) -> bool:
        """True when the builder's ``what`` is this instruction, its variables filled in."""
        if self.opened:
            return re.match(_pattern(self.opened), what) is not None
        wanted, found = self.instruction, what
        if self.is_base:
            wanted, found = (_short(text.removeprefix("FROM ")) for text in (wanted, found))
        return re.fullmatch(_pattern(wanted), found) is not None

    def step(self) -> Step:
        started = any(vertex.spans for vertex in self.vertices)
        cached = any(vertex.cached for vertex in self.vertices) or not started
        return Step(
            "" if self.is_base else self.stage,
            self.number,
            self.total,
            self.instruction,
            None if self.is_base else cached,
            _seconds(self.vertices),
        )


def steps(
    vertices: Iterable[Vertex], dockerfile: str, arguments: Mapping[str, str] | None = None
) -> list[Step]:
    """The steps of ``dockerfile`` that a build had to do with, in its order, each one once.

    ``arguments`` are the build's arguments, for FROM. Of a step that is there under several
    digests, it was cached if one of them was, and its seconds count once where they overlap.
    """
    return [place.step() for place in _sorted_in(vertices, dockerfile, arguments) if place.vertices]


def failed(
    vertices: Iterable[Vertex], dockerfile: str, arguments: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """The step that failed, as ``[stage n/total] instruction``, and what it printed.

    Both are empty when no step did.
    """
    broken = [
        (place, vertex)
        for place in _sorted_in(vertices, dockerfile, arguments)
        for vertex in place.vertices
        if vertex.error
    ]
    if not broken:
        return "", ""
    # What went on beside it was cancelled, which counts as an error of its own.
    place, vertex = min(broken, key=lambda pair: _CANCELLED.search(pair[1].error) is not None)
    printed = (other.output for other in place.vertices if other.output.strip())
    return str(place.step()), vertex.output if vertex.output.strip() else next(printed, "")


def written(dockerfile: str) -> list[tuple[str, int, str]]:
    """Stage, number and instruction of each step, as ``Step`` has them, in order; FROM aside."""
    places = _places(dockerfile, None)
    return [(place.stage, place.number, place.instruction) for place in places if not place.is_base]


def _sorted_in(
    vertices: Iterable[Vertex], dockerfile: str, arguments: Mapping[str, str] | None
) -> list[_Place]:
    places = _places(dockerfile, arguments)
    under_another_name = []
    for vertex in vertices:
        match = _NAME.match(vertex.name)
        if not match:
            continue
        what = _one_line(match["what"])
        stage, number = (match["stage"] or "").rpartition(" ")[2], int(match["number"])
        for place in places:
            if place.says(what) and (place.is_base or place.is_at(stage, number)):
                place.vertices.append(vertex)
                break
        else:
            under_another_name.append((vertex, match, stage, number, what))
    for vertex, match, stage, number, what in under_another_name:
        found = [place for place in places if place.says(what)]
        if not found and what.startswith("FROM "):
            # Somebody else's base with the same content: the builder names it after either.
            found = [place for place in places if place.is_base]
        if not found:  # a step that is in no Dockerfile, as ONBUILD of the base image
            is_base = what.startswith("FROM ")
            added = _Place(stage, number, int(match["total"]), what, is_base, is_of_base=True)
            found = [added]
            places.insert(_after_its_base(added, places), added)
        # Of equal instructions: the one that nothing was told of yet, at this number.
        found.sort(key=lambda place: (bool(place.vertices), place.number != number))
        found[0].vertices.append(vertex)
    return places


def _after_its_base(added: _Place, places: list[_Place]) -> int:
    """Where a step belongs that the base image of its stage brings along."""
    bases = (at for at, place in enumerate(places) if place.is_base and place.is_at(added.stage, 1))
    at = next(bases, len(places) - 1) + 1
    while at < len(places) and places[at].is_of_base:
        at += 1
    return at


def _places(dockerfile: str, arguments: Mapping[str, str] | None) -> list[_Place]:
    """The steps of a Dockerfile, named and numbered as BuildKit does it.

    A stage is named if there are several, after its number if it has no name. A FROM that
    names an earlier stage is no step. Stages that start from one image share its FROM.
    """
    stages = grammar.stages(dockerfile, arguments)
    found: list[_Place] = []
    of_stage: list[_Place] = []
    total = number = 0

    def close() -> None:
        for place in of_stage:
            place.total = total
        found.extend(of_stage)

    current = -1
    for instruction in grammar.instructions(dockerfile):
        if grammar.stage_of(instruction):
            close()
            current, of_stage, total, number = current + 1, [], 0, 0
            name = (stages[current].name or f"stage-{current}") if len(stages) > 1 else ""
            base = stages[current].base
            if base != "scratch" and grammar.earlier_stage(stages, current) is None:
                total = number = 1
                shared = f"FROM {_LIBRARY.sub('', base)}"
                if shared not in [place.instruction for place in found]:
                    of_stage.append(_Place(name, 1, 0, shared, True))
            continue
        opened, *body = instruction.split("\n")
        keyword, rest = _keyword_and_rest(opened)
        if current < 0 or keyword not in _NUMBERED:
            continue
        total += 1
        if not makes_a_step(instruction):
            continue
        number += 1
        named = opened = f"{keyword} {rest}"
        script = [line.strip() for line in "\n".join(body[:-1]).strip().split("\n")]
        if keyword == "RUN" and body:
            named += f" ({script[0]}{'...' if len(script) > 1 else ''})"
        of_stage.append(_Place(name, number, 0, named, False, opened if body else ""))
    close()
    return found


def makes_a_step(instruction: str) -> bool:
    """True for an instruction that the builder shows as a step of its own; FROM aside."""
    keyword, rest = _keyword_and_rest(instruction.partition("\n")[0])
    # `WORKDIR /` is there already: it is counted, and not shown.
    return keyword in _NUMBERED and (keyword, rest) != ("WORKDIR", "/")


def _keyword_and_rest(opened: str) -> tuple[str, str]:
    keyword, _, rest = _one_line(opened).partition(" ")
    return keyword.upper(), rest


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _pattern(text: str) -> str:
    """A regular expression for ``text`` with its variables filled in."""
    parts, end = [], 0
    for match in _VARIABLE.finditer(text):
        parts.append(re.escape(text[end : match.start()]))
        escaped = match["escaped"]
        parts.append(".*" if escaped is None else rf"\\?{re.escape(escaped)}")
        end = match.end()
    return "".join([*parts, re.escape(text[end:])])


def _short(image: str) -> str:
    """The name of an image without what the builder adds to it."""
    return _LIBRARY.sub("", image.partition("@")[0]).removesuffix(":latest")


def _seconds(vertices: Iterable[Vertex]) -> float:
    """The seconds in which one of the vertices worked: overlapping intervals count once."""
    spans = sorted(
        (datetime.fromisoformat(start), datetime.fromisoformat(end))
        for vertex in vertices
        for start, end in vertex.spans.items()
        if end
    )
    total, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        if end > begin:
            total += (end - begin).total_seconds()
        until = end if until is None else max(until, end)
    return total
