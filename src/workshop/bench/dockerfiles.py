"""The Dockerfiles side by side, on the same project.

They take turns, round by round, and medians are compared: what slows the machine down
for a while slows all of them. Absolute times belong to the machine, ratios carry over.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import secrets
import statistics
import tarfile
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ..engine import client, session
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..paths import DOCKERFILE, VARIANTS
from ..run import containers
from ..show.console import say
from ..show.display import Composed, Stack, Table, size
from ..show.figure import Panel, Panels
from ..show.live import Live, in_a_notebook

COMPARED_WITH = "the article's"
DOCKERFILES = {
    "one stage": VARIANTS / "one-stage.Dockerfile",
    COMPARED_WITH: DOCKERFILE,
    "uv, two stages": VARIANTS / "uv.Dockerfile",
    "production": VARIANTS / "production.Dockerfile",
}
# A small package without dependencies, which has nothing to do with the others.
ADDED = "humanize"
EDITED = "reading/views.py"
CLIENTS, LOAD_S = 4, 3.0
# Eight clients in a container beside the server's: each connects, asks and reads, until nobody
# accepts a connection. What was accepted and got no answer is lost. Between connecting and
# asking pass 50 ms, as for a client far away, so that somebody waits in line at any moment.
CLIENTS_AT_STOP = """
import json, socket, threading, time
answered, lost = [], []
def client():
    while True:
        try:
            connection = socket.create_connection(("server", 8000), timeout=2)
        except OSError:
            return
        with connection:
            connection.settimeout(20)
            time.sleep(0.05)
            try:
                connection.sendall(b"GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except OSError:
                answer = b""
        (answered if b" 200 " in answer[:20] else lost).append(1)
threads = [threading.Thread(target=client) for _ in range(8)]
for thread in threads:
    thread.start()
print("begun", flush=True)
for thread in threads:
    thread.join()
print(json.dumps([len(answered), len(lost)]))
"""
ENV = {"SECRET_KEY": "only-for-the-benchmark", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}


COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "bytes_over_base": ("over the base", size),
    "compressed_bytes": ("to pull", size),
    "cold_s": ("cold build", "{:.1f} s".format),
    "edit_s": ("edited line", "{:.1f} s".format),
    "dependency_s": ("added package", "{:.1f} s".format),
    "noop_s": ("no change", "{:.2f} s".format),
    "check_s": ("check", "{:.2f} s".format),
    "start_s": ("start", "{:.2f} s".format),
    "memory_bytes": ("memory", size),
    "requests_per_s": ("answers/s", "{:.0f}".format),
    "lost_requests": ("lost at stop", "{:.0f}".format),
}


@dataclass(repr=False)
class Benchmark(Composed):
    """What was measured, and what else kept the machine busy.

    ``rows`` holds the medians of each Dockerfile, by the names of COLUMNS: bytes, seconds,
    and answers in a second. ``cold_s`` is a build that finds neither a layer nor a cache
    mount, ``noop_s`` the same once more, ``edit_s`` after an edited line, ``dependency_s``
    after an added package; ``check_s`` is `manage.py check` in a container, ``start_s`` a
    container's start until it answers, ``memory_bytes`` what its processes hold then,
    ``lost_requests`` how many of eight clients' requests were accepted and never answered
    when it was told to stop.
    """

    rows: dict[str, dict[str, float]]
    rounds: int
    busy: str

    def ratio(self, column: str, one: str = "production", to: str = COMPARED_WITH) -> float:
        """How many times as much ``one`` takes as the other; not a number for 0 of 0."""
        value, other = self.rows[one][column], self.rows[to][column]
        return value / other if other else math.inf if value else math.nan

    def as_json(self) -> dict[str, object]:
        """What ``workshop bench --json`` prints."""
        rows = [{"dockerfile": name, **values} for name, values in self.rows.items()]
        return {"rows": rows, "rounds": self.rounds, "busy": self.busy}

    def parts(self) -> Stack:
        columns = [name for name in COLUMNS if name in next(iter(self.rows.values()))]
        heads = [COLUMNS[name][0] for name in columns]
        shown = {
            name: [COLUMNS[column][1](values[column]) for column in columns]
            for name, values in self.rows.items()
        }
        to = COMPARED_WITH if COMPARED_WITH in self.rows else next(iter(self.rows))
        ratios = [
            (name, *(f"{self.ratio(column, name, to):.2f}" for column in columns))
            for name in self.rows
        ]
        rounds = f"medians of {self.rounds} rounds" if self.rounds > 1 else "one round"
        silent = [name for name, values in self.rows.items() if not values["requests_per_s"]]
        return Stack(
            [
                Table(f"Times as much as {to}, {rounds}", ("", *heads), ratios, right=heads),
                Table(
                    "Measured",
                    ("", *heads),
                    [(name, *values) for name, values in shown.items()],
                    right=heads,
                ),
                *(f"{name}: / is answered with an error." for name in silent),
                self.busy,
                Panels(
                    "Less is better, but for answers in a second",
                    [
                        Panel(
                            COLUMNS[column][0],
                            [
                                (name, values[column], shown[name][number])
                                for name, values in self.rows.items()
                            ],
                        )
                        for number, column in enumerate(columns)
                    ],
                ),
            ]
        )


def run(rounds: int, names: Sequence[str] = tuple(DOCKERFILES), cold: bool = True) -> Benchmark:
    """Measure the Dockerfiles ``names`` in turn, ``rounds`` times.

    Without ``cold`` the columns "cold_s" and "dependency_s" are left out, which take minutes.
    Raises WorkshopError for a name that is none, and when a Dockerfile can't be measured.
    """
    unknown = [name for name in names if name not in DOCKERFILES]
    if unknown or rounds < 1:
        raise WorkshopError(
            f"There is no Dockerfile {unknown[0]!r}." if unknown else "No round, no measurement.",
            f"There are: {', '.join(DOCKERFILES)}." if unknown else "Ask for one round or more.",
        )
    with Live() as live:
        tell = live.line if in_a_notebook() else say
        return _run(rounds, names, cold, tell)


def _run(rounds: int, names: Sequence[str], cold: bool, tell: Callable[[str], None]) -> Benchmark:
    busy = _what_else_runs()
    tell(f"… {busy}")
    spaces = {name: _workspace(name) for name in names}
    new_files = {}
    if cold:
        tell(f"… Asking uv to add {ADDED}")
        new_files = _with_a_package_more()
    taken: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in names}
    for number in range(rounds):
        # Each round begins with another one, so that none is always the first.
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            tell(f"… Round {number + 1} of {rounds}, {name}")
            for column, value in _measure(spaces[name], new_files):
                taken[name][column].append(value)
                tell(f"  {COLUMNS[column][0]:14} {COLUMNS[column][1](value)}")
    rows = {}
    for name in names:
        tell(f"… Weighing {name}")
        over, packed = _weigh(spaces[name])
        medians = {column: statistics.median(values) for column, values in taken[name].items()}
        known = {"bytes_over_base": over, "compressed_bytes": packed, **medians}
        rows[name] = {column: known[column] for column in COLUMNS if column in known}
    return Benchmark(rows, rounds, busy)


def _workspace(name: str) -> Workspace:
    space = Workspace(f"bench-{''.join(c if c.isalnum() else '-' for c in name.lower())}")
    space.use(DOCKERFILES[name])
    return space


def _what_else_runs() -> str:
    mine = session.ident()
    running = client.connect().containers.list()
    others = [c.name for c in running if c.labels.get(session.LABEL) != mine]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Before it began, the machine's load was {load} on {os.cpu_count()} processors, and "
        f"{len(others)} other containers ran."
    )


def _with_a_package_more() -> dict[str, str]:
    """pyproject.toml and uv.lock after `uv add`, made in the article's builder stage."""
    space = Workspace("bench-lock")
    space.use(DOCKERFILE)
    builder = space.build(target="builder").tag
    add = f"uv add --quiet --no-sync {ADDED} && cat pyproject.toml && printf '\\0' && cat uv.lock"
    done = containers.run(builder, ["sh", "-c", add])
    if done.status:
        raise WorkshopError(
            f"uv could not add {ADDED}: {done.stderr.strip()}",
            "Check the network; `uv run workshop doctor` asks the package index.",
        )
    return dict(zip(("pyproject.toml", "uv.lock"), done.stdout.split("\0"), strict=True))


def _measure(space: Workspace, new_files: dict[str, str]) -> Iterator[tuple[str, float]]:
    if new_files:
        with _nothing_cached(space):
            yield "cold_s", space.build().seconds
            yield from _rebuilds(space, new_files)
    else:
        space.build()
        yield from _rebuilds(space, new_files)
    yield "check_s", statistics.median(check_seconds(space.tag) for _ in range(3))
    with _serving(space) as (container, port, seconds):
        yield "start_s", seconds
        container.exec("python", "manage.py", "migrate", "--verbosity", "0")
        yield "requests_per_s", _load(port)
        yield "memory_bytes", _memory(container)
    yield "lost_requests", lost_at_stop(space)[1]


def _rebuilds(space: Workspace, new_files: dict[str, str]) -> Iterator[tuple[str, float]]:
    yield "noop_s", space.build().seconds
    with space.edited(EDITED):
        yield "edit_s", space.build().seconds
    if new_files:
        with space.changed(new_files):
            yield "dependency_s", space.build().seconds
    space.build()


def _nothing_cached(space: Workspace) -> AbstractContextManager[None]:
    """Make every step and every cache mount of the Dockerfile one that no build has seen.

    `--no-cache` is not enough: what a COPY takes from another stage is known by its content,
    so the second measurement of an added package would find the steps of the first.
    """
    token = secrets.token_hex(8)
    fresh = re.sub(r"(?m)^FROM .*$", rf"\g<0>\nENV ROUND={token}", space.text)
    fresh = fresh.replace("--mount=type=cache,", f"--mount=type=cache,id={token},")
    return space.changed({"Dockerfile": fresh})


def check_seconds(image: str) -> float:
    """Seconds that `manage.py check` takes in a new container, without the container's start."""
    script = "s=$(date +%s%N); python manage.py check > /dev/null; echo $(($(date +%s%N) - s))"
    done = containers.run(image, ["-c", script], options=["--entrypoint", "sh"], env=ENV)
    return int(done.stdout) / 1e9


@contextmanager
def _serving(space: Workspace) -> Iterator[tuple[containers.Container, int, float]]:
    """A container that serves: the container, its port here, and the seconds until it answered."""
    start = time.monotonic()
    container = space.start(env=ENV, port=8000, name="bench", wait=False)
    try:
        answers = partial(_answers, container.port)
        containers.poll(answers, container, "answered /healthz with 200", every=0.01)
        yield container, container.port, time.monotonic() - start
    finally:
        container.remove()


def _answers(port: int) -> bool:
    try:
        return _get(_connection(port, timeout=5), "/healthz") == 200
    except (OSError, http.client.HTTPException):
        return False


def _connection(port: int, timeout: float) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(client.address(), port, timeout=timeout)


def _get(connection: http.client.HTTPConnection, path: str) -> int:
    # Django answers under the name localhost, wherever the engine is.
    connection.request("GET", path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _load(port: int) -> float:
    """Answers in a second, asked for by a few clients for a few seconds."""
    end = time.monotonic() + LOAD_S
    counts: list[int] = []

    def client() -> None:
        connection, count = _connection(port, timeout=10), 0
        while time.monotonic() < end:
            try:
                count += _get(connection, "/") == 200
            except (OSError, http.client.HTTPException):
                connection.close()  # a server without keep-alive; the next request connects anew
        connection.close()
        counts.append(count)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / LOAD_S


def lost_at_stop(space: Workspace, image: str = "") -> tuple[int, int]:
    """Stop a busy server; returns how many requests were answered, and how many were lost."""
    image = image or space.tag
    network = space.network()
    options = ["--network", network, "--network-alias", "server"]
    try:
        server = space.start(image=image, env=ENV, port=8000, name="stopped", options=options)
        clients = space.start(
            "-c",
            CLIENTS_AT_STOP,
            image=image,
            name="clients",
            options=["--network", network, "--entrypoint", "python"],
            ready="begun",
        )
        time.sleep(1)
        server.stop()
        client.connect().api.wait(clients.name, timeout=containers.READY_S)
        answered, lost = json.loads(clients.logs().splitlines()[-1])
        clients.remove()
    finally:
        space.remove_network(network)
    return answered, lost


def _memory(container: containers.Container) -> float:
    """Bytes that the processes hold, without what the kernel caches of files."""
    told = client.connect().api.stats(container.name, stream=False, one_shot=True)
    found = told["memory_stats"]["stats"]
    return found.get("anon", found.get("rss", 0))  # cgroups version 2, and 1


def _weigh(space: Workspace) -> tuple[int, int]:
    """Bytes of the layers over the base image, as they are and packed for a registry."""
    found = space.look()
    over = sum(layer.size for layer in found.layers[found.base_layers :])
    packed = 0
    with TemporaryDirectory() as folder:
        saved = Path(folder, "image.tar")
        client.run_cli("save", "--output", str(saved), f"{space.tag}:latest")
        with tarfile.open(saved) as archive:
            (manifest,) = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
            for name in manifest["Layers"][found.base_layers :]:
                packed += _packed(archive.extractfile(name))
    return over, packed


def _packed(layer) -> int:
    packer, count = zlib.compressobj(wbits=31), 0
    while data := layer.read(1 << 20):
        count += len(packer.compress(data))
    return count + len(packer.flush())
