"""What the tests of engines share: another machine, and engines on it that end with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machines import LAUNCH, STOP, Machine, another_machine

from workshop.bases import images
from workshop.engine import client, embedded
from workshop.engine.embedded import Folders

NEEDS = ("dockerd", "ip", "iptables", "nsenter")


@pytest.fixture
def machine() -> Iterator[Machine]:
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, NEEDS)):
        pytest.skip("needs root on Linux, with Docker Engine, iproute2 and iptables")
    with another_machine() as machine:
        yield machine


@pytest.fixture
def make(machine: Machine) -> Iterator[Callable[[], Folders]]:
    """Makes folders for an engine; that engine is ended after the test, whatever happened."""
    # Not pytest's folder: the path of a socket may have 107 characters only.
    top = Path(tempfile.mkdtemp(prefix="workshop-"))
    made: list[Folders] = []

    def make() -> Folders:
        folder = top / str(len(made))
        made.append(Folders(folder / "run", folder / "data"))
        return made[-1]

    yield make
    for folders in made:
        for pid in embedded._daemons(folders):
            os.kill(pid, signal.SIGCONT)
        if machine.python(STOP, folders).returncode:
            machine.do(LAUNCH, folders)
            machine.do(STOP, folders)
        assert not embedded._mounts(folders)
    shutil.rmtree(top)


@pytest.fixture
def with_bases(
    machine: Machine, make: Callable[[], Folders]
) -> Callable[[embedded.Store], dict[str, str]]:
    """Starts an engine that has the base images and reaches the internet: its environment."""

    def started(store: embedded.Store) -> dict[str, str]:
        images.ensure()
        machine.reach_the_internet()
        folders = make()
        machine.do(f"embedded.launch(folders, {store!r})", folders)
        environment = {
            **{name: value for name, value in os.environ.items() if "PYTEST" not in name},
            "DOCKER_HOST": folders.host,
        }
        saved = subprocess.Popen(
            [client.cli(), "save", *images.BASE_IMAGES],
            env=client.environment(),
            stdout=subprocess.PIPE,
        )
        subprocess.run(
            [client.cli(), "load"], env=environment, stdin=saved.stdout, check=True, timeout=600
        )
        assert saved.wait() == 0
        return environment

    return started
