"""What the notebooks import: ``from workshop import check, checkpoint``.

Importing it in a notebook also makes ``%%dockerfile`` known.
"""

from __future__ import annotations

from .claims import check, expect_failure
from .workspace import checkpoint

__all__ = ["check", "checkpoint", "expect_failure"]


def _register() -> None:
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None:
        from .magic import load

        load(shell)


_register()
