"""The acceptance script of the whole site: faults under load, and what has to hold after them.

Every upload that was answered with success is in the database, its file is on the volume, and its
thumbnail is made in the end. What could not be done was refused, and left no half row. The script
knows a site only by the methods of `Platform`, so that any way to run it can take its place.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from typing import NamedTuple

import pytest
import requests
from PIL import Image
from waiting import wait_for

from workshop.bench.stack import Stack
from workshop.run.site import Site, Watch

# What the queue lost is found by what beat starts: within two minutes.
RECOVERS_S = 300
ROWS = "SELECT title, cover, thumbnail, thumbnail_status FROM reading_book"


def picture() -> bytes:
    content = BytesIO()
    Image.effect_noise((60, 60), 50).save(content, "PNG")
    return content.getvalue()


class Row(NamedTuple):
    cover: str
    thumbnail: str
    status: str


class Platform:
    """What the script asks of a site, whoever runs it: its address, and a command in a service."""

    @property
    def site(self) -> Site:
        raise NotImplementedError

    def inside(self, service: str, command: str) -> str:
        """What a command prints in a container of a service, where it has to succeed."""
        raise NotImplementedError

    def manage(self, command: str) -> None:
        self.inside("web", f"python manage.py {command}")

    def rows(self) -> dict[str, Row]:
        told = self.inside("db", f'psql -U reading -tA -c "{ROWS}"')
        return {
            title: Row(*rest) for title, *rest in (line.split("|") for line in told.splitlines())
        }

    def files(self) -> set[str]:
        """The files on the volume, such as covers/cover.png."""
        return set(self.inside("web", 'find media -type f -printf "%P\\n"').splitlines())


class Compose(Platform):
    """The site as Compose runs it. ``files`` are its Compose files, behind -f."""

    def __init__(self, stack: Stack, files: str = "") -> None:
        self.stack = stack
        self.command = f"docker compose {files}".strip()

    def done(self, command: str) -> str:
        """What a command of Compose printed, which has to succeed."""
        return self.stack.done(f"{self.command} {command}").stdout

    @property
    def site(self) -> Site:
        return Site(self.stack.space.terminal.variables["PORT"])

    def up(self, *services: str) -> None:
        """Start services, or all, and wait until they are ready."""
        self.done(f"up --detach --wait {'--no-deps ' if services else ''}{' '.join(services)}")

    def stop(self, service: str) -> None:
        self.done(f"stop {service}")

    def kill(self, service: str) -> None:
        """End its processes as the kernel does when memory is out, and nobody asked for it."""
        (ident,) = self.done(f"ps --quiet {service}").split()
        process = self.stack.done(f'docker inspect --format "{{{{.State.Pid}}}}" {ident}')
        code = f"import os; os.kill({process.stdout.strip()}, 9)"
        self.stack.done(
            "docker run --rm --pid host --cap-add KILL --user 0:0 --entrypoint python "
            f'$IMAGE -c "{code}"'
        )

    def restart(self, service: str) -> None:
        self.done(f"restart {service}")

    @contextlib.contextmanager
    def hanging(self, service: str) -> Iterator[None]:
        """Its connections stay open, and nobody answers."""
        self.done(f"pause {service}")
        try:
            yield
        finally:
            self.done(f"unpause {service}")

    def inside(self, service: str, command: str) -> str:
        return self.done(f"exec -T {service} {command}")

    def restarts(self, service: str) -> int:
        """How often the engine has started the service's one container again."""
        (ident,) = self.done(f"ps --all --quiet {service}").split()
        return int(
            self.stack.done(f'docker inspect --format "{{{{.RestartCount}}}}" {ident}').stdout
        )


class Uploads:
    """Clients that add books with covers, until the ``with`` block ends.

    ``accepted`` are the titles that were answered with success, ``failed`` those that the site
    answered with an error of its own. ``refused`` counts all answers but success.
    """

    def __init__(self, site: Site, clients: int) -> None:
        self.site = site
        self.accepted: list[str] = []
        self.failed: list[str] = []
        self.refused: Counter[str] = Counter()
        self._numbers = count(1)
        self._end = threading.Event()
        self._cover = picture()
        self._word = secrets.token_hex(4)
        self._threads = [threading.Thread(target=self._upload) for _ in range(clients)]

    def __enter__(self) -> Uploads:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _upload(self) -> None:
        visitor = Site(self.site.port)
        while not self._end.is_set():
            title = f"{self._word} {next(self._numbers)}"
            book = {"title": title, "author": "A. Client", "status": "want"}
            files = {"cover": ("cover.png", self._cover, "image/png")}
            try:
                answer = visitor.post("/add/", book, files=files, allow_redirects=False)
            except requests.RequestException as error:
                self.refused[type(error).__name__] += 1
                continue
            if answer.status_code == 302:
                self.accepted.append(title)
                continue
            self.refused[str(answer.status_code)] += 1
            if answer.status_code >= 500:
                self.failed.append(title)

    def reach(self, more: int) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.accepted) + more
        wait_for(lambda: len(self.accepted) >= wanted, RECOVERS_S)

    @contextlib.contextmanager
    def recovering(self, fault: str) -> Iterator[None]:
        """The fault happens in this block; then uploads are accepted again, by the site alone."""
        self.reach(5)
        start = time.monotonic()
        yield
        self.reach(5)
        tell(
            f"{fault}: uploads were accepted again {time.monotonic() - start:.0f} s after it began"
        )


# What the test that is going on measured. pytest's summary shows it.
TOLD: list[str] = []


def tell(line: str) -> None:
    TOLD.append(line)


@pytest.fixture(autouse=True)
def in_summary(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Import this into a file of tests, and the summary shows what they measured."""
    TOLD.clear()
    yield
    for line in TOLD:
        record_property("told", line)


def holds(platform: Platform, uploads: Uploads) -> None:
    """Nothing that was accepted is lost, and no row is half: what every fault has to leave."""
    tell(f"{len(uploads.accepted)} uploads accepted, refused: {dict(uploads.refused)}")
    assert uploads.accepted
    start = time.monotonic()
    wait_for(lambda: not waiting(platform), RECOVERS_S)
    tell(f"the last thumbnail was there {time.monotonic() - start:.0f} s after the last upload")
    rows, files = platform.rows(), platform.files()
    lost = [title for title in uploads.accepted if title not in rows]
    assert not lost
    half = {title: row for title, row in rows.items() if row.cover and row.cover not in files}
    assert not half
    unfinished = {
        title: row
        for title, row in rows.items()
        if row.cover and (row.status != "ready" or row.thumbnail not in files)
    }
    assert not unfinished


def waiting(platform: Platform) -> list[str]:
    return [title for title, row in platform.rows().items() if row.status == "waiting"]


@contextlib.contextmanager
def always_alive(platform: Compose) -> Iterator[None]:
    """/livez answers 200 as long as the block takes, and the engine restarts no web container."""
    restarts = platform.restarts("web")
    watch = Watch(platform.site, "/livez")
    try:
        yield
    finally:
        answers: Counter[str] = sum(watch.stop()["/livez"], Counter())
    assert set(answers) == {"200"}, answers
    assert platform.restarts("web") == restarts
