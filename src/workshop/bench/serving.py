"""What a container of an image does: it starts, answers, holds memory, and stops.

All servers get the same settings of gunicorn, in GUNICORN_CMD_ARGS, which outranks
gunicorn.conf.py: the images are compared, not their numbers of workers. At stop each has
its own, but one worker, because how a server drains is one of them. Nothing is asked
from this machine, only from container to container, because the engine may be elsewhere.
"""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ..engine import client
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..run import containers, drain
from .stack import Stack

ENV = {"SECRET_KEY": "only-for-the-benchmark", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}
SETTINGS = "--workers=2 --threads=4 --max-requests=0 --access-logfile=- --worker-tmp-dir=/dev/shm"
CONNECTIONS, LOAD_S = 8, 5
LOAD_GENERATOR = Path(__file__).with_name("wrk.Dockerfile")

# All of it is Python, because an image may have no shell.
# In the server's container: ask until it answers, and print when that was.
FIRST_ANSWER = f"""
import http.client, time
give_up = time.monotonic() + {containers.READY_S}
while time.monotonic() < give_up:
    connection = http.client.HTTPConnection("localhost", 8000, timeout=5)
    try:
        connection.request("GET", "/healthz")
        if connection.getresponse().status == 200:
            raise SystemExit(print(time.time()))
    except (OSError, http.client.HTTPException):
        pass
    time.sleep(0.01)
raise SystemExit(1)
"""
CHECK_SECONDS = """
import resource, subprocess
subprocess.run(["python", "manage.py", "check"], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""


def check_seconds(image: str) -> float:
    """Seconds of a processor that `manage.py check` takes in a new container.

    They are not those on a clock, which others on the machine make longer. The container's own
    start is not among them.
    """
    done = containers.run(image, ["-c", CHECK_SECONDS], options=["--entrypoint", "python"], env=ENV)
    return float(done.stdout)


def measure(space: Workspace, load_generator: str) -> Iterator[tuple[str, float]]:
    """Start a server, load it, stop it; yields the name of each measure and its value.

    ``load_generator`` is the image that ``build_load_generator`` made. Raises WorkshopError
    when the server does not start, or answers / with an error.
    """
    yield "check_s", statistics.median(check_seconds(space.tag) for _ in range(3))
    env = {**ENV, "GUNICORN_CMD_ARGS": SETTINGS}
    with _serving(space, space.tag, env) as (server, network):
        yield "start_s", _first_answer(server) - _started(server)
        _prepare(server)
        yield "requests_per_s", _answers_per_second(load_generator, network)
        yield "memory_bytes", _memory(server)
    yield "lost_requests", lost_at_stop(space)[1]


def build_load_generator(space: Workspace) -> str:
    """Build `$IMAGE:load`, the image with wrk, from Debian's package; returns its name."""
    file, folder = shlex.quote(str(LOAD_GENERATOR)), LOAD_GENERATOR.with_suffix("")
    Stack(space).done(f"docker build -q -t $IMAGE:load -f {file} {shlex.quote(str(folder))}")
    return f"{space.tag}:load"


@contextmanager
def _serving(
    space: Workspace, image: str, env: Mapping[str, str]
) -> Iterator[tuple[containers.Container, str]]:
    """A container of ``image``, which others reach as server:8000, and their network's name."""
    network = space.network()
    options = ["--network", network, "--network-alias", "server"]
    try:
        with space.start(image=image, env=env, name="server", options=options) as server:
            yield server, network
    finally:
        space.remove_network(network)


def _first_answer(server: containers.Container) -> float:
    """When /healthz was answered with 200 first, in seconds since 1970, by the engine's clock."""
    done = server.exec("python", "-c", FIRST_ANSWER)
    if done.status:
        raise WorkshopError(
            f"The server has not answered /healthz with 200. Its log:\n{server.logs().rstrip()}",
            "The last line of the log usually names the cause.",
        )
    return float(done.stdout)


def _started(server: containers.Container) -> float:
    """When the container's process began, in seconds since 1970, by the engine's clock."""
    told = client.connect().api.inspect_container(server.name)["State"]["StartedAt"]
    return datetime.fromisoformat(told).timestamp()


def _prepare(server: containers.Container) -> None:
    """Give the server its tables, and its static files where the image has none."""
    commands = ["migrate --verbosity 0"]
    if server.exec("python", "-c", "open('staticfiles/staticfiles.json')").status:
        commands.append("collectstatic --noinput")
    for command in commands:
        done = server.exec("python", "manage.py", *command.split())
        if done.status:
            raise WorkshopError(f"`{command}` failed in the server's container: {done.stderr}")


def _answers_per_second(load_generator: str, network: str) -> float:
    """Answers to / with status 200 in a second, counted by wrk in a container of its own."""
    words = ["--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{LOAD_S}s"]
    words += ["--header", "Host: localhost", "http://server:8000/"]
    done = containers.run(
        load_generator, words, options=["--network", network], timeout=LOAD_S + 60
    )
    if done.status:
        raise WorkshopError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    told = json.loads(done.lines[-1])
    if not told["ok"]:
        raise WorkshopError(
            f"The server answered / with an error {told['other']} times, and never with 200.",
            "Its log says why: start the image by hand.",
        )
    return float(told["ok"] / told["seconds"])


def lost_at_stop(space: Workspace, image: str = "") -> tuple[int, int]:
    """Requests answered and requests lost at stop: how a server drains; see drain.stop.

    The server gets one worker, because drain.stop keeps sixteen threads busy and no more.
    """
    image = image or space.tag
    args = f"--workers=1 --graceful-timeout={drain.PATIENCE_S} --timeout={drain.PATIENCE_S}"
    env = {**ENV, "GUNICORN_CMD_ARGS": args}
    with _serving(space, image, env) as (server, network):
        _first_answer(server)
        return drain.stop(server, network, image, "/healthz", space.chapter)


def _memory(server: containers.Container) -> int:
    """Bytes that the processes hold, without what the kernel caches of files."""
    told = client.connect().api.stats(server.name, stream=False, one_shot=True)
    found = told["memory_stats"].get("stats")
    if found is None:
        raise WorkshopError(
            "The engine does not count the memory of containers.",
            "Switch the memory controller on: cgroup_enable=memory for the kernel.",
        )
    return int(found.get("anon", found.get("rss", 0)))  # cgroups version 2, and 1
