"""Two builds at the same moment on an engine that has built nothing yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workshop.engine import client, embedded
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BASE = "FROM python:3.13-slim\n"
LONGER = f"{BASE}RUN sleep 2; echo one > /one\nRUN sleep 1; echo two > /two\n"
GROWING = (BASE, f"{BASE}WORKDIR /app\n", f"{BASE}WORKDIR /app\nRUN sleep 3; echo 3 > /three\n")


@pytest.mark.parametrize("store", embedded.STORES)
def test_the_second_time_every_step_comes_from_the_cache(
    store: embedded.Store,
    with_bases: Callable[[embedded.Store], dict[str, str]],
    tmp_path: Path,
) -> None:
    environment = with_bases(store)
    prepare = [sys.executable, "-c", "from workshop.bases import images; images.ensure()"]
    subprocess.run(prepare, cwd=ROOT, env=environment, check=True, timeout=300)

    def cached(name: str, dockerfiles: tuple[str, ...]) -> int:
        """Build one Dockerfile after the other: how many steps of the last are cached."""
        for text in dockerfiles:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "Dockerfile").write_text(text)
            done = subprocess.run(
                [client.cli(), "buildx", "build", "--progress=plain", "-t", name, str(folder)],
                env=environment, capture_output=True, text=True, check=True, timeout=300,
            )  # fmt: skip
        return done.stderr.count(" CACHED\n")

    with ThreadPoolExecutor(2) as threads:
        longer = threads.submit(cached, "longer", (LONGER, LONGER))
        growing = threads.submit(cached, "growing", (*GROWING, GROWING[-1]))
    assert longer.result() >= 2
    assert growing.result() >= 2
