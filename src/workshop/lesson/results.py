"""What the cells of a chapter answer with: what a step added, and what a change made."""

from __future__ import annotations

import difflib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..build.buildx import Build
from ..build.progress import Step
from ..show.display import (
    Composed,
    Folded,
    Listing,
    Shown,
    Stack,
    printable,
    shorten,
    size,
)
from ..show.growth import NEW, Growth

NOTHING_TO_BUILD = "Nothing to build yet: no stage begins before the first FROM."
# Lines that came and went; light enough for the letters of either theme.
_LINE_COLOURS = {"+": "rgba(46, 160, 67, 0.25)", "-": "rgba(248, 81, 73, 0.25)"}
_SETTINGS = {
    "WorkingDir": "WORKDIR",
    "User": "USER",
    "Entrypoint": "ENTRYPOINT",
    "Cmd": "CMD",
    "ExposedPorts": "EXPOSE",
    "Healthcheck": "HEALTHCHECK",
    "StopSignal": "STOPSIGNAL",
}


@dataclass(repr=False)
class Added(Composed):
    """What a step added to the image: layers, files, bytes; and the settings it changed.

    For a step that only opens a stage ``base`` names the image that the stage starts
    from, and ``bytes`` is that image's size.
    """

    layers: int
    files: int
    bytes: int
    settings: list[str]
    base: str = ""

    def parts(self) -> Stack:
        return Stack([self._first(), *self._settings()])

    def html(self) -> str:
        """As the text, with the bytes as one large figure."""
        figure = size(self.bytes) if self.layers or self.base else ""
        rest = "".join(f"<p>{html.escape(printable(line))}</p>" for line in self._settings())
        return f"{_with_large(figure, self._first())}{rest}"

    def _first(self) -> str:
        if self.base:
            return f"Starts from {printable(self.base)}: {size(self.bytes)}."
        if not self.layers:
            return "Added no layer."
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        return f"Added {layers}: {size(self.bytes)} in {files}."

    def _settings(self) -> list[str]:
        return [f"Set {setting}" for setting in self.settings]


@dataclass(repr=False)
class Resized(Shown):
    """What a change made of the image's size; both are bytes of the whole image."""

    bytes_before: int
    bytes: int

    def text(self) -> str:
        now, before = size(self.bytes), size(self.bytes_before)
        if abs(self.bytes - self.bytes_before) < 1000:
            return f"{self._figure()} more or less: the image has {now}."
        word = "more" if self.bytes > self.bytes_before else "less"
        return f"{self._figure()} {word}: the image has {now}; before, it had {before}."

    def html(self) -> str:
        """As the text, with the difference as one large figure."""
        return _with_large(self._figure(), self.text())

    def _figure(self) -> str:
        # Where the same is built anew, a few bytes may differ.
        more = abs(self.bytes - self.bytes_before)
        return size(more) if more >= 1000 else "Less than 1 kB"


@dataclass(repr=False)
class Card(Shown):
    """A cell's build: the steps that the cell wrote, what they made, and the image.

    ``told`` says in a sentence or two what they made, ``growth`` shows the image's layers.
    """

    build: Build
    own: Sequence[Step]
    told: Shown
    growth: Growth

    def text(self) -> str:
        lines = [f"$ {self.build.typed}"]
        for step in self.own:
            seconds = f"{step.seconds:.1f} s" if step.ran else ""
            lines.append(f"{shorten(str(step), 66)}  {step.state:6}  {seconds:>8}".rstrip())
        all_steps = _folded(self.build).text()
        return "\n".join([*lines, self.told.text(), self.growth.text(), all_steps])

    def html(self) -> str:
        lines = [f"<p><code>$ {html.escape(self.build.typed)}</code></p>"]
        for step in self.own:
            seconds = f" {step.seconds:.1f} s" if step.ran else ""
            told = html.escape(shorten(str(step), 100))
            lines.append(f"<p><code>{told}</code> <b>{step.state}</b>{seconds}</p>")
        lines += [self.told.html(), f"<p>{self.growth.html()} {size(sum(self.growth.layers))}</p>"]
        lines.append(_folded(self.build).html())
        style = f"border-left: 4px solid {NEW}; padding-left: 12px"
        return f'<div style="{style}">{"".join(lines)}</div>'


@dataclass(repr=False)
class StepResult(Composed):
    """The answer of a ``%%dockerfile`` cell: its steps, what they added, the image growing.

    ``build`` is None as long as the Dockerfile has no stage; ``own`` are the build's steps that
    the cell wrote.
    """

    name: str
    build: Build | None
    added: Added
    own: Sequence[Step] = ()
    growth: Growth | None = None

    def parts(self) -> Shown:
        if self.build is None or self.growth is None:
            return Stack([NOTHING_TO_BUILD])
        return Card(self.build, self.own, self.added, self.growth)


@dataclass(repr=False)
class Diff(Listing):
    """Lines of a difference, without numbers; in colours where there are any."""

    def _numbered(self) -> list[str]:
        return list(self.lines)

    def _line_html(self, line: str) -> str:
        told = super()._line_html(line)
        colour = _LINE_COLOURS.get(line[:1])
        return f'<span style="background: {colour}">{told}</span>' if colour else told


@dataclass(repr=False)
class Change(Composed):
    """The answer of a ``%%dockerfile`` cell that replaces steps: the difference and the build.

    ``own`` are the build's steps that the cell wrote. ``bytes_before`` and ``bytes`` are those of
    the whole image.
    """

    diff: Diff
    build: Build
    own: Sequence[Step]
    growth: Growth
    bytes_before: int
    bytes: int

    def parts(self) -> Stack:
        resized = Resized(self.bytes_before, self.bytes)
        return Stack([self.diff, Card(self.build, self.own, resized, self.growth)])


def _with_large(figure: str, sentence: str) -> str:
    """The sentence as HTML, with ``figure``, a part of it, in large letters."""
    told = html.escape(sentence)
    if figure:
        big = f'<span style="font-size: 1.6em; font-weight: 600">{html.escape(figure)}</span>'
        told = told.replace(html.escape(figure), big, 1)
    return f"<p>{told}</p>"


def _folded(build: Build) -> Folded:
    """All steps of a build, under the line that counts them."""
    count = len(build.steps)
    line = "1 step in this build" if count == 1 else f"{count} steps in this build"
    return Folded(line, build.table())


def difference(path: str, before: str, after: str) -> Diff:
    """How the text ``before`` of a file became ``after``, with a line of context around."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    told = ["…" if line.startswith("@@") else line for line in lines]
    return Diff(f"{path}, edited", told[3:])


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings of an image that differ, as ``NAME value``; labels are left out."""
    old_env, new_env = before.get("Env") or [], now.get("Env") or []
    changed = [f"ENV {entry}" for entry in new_env if entry not in old_env]
    for key, word in _SETTINGS.items():
        value = now.get(key) or None
        if value != (before.get(key) or None):
            changed.append(f"{word} {value if isinstance(value, str) else json.dumps(value)}")
    return changed
