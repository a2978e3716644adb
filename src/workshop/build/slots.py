"""How many builds run at once: as many as the engine has processors, so that none starves.

A room of readers shares an engine. Each further build would make all of them slower, and take
memory. Who comes later waits, and is told so.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..engine import client
from ..paths import room_folder

LOOK_S = 0.5


@contextmanager
def slot(tell: Callable[[str], None]) -> Iterator[None]:
    """Hold one of the engine's slots for builds; ``tell`` gets a line while all are taken.

    Those who share ``room_folder`` share them. A slot is free again when its process ends,
    however it ends.
    """
    locks = [FileLock(path) for path in _files()]
    start, taken = time.monotonic(), None
    while taken is None:
        taken = next(filter(_is_free, locks), None)
        if taken is None:
            waited = time.monotonic() - start
            tell(f"waiting for {len(locks)} other builds on this engine  {waited:.0f} s")
            time.sleep(LOOK_S)
    try:
        yield
    finally:
        taken.release()


def _is_free(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _files() -> list[Path]:
    folder = room_folder() / "builds"
    folder.mkdir(exist_ok=True)
    engine = hashlib.sha256(client.host().encode()).hexdigest()[:8]
    return [folder / f"{engine}-{number}.lock" for number in range(_count())]


@functools.cache
def _count() -> int:
    # One alone would let a long build stop everybody.
    return max(2, int(client.connect().info()["NCPU"]))
