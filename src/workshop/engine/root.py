"""Run commands as root: as it is for root, with sudo for anybody else."""

from __future__ import annotations

import os
import shutil
import subprocess

from ..errors import WorkshopError
from ..show import console


def why_not(what: str) -> str:
    """Why root can't be had here for ``what``, as a sentence; empty if it can."""
    if os.geteuid() == 0:
        return ""
    if not shutil.which("sudo"):
        return f"{what} takes root, and there is no sudo here."
    if not console.a_person_is_there() and _sudo_wants_a_password():
        return f"{what} takes root, and sudo wants a password that nobody is there to type."
    return ""


def _sudo_wants_a_password() -> bool:
    return subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0


def prefix() -> list[str]:
    """What to put before a command so that it runs as root."""
    return [] if os.geteuid() == 0 else ["sudo", "DEBIAN_FRONTEND=noninteractive"]


def run(*command: str, given: str = "") -> str:
    """Run a command as root, with ``given`` as its standard input; returns its output.

    Raises WorkshopError with the command's words when it fails, or when there is none such.
    """
    try:
        done = subprocess.run(
            [*prefix(), *command], capture_output=True, text=True, errors="replace", input=given
        )
    except FileNotFoundError:
        raise WorkshopError(f"There is no command {command[0]} here.") from None
    if done.returncode:
        raise WorkshopError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
