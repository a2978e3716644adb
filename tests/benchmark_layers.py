"""How fast the microscope reads an image: against `docker save`, and against dive.

    uv run python tests/benchmark_layers.py IMAGE

Both sides of each ratio are taken in turn, in the same run, and the medians compared.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
import tracemalloc
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path

import archives

from workshop.engine import client
from workshop.layers import archive, kept
from workshop.layers.sources import by_id, forget, of_archive, of_image
from workshop.layers.tar import Stream
from workshop.paths import program
from workshop.show.display import Table, size

DIVE = program("dive")
ROUNDS = 5


@contextlib.contextmanager
def nothing_kept() -> Iterator[None]:
    """For the length of a ``with`` block, no layer was ever read."""
    with (
        tempfile.TemporaryDirectory() as folder,
        unittest.mock.patch.object(kept, "folder", return_value=Path(folder, "cache", "layers")),
    ):
        by_id.cache_clear()
        yield
    by_id.cache_clear()


def measure(image: str, rounds: int = ROUNDS) -> dict[str, float]:
    """Medians in seconds of save, read, kept, cached, archive and dive.

    ``save`` is `docker save` to the null device, ``read`` the engine's image read whole,
    ``kept`` the same in a new process, ``cached`` in the same one, ``archive`` and ``dive``
    a file of `docker save`.
    """
    # By its id: `docker save NAME` without a tag saves every image of that name.
    engine = client.connect()
    image = str(engine.images.get(image).id)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.tar"
        client.run_cli("save", "--output", str(file), image)
        told = str(Path(folder) / "dive.json")
        dive = [str(DIVE), "--source", "docker-archive", str(file), "--json", told]
        save = [client.cli(), "save", image]
        works: dict[str, Callable[[], object]] = {
            "save": lambda: quietly(*save, env=client.environment()),
            "read": lambda: of_image(image, client=engine),
            "kept": lambda: of_image(image, client=engine),
            "cached": lambda: of_image(image, client=engine),
            "archive": lambda: of_archive(file),
            "dive": lambda: quietly(*dive, env={**os.environ, "CI": "true"}),
        }
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                if name == "kept":
                    by_id.cache_clear()
                elif name != "cached":
                    forget()
                start = time.perf_counter()
                work()
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def quietly(*command: str, env: dict[str, str]) -> None:
    # dive's own verdict on the image sets its exit status, so only a signal is a failure.
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[0]}: {done.stderr.decode()}")


def peak_memory(files: int, bytes_each: int) -> int:
    """Peak bytes of Python's memory while an image of ``files`` files is read as a stream."""
    tracemalloc.start()
    try:
        archive.read(Stream(synthetic(files, bytes_each)), "a synthetic image")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def synthetic(files: int, bytes_each: int) -> Iterator[bytes]:
    """The chunks of an archive with one layer, made while it is read."""
    block = bytes(1 << 16)

    def zeros(count: int) -> Iterator[bytes]:
        for _ in range(count // len(block)):
            yield block
        yield block[: count % len(block)]

    def header(name: str, count: int) -> bytes:
        info, _ = archives.member(name)
        info.size = count
        return info.tobuf()

    padded = -(-bytes_each // 512) * 512
    size_ = files * (512 + padded) + 1024
    yield header("layer/layer.tar", size_)
    for number in range(files):
        yield header(f"usr/lib/folder{number % 100}/file{number}", bytes_each)
        yield from zeros(padded)
    yield from zeros(1024)
    documents = {
        "config.json": archives.as_json({**archives.config([b""]), "history": []}),
        "manifest.json": archives.as_json(
            [{"Config": "config.json", "Layers": ["layer/layer.tar"]}]
        ),
    }
    yield archives.pack(documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("image", help="a name on the engine")
    report(parser.parse_args().image)


def report(image: str) -> dict[str, float]:
    """Print what ``measure`` finds, and how much memory a gigabyte takes; gives its medians."""
    with nothing_kept():
        bytes_ = of_image(image, client=client.connect()).size
        found = measure(image)
        print(
            Table(
                f"Reading {image}, {size(bytes_)}; medians of {ROUNDS} rounds",
                ("ratio", "of", "to", "milliseconds"),
                [
                    row(found, "read", "save", "reading it from the engine", "docker save"),
                    row(found, "archive", "dive", "reading its archive", "dive"),
                    row(found, "kept", "read", "again, in a new process", "the first time"),
                    row(found, "cached", "read", "again, in the same process", "the first time"),
                ],
                right=("ratio",),
            )
        )
    gigabyte = peak_memory(70_000, 14_336), peak_memory(10, 100_000_000)
    print(f"A gigabyte in 70,000 files: at most {size(gigabyte[0])} of memory.")
    print(f"A gigabyte in 10 files: at most {size(gigabyte[1])} of memory.")
    return found


def row(found: dict[str, float], one: str, other: str, what: str, to: str) -> tuple[str, ...]:
    times = f"{1000 * found[one]:.0f} against {1000 * found[other]:.0f}"
    return f"{found[one] / found[other]:.3f}", what, to, times


if __name__ == "__main__":
    main()
