"""How many connections do threads hold, and what does a pooler change?

The site with more and more threads, under load: once with PostgreSQL itself, which has a hundred
connections, and once with PgBouncer in front, which lends twenty of them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..engine import client
from ..show.console import step
from . import stack
from .machines import Load
from .report import STORED, Measured
from .serving import build_load_generator

PROCESSES = 4
THREADS = (8, 16, 32)
LOAD_S = 12
# Of the load's seconds, before the connections are counted.
SETTLED_S = 8
POOLER = Path(__file__).with_name("pgbouncer.Dockerfile")
# On top of compose.yaml. The limits there are for fewer threads.
FILE = f"""\
services:
  web:
    environment: {{WEB_CONCURRENCY: "{PROCESSES}", WEB_THREADS: "$THREADS"}}
    pids_limit: 400
    cpus: 0
  pooler:
    image: $IMAGE:pooler
    pull_policy: never
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    secrets: [database_password]
    depends_on: {{db: {{condition: service_healthy}}}}
"""
# The folder with the secrets of each way.
WAYS = {"PostgreSQL": "./secrets", "PgBouncer in front": "./pooled"}
BACKEND = "postgres: reading"


@dataclass(frozen=True)
class Pooled:
    """Threads of the server, connections to PostgreSQL, and what became of the requests."""

    threads: int
    way: str
    connections: int
    ok: int
    failed: int


@dataclass(repr=False)
class Pooler(Measured):
    """What was counted for each number of threads, in each way; when and where it was."""

    WORDS = 2
    HEADS = ("threads", "ask", "connections to PostgreSQL", "answers", "failed")

    found: list[Pooled]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"connections of {PROCESSES} processes under load, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "machine": self.machine,
            "rows": [asdict(row) for row in self.found],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """One row for each number of threads and each way, in the order of the heads."""
        return [
            (str(row.threads), row.way, str(row.connections), f"{row.ok:,}", f"{row.failed:,}")
            for row in self.found
        ]


def run() -> Pooler:
    """Load the site with each number of threads, in each way. Takes about three minutes.

    Raises WorkshopError when the stack can't be started.
    """
    with stack.started("bench-pooler", {"pooler.yaml": FILE}, "db") as site:
        build_load_generator(site.space)
        file, folder = shlex.quote(str(POOLER)), shlex.quote(str(POOLER.with_suffix("")))
        site.done(f"docker build -q -t $IMAGE:pooler -f {file} {folder}")
        _write_secrets(site.space.path)
        files = os.pathsep.join(("compose.yaml", "pooler.yaml"))
        site.space.terminal.run(f"export COMPOSE_FILE={files} THREADS=1")
        site.done("docker compose up --detach --wait web pooler")
        found = []
        for threads in THREADS:
            for way, secrets in WAYS.items():
                with step(f"{PROCESSES * threads} threads ask {way}"):
                    site.space.terminal.run(f"export THREADS={threads} SECRETS={secrets}")
                    found.append(_load(site, PROCESSES * threads, way))
    return Pooler(found, datetime.now(UTC).date().isoformat(), client.machine())


def _write_secrets(folder: Path) -> None:
    """The same secrets once more, and the pooler's address in the place of the database's."""
    pooled = shutil.copytree(folder / "secrets", folder / "pooled")
    url = pooled / "database_url"
    text = url.read_text(encoding="utf-8").replace("@db:5432/", "@pooler:6432/")
    url.chmod(0o644)
    url.write_text(text, encoding="utf-8")


def _load(site: stack.Stack, threads: int, way: str) -> Pooled:
    site.done("docker compose up --detach --wait --no-deps --force-recreate web")
    site.done(
        f"docker run --detach --name $ME-load --network ${{ME}}_default $IMAGE:load --threads 2 "
        f"--connections {2 * threads} --duration {LOAD_S}s "
        "--header 'Host: localhost' http://web:8000/"
    )
    time.sleep(SETTLED_S)
    running = site.done("docker compose top db").stdout
    site.done("docker wait $ME-load")
    load = Load(**json.loads(site.done("docker logs $ME-load").lines[-1]))
    site.done("docker rm $ME-load")
    return Pooled(threads, way, running.count(BACKEND), load.ok, load.failed)


def stored() -> Pooler:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --pooler --json > docs/pooler.json` replaces it.
    """
    told = json.loads((STORED / "pooler.json").read_text(encoding="utf-8"))
    return Pooler([Pooled(**row) for row in told["rows"]], told["date"], told["machine"])
