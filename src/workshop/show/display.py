"""Results that read well as text, as HTML, and where styles are stripped."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WIDTH = 88
# A listing that is longer is folded after these lines.
LISTING_LINES = 30


def size(count: int) -> str:
    """``count`` bytes in decimal units with one decimal, as docker prints them."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if abs(value) < 999.95 or unit == "MB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def bar(share: float, width: int, lost: float = 0) -> str:
    """A bar of at most ``width`` characters for ``share``, from 0 to 1; a thin line for little.

    ``lost`` is the part of ``share`` that is drawn in another pattern.
    """
    whole = round(min(share, 1) * width)
    light = min(whole, max(round(lost * width), 1)) if lost > share / 100 else 0
    return "█" * (whole - light) + "░" * light or ("▏" if share > 0 else "")


def shorten(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def printable(text: str) -> str:
    """``text`` with what a terminal would not print, or would obey, written as an escape.

    For everything that comes out of an image: names, paths, commands, settings.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Shown:
    """Something with a text and an HTML form; Jupyter picks the better one."""

    def text(self) -> str:
        raise NotImplementedError

    def html(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # JupyterLab shows the first line in place of an output that is folded: no HTML, please.
        return {"text/plain": self.text(), "text/html": f" \n{self.html()}"}


class Composed(Shown):
    """Shown as other things that know how to show themselves: ``parts`` says which."""

    def parts(self) -> Shown:
        raise NotImplementedError

    def text(self) -> str:
        return self.parts().text()

    def html(self) -> str:
        return self.parts().html()


@dataclass(repr=False)
class Table(Shown):
    """A table with a caption. Columns named in ``right`` are aligned to the right.

    What can't be printed in a cell or in the caption is shown as an escape.
    ``least`` gives a column a width in characters that shorter content keeps. With
    ``most`` only so many rows are shown, and a line below says how many are not.
    """

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    right: Sequence[str] = ()
    least: Mapping[str, int] = field(default_factory=dict)
    most: int | None = None

    def text(self) -> str:
        rows = [self.headers, *self.rows[: self.most]]
        cells = [[printable(str(cell)) for cell in row] for row in rows]
        widths = [
            max(self.least.get(head, 0), *(len(row[i]) for row in cells))
            for i, head in enumerate(self.headers)
        ]
        lines = [
            "  ".join(
                cell.rjust(width) if head in self.right else cell.ljust(width)
                for cell, width, head in zip(row, widths, self.headers, strict=True)
            ).rstrip()
            for row in cells
        ]
        rule = "  ".join("─" * width for width in widths)
        return "\n".join([printable(self.caption), lines[0], rule, *lines[1:], *self._more()])

    def _more(self) -> list[str]:
        left = 0 if self.most is None else len(self.rows) - self.most
        return [f"… and {left:,} more; rows=None shows all."] if left > 0 else []

    def html(self) -> str:
        def row(cells: Sequence[object], mark: str) -> str:
            made = []
            for head, cell in zip(self.headers, cells, strict=True):
                # The attribute for pages that strip styles, the style for JupyterLab's own rules.
                side = "right" if head in self.right else "left"
                align = f'align="{side}" style="text-align: {side}"'
                text = html.escape(printable(str(cell)))
                # A column without a name has no header that could be read aloud.
                tag = mark if text else "td"
                scope = 'scope="col" ' if tag == "th" else ""
                made.append(f"<{tag} {scope}{align}>{text}</{tag}>")
            return "<tr>" + "".join(made) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows[: self.most])
        more = "".join(f"<p>{line}</p>" for line in self._more())
        return (
            f"<table><caption>{html.escape(printable(self.caption))}</caption>"
            f"<thead>{row(self.headers, 'th')}</thead><tbody>{body}</tbody></table>{more}"
        )


@dataclass(repr=False)
class Listing(Shown):
    """Numbered lines of a file; those in ``marked`` (counted from 1) carry a +."""

    caption: str
    lines: Sequence[str]
    marked: frozenset[int] = frozenset()

    def text(self) -> str:
        return f"{self.caption}\n" + "\n".join(self._numbered())

    def html(self) -> str:
        lines = [self._line_html(line) for line in self._numbered()]
        if len(lines) <= LISTING_LINES:
            return f"<p>{html.escape(self.caption)}</p>{self._block(lines)}"
        # The end of what is marked is in the part that is shown.
        kept = LISTING_LINES - 5
        start = max(0, min(len(lines), max(self.marked, default=0) + 2) - kept)
        parts = [
            self._folded(lines[:start]),
            self._block(lines[start : start + kept]),
            self._folded(lines[start + kept :]),
        ]
        return f"<p>{html.escape(self.caption)}</p>{''.join(parts)}"

    def _folded(self, lines: Sequence[str]) -> str:
        if not lines:
            return ""
        count = "1 more line" if len(lines) == 1 else f"{len(lines)} more lines"
        return f"<details><summary>{count}</summary>{self._block(lines)}</details>"

    @staticmethod
    def _block(lines: Sequence[str]) -> str:
        body = "\n".join(lines)
        return f"<pre><code>{body}</code></pre>"

    def _line_html(self, line: str) -> str:
        return html.escape(line)

    def _numbered(self) -> list[str]:
        return [
            f"{'+' if number in self.marked else ' '} {number:3d}  {line}".rstrip()
            for number, line in enumerate(self.lines, 1)
        ]


@dataclass(repr=False)
class Stack(Shown):
    """Several parts, one under the other; a string is a line of its own, shown as in a table."""

    parts: Sequence[Shown | str] = field(default_factory=tuple)

    def text(self) -> str:
        return "\n".join(printable(p) if isinstance(p, str) else p.text() for p in self.parts)

    def html(self) -> str:
        return "".join(
            f"<p>{html.escape(printable(p))}</p>" if isinstance(p, str) else p.html()
            for p in self.parts
        )


@dataclass(repr=False)
class Folded(Shown):
    """Something long under one line, which unfolds it; as text the line alone."""

    line: str
    inside: Shown

    def text(self) -> str:
        return self.line

    def html(self) -> str:
        line = html.escape(self.line)
        return f"<details><summary>{line}</summary>{self.inside.html()}</details>"


@dataclass(repr=False)
class Verbatim(Shown):
    """What a program printed, as it is, but for characters that a terminal would obey."""

    printed: str

    def text(self) -> str:
        return "\n".join(map(printable, self.printed.expandtabs().splitlines()))

    def html(self) -> str:
        return f"<pre><code>{html.escape(self.text())}</code></pre>"


@dataclass(repr=False)
class Command(Shown):
    """A docker command line, ready to paste, and what it printed."""

    words: Sequence[str]
    output: str = ""

    def text(self) -> str:
        return f"$ {command_line(self.words)}" + (f"\n{self.output}" if self.output else "")

    def html(self) -> str:
        return f"<pre><code>{html.escape(self.text())}</code></pre>"


def command_line(words: Sequence[str]) -> str:
    """``words`` as a shell would need them; long lines end in a backslash, between words."""
    lines = [""]
    for word in map(_quoted, words):
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH:
            lines.append("")
        lines[-1] += f"{word} "
    return " \\\n    ".join(line.strip() for line in lines)


def _quoted(word: str) -> str:
    """``word`` for a shell: as it is, or in the quotes that need no escapes."""
    if "'" in word and not re.search(r'["$`\\!]', word):
        return f'"{word}"'
    return shlex.quote(word)
