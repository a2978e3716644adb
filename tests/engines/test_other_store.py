"""Every notebook and every test of images, once more on an engine with the other image store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machine

from workshop.engine import client, embedded
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(14400)]


def test_everything_passes_on_the_other_store(
    machine: Machine, with_bases: Callable[[embedded.Store], dict[str, str]], tmp_path: Path
) -> None:
    here = embedded.store_of(client.connect())
    (other,) = [store for store in embedded.STORES if store != here]
    environment = with_bases(other)
    log = Path(os.environ.get("WORKSHOP_LOGS", tmp_path)) / f"{other}.log"
    with log.open("w") as output:
        done = subprocess.run(
            machine.inside(sys.executable, "-m", "pytest", "notebooks", "tests/image"),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    told = log.read_text().splitlines()
    print("\n".join(told[-60:]))
    assert done.returncode == 0, "\n".join(told[-60:])
