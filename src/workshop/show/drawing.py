"""Drawings of what a chapter measured: stages, columns with arrows, events on a line of time.

Each is an SVG in an image with a text alternative, because that is what stored outputs keep
everywhere; and lines of text, where pictures are not shown.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from .display import Shown, printable, shorten
from .figure import CARD, INK

LINE, FILL = "#33658a", "#33658a14"
MARK = "#c2500d"
FONT = 'font-family="sans-serif" font-size="13"'
ROW, BOX, MARGIN = 20, 300, 12
# Pixels between two columns, and around those that lie in a frame; between two stages.
ARROW, FRAME = 90, 30
BETWEEN = 260


class Drawing(Shown):
    """An SVG of ``width`` and ``height`` pixels, drawn by ``shapes``; ``alt`` is it in words."""

    @property
    def width(self) -> int:
        return 860

    @property
    def height(self) -> int:
        raise NotImplementedError

    @property
    def alt(self) -> str:
        return self.text().replace("\n", " ")

    def shapes(self) -> list[str]:
        raise NotImplementedError

    @property
    def svg(self) -> str:
        size = f'width="{self.width + 2 * MARGIN}" height="{self.height + 2 * MARGIN}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>'
            f'<rect {size} rx="6" fill="{CARD}"/>'
            f'<g transform="translate({MARGIN} {MARGIN})">{"".join(self.shapes())}</g></svg>'
        )

    def html(self) -> str:
        data = base64.b64encode(self.svg.encode()).decode()
        alt = html.escape(self.alt)
        return (
            f'<p><img alt="{alt}" width="{self.width}" src="data:image/svg+xml;base64,{data}"></p>'
        )


@dataclass(frozen=True)
class Stage:
    """A stage of a Dockerfile: its name, its base, its instructions, and what it copies.

    ``copies`` has, by an instruction's number from 0, the stage that it copies from and the path.
    """

    name: str
    base: str
    instructions: Sequence[str]
    copies: Mapping[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(repr=False)
class Stages(Drawing):
    """The stages of a Dockerfile side by side, and what one takes from another."""

    stages: Sequence[Stage]

    @property
    def width(self) -> int:
        return BOX + max(len(self.stages) - 1, 1) * (BETWEEN + BOX)

    @property
    def height(self) -> int:
        return 70 + ROW * max((len(stage.instructions) for stage in self.stages), default=0)

    def text(self) -> str:
        lines = []
        for stage in self.stages:
            count = len(stage.instructions)
            lines.append(f"{stage.name}, from {stage.base}: {count} instructions.")
            lines += [f"  takes {path} out of {source}" for source, path in stage.copies.values()]
        return "\n".join(printable(line) for line in lines)

    def shapes(self) -> list[str]:
        made = []
        for place, stage in enumerate(self.stages):
            x = place * (BOX + BETWEEN)
            made += [
                f'<rect x="{x + 1}" y="1" width="{BOX - 2}" height="{self.height - 2}" rx="6" '
                f'fill="{FILL}" stroke="{LINE}"/>',
                _words(x + 12, 24, f"{stage.name} (from {stage.base})", weight="bold"),
            ]
            for n, instruction in enumerate(stage.instructions):
                colour = MARK if n in stage.copies else INK
                made.append(_words(x + 12, 52 + ROW * n, shorten(instruction, 40), colour))
            names = [earlier.name for earlier in self.stages[:place]]
            for n, (source, path) in stage.copies.items():
                if source in names:
                    words = path if source == names[-1] else f"{source}: {path}"
                    made += _arrow(x - BETWEEN, x, 48 + ROW * n, words)
        return made


@dataclass(frozen=True)
class Column:
    """A box of lines under a title; those in ``marked`` have another colour."""

    title: str
    lines: Sequence[str]
    marked: Collection[str] = ()


@dataclass(repr=False)
class Flow(Drawing):
    """Columns from left to right, and on the arrow to each next one its words.

    Where the words are empty there is no arrow. The columns from ``framed`` on lie in a frame of
    the name ``frame``.
    """

    columns: Sequence[Column]
    arrows: Sequence[str]
    frame: str = ""
    framed: int = 0

    @property
    def height(self) -> int:
        lines = max((len(column.lines) for column in self.columns), default=0)
        return 50 + ROW * lines + (2 * FRAME if self.frame else 0)

    def text(self) -> str:
        lines = []
        for n, column in enumerate(self.columns):
            if self.frame and n == self.framed:
                lines.append(f"In {self.frame}:")
            told = "; ".join(column.lines)
            lines.append(f"{column.title}: {told}" if told else column.title)
            if n < len(self.arrows) and self.arrows[n]:
                lines.append(f"  → {self.arrows[n]}")
        return "\n".join(printable(line) for line in lines)

    def shapes(self) -> list[str]:
        made = []
        down = FRAME if self.frame else 0
        step = (self.width + ARROW) / max(len(self.columns), 1)
        box = int(step) - ARROW
        letters = box // 8
        if self.frame:
            x = int(step * self.framed) - 10
            made += [
                f'<rect x="{x}" y="1" width="{self.width - x + 10}" '
                f'height="{self.height - 2}" rx="6" fill="none" stroke="{LINE}" '
                f'stroke-dasharray="5 4"/>',
                _words(x + 10, 18, self.frame),
            ]
        for n, column in enumerate(self.columns):
            x = int(step * n)
            made += [
                f'<rect x="{x + 1}" y="{down + 1}" width="{box - 2}" '
                f'height="{self.height - 2 * down - 2}" rx="6" fill="{FILL}" stroke="{LINE}"/>',
                _words(x + 12, down + 24, shorten(column.title, letters), weight="bold"),
            ]
            for row, line in enumerate(column.lines):
                colour = MARK if line in column.marked else INK
                made.append(_words(x + 12, down + 48 + ROW * row, shorten(line, letters), colour))
            if n < len(self.arrows) and self.arrows[n]:
                made += _arrow(x + box, int(step * (n + 1)), down + 20, self.arrows[n])
        return made


@dataclass(repr=False)
class Timeline(Drawing):
    """Rows of events on one line of time: by the row's name, pairs of seconds and words."""

    rows: Mapping[str, Sequence[tuple[float, str]]]

    @property
    def height(self) -> int:
        return 60 * len(self.rows) + 10

    def text(self) -> str:
        lines = []
        for name, events in self.rows.items():
            told = "; ".join(f"{words} after {seconds:.1f} s" for seconds, words in events)
            lines.append(f"{name}: {told}.")
        return "\n".join(lines)

    def shapes(self) -> list[str]:
        longest = max((s for events in self.rows.values() for s, _ in events), default=1) or 1
        made = []
        for n, (name, events) in enumerate(self.rows.items()):
            y = 60 * n + 40
            made.append(_words(0, y + 5, name, weight="bold"))
            ends = [200 + seconds / longest * (self.width - 400) for seconds, _ in events]
            made.append(
                f'<line x1="{min(ends):.0f}" y1="{y}" x2="{max(ends):.0f}" y2="{y}" '
                f'stroke="{LINE}" stroke-width="4"/>'
            )
            for at, (seconds, words) in zip(ends, events, strict=True):
                made.append(f'<circle cx="{at:.0f}" cy="{y}" r="6" fill="{MARK}"/>')
                # One above the line, the next one below it, so that neighbours can be read.
                below = 22 if events.index((seconds, words)) % 2 else -12
                made.append(_words(round(at), y + below, f"{words}, {seconds:.1f} s"))
        return made


def _arrow(left: int, right: int, y: int, words: str) -> list[str]:
    return [
        f'<line x1="{left}" y1="{y}" x2="{right - 8}" y2="{y}" stroke="{MARK}" stroke-width="2"/>',
        f'<path d="M{right} {y} l-9 -5 v10 z" fill="{MARK}"/>',
        _words((left + right) // 2, y - 6, shorten(words, 30), MARK, anchor="middle"),
    ]


def _words(
    x: int, y: int, text: str, colour: str = INK, weight: str = "normal", anchor: str = "start"
) -> str:
    style = f'fill="{colour}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" {style}>{html.escape(printable(text))}</text>'
