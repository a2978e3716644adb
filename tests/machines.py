"""Another machine, as far as an engine can tell: a network namespace of its own.

A second Docker daemon beside the first one would flush the first one's firewall chains.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from workshop.engine.embedded import Folders

NEEDS = ("dockerd", "ip", "iptables", "nsenter")
CODE = """
import sys
from pathlib import Path
from workshop.engine import embedded
from workshop.errors import WorkshopError
folders = embedded.Folders(Path(sys.argv[1]), Path(sys.argv[2]))
try:
    {}
except WorkshopError as error:
    sys.exit(str(error))
"""


def why_none() -> str:
    """Why no such machine can be made here, as a sentence; empty if one can."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, NEEDS)):
        return "needs root on Linux, with Docker Engine, iproute2 and iptables"
    return ""
