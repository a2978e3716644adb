"""A picture of an image, layer by layer. Imports display, layers.

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

from .display import Shown, bar, shorten, size

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
    def bytes(self) -> str:
        shown = size(self.visible + self.superseded)
        if not self.superseded:
            return shown
        if not self.visible:
            return f"{shown}, all superseded"
        return f"{shown}, {size(self.superseded)} superseded"


@dataclass(repr=False)
class Figure(Shown):
    """Bars, the first one at the bottom, as a PNG with a text alternative."""

    title: str
    rows: Sequence[Row]

    @property
    def alt(self) -> str:
        """The picture in words, for people who can't see it."""
        bars = "; ".join(f"{row.label}: {row.bytes}" for row in self.rows)
        return f"Bar chart. {self.title}. From the lowest layer up: {bars}."

    def text(self) -> str:
        most = max((row.visible + row.superseded for row in self.rows), default=1)
        lines = [
            f"{shorten(row.label, 38):38}  "
            + bar((row.visible + row.superseded) / most, TEXT_WIDTH, row.superseded / most)
            + f"  {row.bytes}"
            for row in reversed(self.rows)
        ]
        return "\n".join([self.title, *lines])

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

        canvas = Canvas(figsize=(8.6, 1.1 + 0.32 * len(self.rows)), dpi=200, facecolor=CARD)
        axes = canvas.add_subplot(facecolor=CARD)
        labels = [f"{shorten(row.label, 44):44}" for row in self.rows]
        visible = [row.visible / 1e6 for row in self.rows]
        superseded = [row.superseded / 1e6 for row in self.rows]
        places = range(len(self.rows))
        axes.barh(places, visible, color=VISIBLE, label="in the final file system")
        axes.barh(
            places, superseded, left=visible, color=SUPERSEDED, hatch="///", edgecolor=CARD,
            linewidth=0, label="superseded: shipped, and out of sight",
        )  # fmt: skip
        most = max((v + s for v, s in zip(visible, superseded, strict=True)), default=1)
        for place, row in enumerate(self.rows):
            end = visible[place] + superseded[place]
            axes.text(end + most / 100, place, row.bytes, va="center", fontsize=8, color=INK)
        axes.set_xlim(0, most * 1.42)
        axes.set_yticks(places, labels, fontsize=8, fontfamily="monospace", color=INK)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_visible(False)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_title(self.title, loc="left", fontsize=10, color=INK)
        if any(superseded):
            axes.legend(
                loc="upper left", bbox_to_anchor=(-0.02, 0), ncols=2, fontsize=8, frameon=False,
                labelcolor=INK,
            )  # fmt: skip
        made = io.BytesIO()
        canvas.savefig(made, format="png", bbox_inches="tight", pad_inches=0.15)
        return made.getvalue()
