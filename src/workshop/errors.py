"""The one exception that readers meet: what went wrong, and what to do."""

from __future__ import annotations


class WorkshopError(Exception):
    """Something a reader can put right.

    ``what`` says what happened in a sentence or two; ``fix`` says what to do about
    it. The command line prints both and exits with status 1. A notebook shows both
    in place of a traceback.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n→ {self.fix}" if self.fix else self.what

    def _render_traceback_(self) -> list[str]:
        """IPython prints these lines instead of a traceback."""
        return f"✘ {self}".splitlines()
