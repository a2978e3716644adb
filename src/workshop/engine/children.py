"""Start programs that end when this process does, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

# prctl(2): PR_SET_PDEATHSIG is 1. It is set in the child, because a hook between fork and exec
# is not safe in a process with threads. SIGPIPE gets back what Python changed at its start.
_ENDS_WITH_ITS_PARENT = """
import ctypes, os, signal, sys
parent, number = int(sys.argv[1]), getattr(signal, sys.argv[2])
ctypes.CDLL(None).prctl(1, int(number))
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
if os.getppid() != parent:
    sys.exit(128 + int(number))
os.execvp(sys.argv[3], sys.argv[3:])
"""


def start(
    command: Sequence[str], *, at_death: str = "SIGTERM", **settings: Any
) -> subprocess.Popen[str]:
    """Start ``command``; ``settings`` as of subprocess.Popen. Its streams are text.

    An interrupt of this process does not reach it: whoever started it ends it. On Linux it
    gets ``at_death`` when the thread that started it ends without that, as by SIGKILL;
    elsewhere it ends when it next writes to a pipe that nobody reads.
    """
    words = list(command)
    if sys.platform == "linux":
        wrapper = [sys.executable, "-I", "-S", "-c", _ENDS_WITH_ITS_PARENT]
        words = [*wrapper, str(os.getpid()), at_death, *words]
    return subprocess.Popen(
        words,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        **settings,
    )
