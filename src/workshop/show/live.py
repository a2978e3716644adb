"""Live progress, only where a person is watching.

nbval and `workshop run` set WORKSHOP_PROGRESS=0: a stored output must not depend on
how long something took.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from types import TracebackType
from typing import Any

EVERY_S = 0.25


def is_wanted() -> bool:
    """True unless WORKSHOP_PROGRESS is 0."""
    return os.environ.get("WORKSHOP_PROGRESS", "1") != "0"


def somebody_is_watching() -> bool:
    """True in a notebook, if progress is wanted."""
    return is_wanted() and in_a_notebook()


def in_a_notebook() -> bool:
    """True in a kernel of Jupyter, false in a terminal."""
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
        self._text = "starting…"
        self._done = threading.Event()
        # The thread shows what belongs to the cell that made it.
        here = contextvars.copy_context()
        self._ticker = threading.Thread(target=here.run, args=(self._tick,), daemon=True)

    def __enter__(self) -> Live:
        if somebody_is_watching():
            from IPython.display import display

            self._handle = display(_plain(self._text), raw=True, display_id=True)
            self._ticker.start()
        return self

    def line(self, text: str) -> None:
        """Show ``text`` with the seconds so far, until the next one comes."""
        self._text = text

    def _tick(self) -> None:
        start = time.monotonic()
        shown = ""
        while not self._done.wait(EVERY_S):
            now = f"{time.monotonic() - start:4.0f} s  {self._text}"
            if now != shown:
                self._handle.update(_plain(now), raw=True)
                shown = now

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._done.set()
            self._ticker.join()
            self._handle.update(_plain(""), raw=True)


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}
