"""An image as a bar of its layers, for the card that a ``%%dockerfile`` cell answers with."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

from .display import Shown, size

# Mid tones, because a stored page can't know whether it is read on a light or a dark ground.
BASE, BELOW, NEW = "#8a8f98", "#4a86c5", "#e8762c"
WIDTH, HEIGHT, TEXT_WIDTH = 640, 18, 60


@dataclass(repr=False)
class Growth(Shown):
    """An image as a bar of its layers, lowest first; the newest ``new`` of them are marked.

    ``layers`` are bytes. The first ``base`` of them are the base image's, shown as one.
    ``newest`` is what the marked ones are called in words.
    """

    layers: Sequence[int]
    base: int
    new: int
    newest: str = "this step"

    @property
    def parts(self) -> list[tuple[int, str, str]]:
        """The parts of the bar: bytes, colour, sign in the text."""
        own = list(self.layers[self.base :])
        below = own[: len(own) - self.new]
        parts = [(sum(self.layers[: self.base]), BASE, "░")]
        parts += [(count, BELOW, "▒") for count in below]
        parts += [(count, NEW, "█") for count in own[len(below) :]]
        return [part for part in parts if part[0]]

    def text(self) -> str:
        whole = sum(self.layers) or 1
        marks = "".join(
            sign * max(round(count / whole * TEXT_WIDTH), 1) for count, _, sign in self.parts
        )
        return f"{marks}  {size(sum(self.layers))}"

    def html(self) -> str:
        data = base64.b64encode(self.svg.encode()).decode()
        source = f"data:image/svg+xml;base64,{data}"
        return (
            f'<img alt="{html.escape(self.alt)}" width="{WIDTH}" height="{HEIGHT}" src="{source}">'
        )

    @property
    def alt(self) -> str:
        """The bar in words."""
        own = self.layers[self.base :]
        below, new = own[: len(own) - self.new], own[len(own) - self.new :]
        told = [f"the base image {size(sum(self.layers[: self.base]))}"]
        told += [f"{len(below)} layers {size(sum(below))}"] if below else []
        told += [f"{self.newest} {size(sum(new))}"] if new else []
        return f"The image: {', '.join(told)}."

    @property
    def svg(self) -> str:
        whole = sum(self.layers) or 1
        at, boxes = 0.0, []
        for count, colour, _ in self.parts:
            # A layer of a few bytes is seen, too.
            width = max(count / whole * WIDTH, 2)
            place = f'x="{at:.1f}" width="{max(width - 1, 1):.1f}" height="{HEIGHT}"'
            boxes.append(f'<rect {place} fill="{colour}"/>')
            at += width
        box = f"0 0 {max(at, WIDTH):.1f} {HEIGHT}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" preserveAspectRatio="none">'
            f"{''.join(boxes)}</svg>"
        )
