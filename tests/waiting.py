"""Wait for what a test has set going."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(
    condition: Callable[[], Found], seconds: float, process: subprocess.Popen[str] | None = None
) -> Found:
    """Ask until ``condition`` gives something true, and return that.

    Raises TimeoutError after so many seconds: a limit for a test that hangs, not for a slow
    machine. When ``process`` ends before, the assertion shows what it printed.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if process is not None:
            assert process.poll() is None, process.communicate()
        if time.monotonic() > deadline:
            raise TimeoutError("it never came to that")
        time.sleep(0.1)
    return found
