"""Live progress, only where a person is watching. Imports nothing of the package.

nbval and `workshop run` set WORKSHOP_PROGRESS=0: a stored output must not depend on
how long something took.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

EVERY_S = 0.25


def somebody_is_watching() -> bool:
    """True in a notebook, unless WORKSHOP_PROGRESS is 0."""
    if os.environ.get("WORKSHOP_PROGRESS", "1") == "0":
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Live:
    """One line in a notebook that changes while something runs, and is gone afterwards."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0
        self._start = 0.0

    def __enter__(self) -> Live:
        self._start = time.monotonic()
        if somebody_is_watching():
            from IPython.display import display

            self._handle = display(_plain("starting…"), raw=True, display_id=True)
        return self

    def line(self, text: str) -> None:
        """Show ``text`` with the seconds so far; at most four times a second."""
        now = time.monotonic()
        if self._handle is not None and now >= self._next:
            self._handle.update(_plain(f"{now - self._start:4.0f} s  {text}"), raw=True)
            self._next = now + EVERY_S

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.update(_plain(""), raw=True)


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}
