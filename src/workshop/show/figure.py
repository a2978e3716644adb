"""Pictures: an image layer by layer, measures side by side.

matplotlib draws it; it is loaded when the first picture is made.
"""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .display import Shown, bar, printable, shorten, size

VISIBLE, SUPERSEDED = "#33658a", "#f26419"
# A card of its own, because a picture can't know whether the page around it is dark.
CARD, INK = "#fcfcfa", "#1f2328"
TEXT_WIDTH = 40


@dataclass(frozen=True)
class Row:
    """One bar: bytes that can be seen, and bytes that are superseded."""

    label: str
    visible: int
    superseded: int

    @property
    def name(self) -> str:
        """The label, with what can't be printed as an escape."""
        return printable(" ".join(self.label.split()))

    @property
    def bytes(self) -> str:
        shown = size(self.visible + self.superseded)
        if not self.superseded:
            return shown
        if not self.visible:
            return f"{shown}, all superseded"
        return f"{shown}, {size(self.superseded)} superseded"


class Picture(Shown):
    """A PNG with a text alternative, ``alt``; ``draw`` fills a canvas of matplotlib's."""

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height."""
        raise NotImplementedError

    @property
    def alt(self) -> str:
        """The picture in words, for people who can't see it."""
        raise NotImplementedError

    def draw(self, canvas: Any) -> None:
        raise NotImplementedError

    def html(self) -> str:
        data = base64.b64encode(self.png).decode()
        alt = html.escape(self.alt)
        return f'<p><img alt="{alt}" width="860" src="data:image/png;base64,{data}"></p>'

    @cached_property
    def png(self) -> bytes:
        """The picture, two pixels for each one of a plain screen."""
        # It says on standard error that it looks for fonts, the first time on a machine.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=self.inches, dpi=200, facecolor=CARD)
        self.draw(canvas)
        made = io.BytesIO()
        canvas.savefig(made, format="png", bbox_inches="tight", pad_inches=0.15)
        return made.getvalue()


def _plain(axes: Any) -> None:
    """Bars need no frame and no scale: each one carries its number."""
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)


@dataclass(repr=False)
class Figure(Picture):
    """The layers of an image as bars, the first one at the bottom.

    ``scale`` are the bytes of a bar that another figure has, to which these are drawn.
    """

    title: str
    rows: Sequence[Row]
    scale: int = 0

    @property
    def inches(self) -> tuple[float, float]:
        return 8.6, 1.1 + 0.32 * len(self.rows)

    @property
    def _most(self) -> int:
        longest = max((row.visible + row.superseded for row in self.rows), default=0)
        return max(longest, self.scale) or 1

    @property
    def alt(self) -> str:
        bars = "; ".join(f"{row.name}: {row.bytes}" for row in self.rows)
        return f"Bar chart. {self.title}. From the lowest layer up: {bars}."

    def text(self) -> str:
        most = self._most
        lines = [
            f"{shorten(row.name, 38):38}  "
            + bar((row.visible + row.superseded) / most, TEXT_WIDTH, row.superseded / most)
            + f"  {row.bytes}"
            for row in reversed(self.rows)
        ]
        return "\n".join([self.title, *lines])

    def draw(self, canvas: Any) -> None:
        axes = canvas.add_subplot(facecolor=CARD)
        labels = [f"{shorten(row.name, 44):44}" for row in self.rows]
        visible = [row.visible / 1e6 for row in self.rows]
        superseded = [row.superseded / 1e6 for row in self.rows]
        places = range(len(self.rows))
        axes.barh(places, visible, color=VISIBLE, label="in the final file system")
        axes.barh(
            places, superseded, left=visible, color=SUPERSEDED, hatch="///", edgecolor=CARD,
            linewidth=0, label="superseded: shipped, and out of sight",
        )  # fmt: skip
        most = self._most / 1e6
        for place, row in enumerate(self.rows):
            end = visible[place] + superseded[place]
            axes.text(end + most / 100, place, row.bytes, va="center", fontsize=8, color=INK)
        axes.set_xlim(0, most * 1.42)
        axes.set_yticks(
            places, labels, fontsize=8, fontfamily="monospace", color=INK,
            parse_math=False,  # a $ is the shell's
        )  # fmt: skip
        _plain(axes)
        axes.set_title(self.title, loc="left", fontsize=10, color=INK)
        if any(superseded):
            axes.legend(
                loc="upper left", bbox_to_anchor=(-0.02, 0), ncols=2, fontsize=8, frameon=False,
                labelcolor=INK,
            )  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One measure: a bar each for some names, as (name, value, how the value is written)."""

    title: str
    bars: Sequence[tuple[str, float, str]]


@dataclass(repr=False)
class Panels(Picture):
    """Several measures side by side, each with a scale of its own."""

    title: str
    panels: Sequence[Panel]

    @property
    def _rows(self) -> int:
        return -(-len(self.panels) // 2)

    @property
    def inches(self) -> tuple[float, float]:
        return 8.6, 0.5 + self._rows * (0.5 + 0.22 * len(self.panels[0].bars))

    @property
    def alt(self) -> str:
        told = "; ".join(
            f"{panel.title}: " + ", ".join(f"{name} {shown}" for name, _, shown in panel.bars)
            for panel in self.panels
        )
        return f"Bar charts. {self.title}. {told}."

    def text(self) -> str:
        lines = [self.title]
        for panel in self.panels:
            most = max(value for _, value, _ in panel.bars) or 1
            lines.append(panel.title)
            lines += [
                f"  {name:16}  {bar(value / most, TEXT_WIDTH)}  {shown}"
                for name, value, shown in panel.bars
            ]
        return "\n".join(lines)

    def draw(self, canvas: Any) -> None:
        canvas.suptitle(self.title, x=0.01, ha="left", fontsize=10, color=INK)
        grid = canvas.subplots(self._rows, 2, squeeze=False).flatten()
        for axes, panel in zip(grid, self.panels, strict=False):
            names, values, shown = zip(*panel.bars, strict=True)
            places = range(len(names))
            axes.set_facecolor(CARD)
            axes.barh(places, values, color=VISIBLE)
            most = max(values) or 1
            for place in places:
                end = values[place] + most / 50
                axes.text(end, place, shown[place], va="center", fontsize=8, color=INK)
            axes.set_xlim(0, most * 1.3)
            axes.set_yticks(places, names, fontsize=8, color=INK)
            axes.invert_yaxis()
            axes.set_title(panel.title, loc="left", fontsize=9, color=INK)
            _plain(axes)
        for axes in grid[len(self.panels) :]:
            axes.remove()
        canvas.tight_layout()
