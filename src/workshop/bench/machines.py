"""Three machines on one: engines in containers form a Swarm, and clients count what they lose.

Nothing of it is outside of these containers: a Swarm that the reader's own engine is part of is
not touched.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from typing import Any

from ..engine import client
from ..errors import WorkshopError
from ..lesson.terminal import Answer
from ..lesson.workspace import Workspace
from ..paths import DOCKERFILE, VARIANTS
from ..run import containers
from ..show.console import step
from .report import STORED, Measured
from .serving import build_load_generator
from .stack import Stack

NODES = ("node1", "node2", "node3")
NODE_IMAGE = "docker:26-dind"
MEMORY_GIB = 4
WAIT_S = 180.0
LEAST = 10_000
# The version that the events after the updates begin with, and come back to.
GOOD = "drop"
SITE, ARTICLE = 8000, 8001
CONNECTIONS = 8
# For so long the load balancer waits for an answer; a second more, to be sure.
PATIENCE_S = 11.0
CAP_SYS_ADMIN = 1 << 21

# What is added to the good image and breaks it.
BROKEN = {
    "exits": "echo 'raise SystemExit(1)' >> app/wsgi.py",
    "is never ready": 'echo \'DATABASES["default"]["HOST"] = "nowhere"\' >> app/settings.py',
    "answers 500": "printf 'def book_list(request):\\n    1 / 0\\n' >> reading/views.py",
}
# How a machine goes, and how it comes back. Cut off, it drops whatever comes in, unread.
AVAILABILITY = "exec -T node1 docker node update --availability"
PACKETS = "PREROUTING --in-interface eth0 --jump DROP"
AWAY = {
    "drained": (f"{AVAILABILITY} drain {{node}}", f"{AVAILABILITY} active {{node}}"),
    "cut off": (
        f"exec -T {{node}} iptables --table raw --append {PACKETS}",
        f"exec -T {{node}} iptables --table raw --delete {PACKETS}",
    ),
    "killed": ("kill {node}", "start {node}"),
}
# A column comes and goes again. In each update the code of before serves beside the new one.
ANCHOR = "    added_at = "
COLUMN = "    pages = models.IntegerField(default=0, db_default=0)\n"
ADD = 'migrations.AddField("book", "pages", models.IntegerField(default=0, db_default=0))'
FORGET = """migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("book", "pages")]
        )"""
DROP = 'migrations.RunSQL("ALTER TABLE reading_book DROP COLUMN pages")'
MIGRATION = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reading", "{before}")]
    operations = [
        {operation}
    ]
"""


def require() -> None:
    """Raises WorkshopError when this engine can't hold three more: memory, rights."""
    found = client.connect().info()["MemTotal"] / 2**30
    if found < MEMORY_GIB:
        raise WorkshopError(
            f"Three more engines need {MEMORY_GIB} GiB of memory, and this one has {found:.1f}.",
            "Give it more (Docker Desktop: Settings, Resources), or read the stored outputs.",
        )
    fix = "Engines in containers need that right. Take another engine, or read the stored outputs."
    try:
        told = containers.run(
            NODE_IMAGE, ["/proc/self/status"], options=["--privileged", "--entrypoint", "cat"]
        )
    except WorkshopError as error:
        raise WorkshopError(
            f"This engine runs no privileged container. {error.what}", fix
        ) from None
    rights = [line.split()[1] for line in told.lines if line.startswith("CapEff:")]
    if not (rights and int(rights[0], 16) & CAP_SYS_ADMIN):
        raise WorkshopError("This engine gives a privileged container no rights.", fix)


@dataclass(frozen=True)
class Load:
    """What clients counted: answers with status 200, others, none at all."""

    ok: int
    other: int
    lost: int
    seconds: float

    @property
    def requests(self) -> int:
        return self.ok + self.failed

    @property
    def failed(self) -> int:
        """Requests that a person would have noticed: an error, or no answer."""
        return self.other + self.lost


class Swarm:
    """The site on three machines, by the commands of chapter 20."""

    def __init__(self, space: Workspace) -> None:
        self.space, self.stack = space, Stack(space)
        build_load_generator(space)

    def start(self) -> None:
        """The machines, the registry and the load balancer; the Swarm; the site."""
        done, export = self.stack.done, self.space.terminal.run
        export("export COMPOSE_PROJECT_NAME=$ME COMPOSE_FILE=deploy/machines.yaml")
        done("docker compose up --detach --wait --build")
        export("export REGISTRY=$(docker compose port registry 5000)")
        self.on("swarm init --advertise-addr eth0")
        token = self.on("swarm join-token --quiet worker").stdout.strip()
        for node in NODES[1:]:
            self.on(f"swarm join --token {token} node1:2377", node)
        self.on(f"node update --label-add data=true {NODES[0]}")
        done("docker compose exec -T node1 chown 10001 /srv/media")
        done("python container/make_secrets.py")
        done("docker compose cp secrets node1:/root/")
        for name in ("secret_key", "database_password", "database_url"):
            self.on(f"secret create {name} /root/secrets/{name}")
        done("docker compose cp deploy/stack.yaml node1:/root/")
        for image in ("postgres:17", "redis:8"):
            self._push(image, image)
        self.build("1")
        self.deploy("1")
        wait_until("the load balancer", lambda: self.answers(SITE))

    def stop(self) -> None:
        self.stack.typed("docker compose down --volumes")

    def on(self, command: str, node: str = "node1") -> Answer:
        """A docker command on a machine, which has to succeed."""
        return self.stack.done(f"docker compose exec -T {node} docker {command}")

    def build(self, version: str, options: str = "") -> None:
        """Build the image, and push it as this version."""
        self.stack.done(f"docker build -q -t $IMAGE:{version} {options} .")
        self._push(f"$IMAGE:{version}", version)

    def _push(self, image: str, version: str) -> None:
        name = f"$REGISTRY/$IMAGE{'/' if ':' in version else ':'}{version}"
        self.stack.done(f"docker tag {image} {name}")
        self.stack.done(f"docker push -q {name}")

    def deploy(self, version: str) -> float:
        """Migrate with the new image, then give it to every service, and wait: seconds."""
        start = time.monotonic()
        image = self.image(version)
        if "site_migrate" in self.on("service ls").stdout:
            self.on(f"service update --quiet --image {image} site_migrate")
        names = "registry:5000/$IMAGE"
        self.stack.done(
            f"docker compose exec -T --env SITE={image} --env POSTGRES={names}/postgres:17 "
            f"--env REDIS={names}/redis:8 node1 docker stack deploy --quiet --detach=false "
            "--compose-file /root/stack.yaml site"
        )
        wait_until("the site", lambda: self.whole(version))
        return time.monotonic() - start

    def image(self, version: str) -> str:
        """Its name, as the machines know it."""
        return f"registry:5000/$IMAGE:{version}"

    def running(self) -> dict[str, str]:
        """The machines with a web container that is healthy, and the version that it is of."""
        told = self.on(
            "service ps site_web --filter desired-state=running "
            "--format '{{.Node}} {{.CurrentState}} {{.Image}}'"
        )
        rows = [line.split() for line in told.lines]
        return {row[0]: row[-1].rpartition(":")[2] for row in rows if row[1] == "Running"}

    def whole(self, version: str, without: str = "") -> bool:
        """True when both web containers run this version, on other machines than ``without``."""
        found = self.running()
        return sorted(found.values()) == [version] * 2 and without not in found

    def ready(self, node: str) -> bool:
        return "ready" in self.on(f"node inspect --format '{{{{.Status.State}}}}' {node}").stdout

    def beside(self) -> str:
        """A machine with a web container that does not manage the others, and has no database."""
        return next(node for node in self.running() if node != NODES[0])

    def answers(self, port: int) -> bool:
        """True when the load balancer finds somebody who serves."""
        code = f"import urllib.request as r; r.urlopen('http://localhost:{port}/')"
        done = self.stack.typed(f'docker compose exec -T balancer python -c "{code}"')
        return done.status == 0

    @contextmanager
    def loaded(self, port: int = SITE) -> Iterator[Callable[[], Load]]:
        """Clients in a container of their own, from before the block until it calls the result."""
        self.stack.done(
            f"docker run --detach --name $ME-load --network $ME $IMAGE:load --threads 1 "
            f"--connections {CONNECTIONS} --duration 1h --header 'Host: localhost' "
            f"http://balancer:{port}/"
        )

        def count() -> Load:
            self.stack.done("docker kill --signal INT $ME-load")
            self.stack.done("docker wait $ME-load")
            return Load(**json.loads(self.stack.done("docker logs $ME-load").lines[-1]))

        try:
            yield count
        finally:
            self.stack.typed("docker rm --force $ME-load")


def wait_until(what: str, is_so: Callable[[], bool]) -> float:
    """Seconds until it is so. Raises WorkshopError after WAIT_S."""
    start = time.monotonic()
    while not is_so():
        if time.monotonic() - start > WAIT_S:
            raise WorkshopError(f"{what} has not come within {WAIT_S:.0f} seconds.")
        time.sleep(0.5)
    return time.monotonic() - start


def prepared(name: str) -> Swarm:
    """All files of the site and of the machines, in a workspace. Nothing is started."""
    space = Workspace(name)
    space.use(VARIANTS / "stack.Dockerfile")
    shutil.copytree(VARIANTS / "swarm", space.path, dirs_exist_ok=True)
    return Swarm(space)


@contextmanager
def started(name: str) -> Iterator[Swarm]:
    """The site on three machines. In the end nothing of it is left."""
    require()
    swarm = prepared(name)
    try:
        with step("Starting three machines"):
            swarm.start()
        yield swarm
    finally:
        swarm.stop()


# What happens to them, and who notices


@dataclass(frozen=True)
class Event:
    """Requests, and how many of them failed; ``seconds`` until two web containers served again."""

    requests: int
    failed: int
    seconds: float


@dataclass(repr=False)
class Machines(Measured):
    """What each event cost the clients; when and where it was."""

    HEADS = ("event", "requests", "failed", "seconds until two serve")

    events: dict[str, Event]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"requests that failed, by the clients' count, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        rows = [{"event": name, **asdict(event)} for name, event in self.events.items()]
        return {"date": self.date, "machine": self.machine, "rows": rows}

    def rows(self) -> list[tuple[str, ...]]:
        """One row for each event, in the order of the heads."""
        return [
            (name, f"{event.requests:,}", f"{event.failed:,}", f"{event.seconds:.0f}")
            for name, event in self.events.items()
        ]


def run() -> Machines:
    """Let each event happen once, under load. Takes about a quarter of an hour.

    Raises WorkshopError when the site does not come back after one.
    """
    with started("bench-machines") as swarm:
        events = dict(events_of(swarm))
    return Machines(events, datetime.now(UTC).date().isoformat(), client.machine())


def events_of(swarm: Swarm) -> Iterator[tuple[str, Event]]:
    def event(
        name: str, happens: Callable[[], float], port: int = SITE, least: int = 0
    ) -> tuple[str, Event]:
        """Let it happen under load, and again until there were ``least`` requests."""
        requests = failed = times = 0
        seconds = 0.0
        with step(name[0].upper() + name[1:]):
            while not times or requests < least:
                with swarm.loaded(port) as count:
                    seconds = max(seconds, happens())
                    load = count()
                requests, failed, times = requests + load.requests, failed + load.failed, times + 1
        return name, Event(requests, failed, seconds)

    versions = cycle("21")
    swarm.build("2", "--build-arg VERSION=2")
    yield event("rolling update", lambda: swarm.deploy(next(versions)), least=LEAST)
    start_article(swarm)
    yield event("rolling update of the article's image", lambda: update_article(swarm), ARTICLE)
    swarm.on("service rm article")
    swarm.deploy("1")
    yield event("a column comes and goes, in three updates", lambda: column(swarm))
    for name in BROKEN:
        build_broken(swarm, name)
        yield event(f"update to an image that {name}", partial(refused, swarm, name))
    for how in AWAY:
        yield event(f"a machine is {how}", partial(taken_away, swarm, how))


def start_article(swarm: Swarm) -> None:
    """The article's image as a service of its own, over the same database."""
    swarm.space.write("article.Dockerfile", DOCKERFILE.read_text(encoding="utf-8"))
    for version in "12":
        swarm.build(f"article{version}", f"--build-arg N={version} -f article.Dockerfile")
    environment = {
        "SECRET_KEY_FILE": "/run/secrets/secret_key",
        "DATABASE_URL_FILE": "/run/secrets/database_url",
    }
    settings = " ".join(f"--env {name}={value}" for name, value in environment.items())
    swarm.on(
        "service create --quiet --name article --replicas 2 --replicas-max-per-node 1 "
        "--endpoint-mode dnsrr --network site_default --update-order start-first "
        f"--publish mode=host,target=8000,published={ARTICLE} --limit-memory 512M --limit-cpu 1 "
        f"--secret secret_key --secret database_url {settings} {swarm.image('article1')} server"
    )
    wait_until("the article's site", lambda: swarm.answers(ARTICLE))


def update_article(swarm: Swarm) -> float:
    start = time.monotonic()
    swarm.on(f"service update --quiet --image {swarm.image('article2')} article")
    wait_until("the article's site", lambda: swarm.answers(ARTICLE))
    return time.monotonic() - start


def column(swarm: Swarm) -> float:
    """Three updates: add a column and the code for it, forget it in the code, drop it."""
    space = swarm.space
    migrations = "reading/migrations/{}.py"
    before = "0001_initial"
    seconds = 0.0
    for number, (name, operation) in enumerate(
        {"add": ADD, "forget": FORGET, "drop": DROP}.items(), start=2
    ):
        if name == "add":
            space.edit("reading/models.py", ANCHOR, COLUMN + ANCHOR)
        if name == "forget":
            space.edit("reading/models.py", COLUMN, "")
        new = f"{number:04}_{name}"
        text = MIGRATION.format(before=before, operation=operation)
        space.write(migrations.format(new), text)
        before = new
        swarm.build(name)
        seconds += swarm.deploy(name)
    return seconds


def build_broken(swarm: Swarm, name: str) -> None:
    """An image that differs from the good one by one line, and breaks."""
    text = f"ARG IMAGE\nFROM ${{IMAGE}}\nUSER 0\nRUN {BROKEN[name]}\nUSER 10001\n"
    swarm.space.write("broken.Dockerfile", text)
    swarm.build(_tag(name), f"--build-arg IMAGE=$IMAGE:{GOOD} -f broken.Dockerfile")


def _tag(name: str) -> str:
    return name.replace(" ", "-")


def refused(swarm: Swarm, name: str) -> float:
    """Update to a broken image: seconds until the version of before serves again.

    Raises WorkshopError unless a container of it ran, and Swarm took the update back.
    """
    start = time.monotonic()
    swarm.on(f"service update --quiet --image {swarm.image(_tag(name))} site_web")
    image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    told = swarm.on(f"service inspect --format '{image}' site_web").stdout.strip()
    if f":{GOOD}@" not in told:
        raise WorkshopError(f"An image that {name} was not taken back: the service has {told}")
    tasks = swarm.on("service ps site_web --no-trunc --format '{{.Image}} {{.CurrentState}}'").lines
    tried = [line for line in tasks if f":{_tag(name)}" in line]
    if not tried or any("Rejected" in line for line in tried):
        raise WorkshopError(f"No container of an image that {name} has run: {tried}")
    wait_until("the version of before", lambda: swarm.whole(GOOD))
    return time.monotonic() - start


def taken_away(swarm: Swarm, how: str, version: str = GOOD) -> float:
    """A machine that serves goes, and comes back when two others do: seconds until they did.

    It stays away until the load balancer has given up what that machine had not answered.
    """
    node = swarm.beside()
    away, back = (f"docker compose {command.format(node=node)}" for command in AWAY[how])
    swarm.stack.done(away)
    gone = time.monotonic()
    seconds = wait_until("a place elsewhere", lambda: swarm.whole(version, without=node))
    wait_until("a late answer", lambda: time.monotonic() - gone > PATIENCE_S)
    swarm.stack.done(back)
    wait_until(node, lambda: swarm.ready(node))
    return seconds


def stored() -> Machines:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --machines --json > docs/machines.json` replaces it.
    """
    told = json.loads((STORED / "machines.json").read_text(encoding="utf-8"))
    events = {row.pop("event"): Event(**row) for row in told["rows"]}
    return Machines(events, told["date"], told["machine"])
