"""A worker is stopped in the middle of its tasks: which are lost, and which are done twice?

Four ways to start and stop the same worker, each with one thing more than the one before:
nothing, `exec`, late acknowledgement, soft shutdown.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..engine import client
from ..errors import WorkshopError
from ..show.console import step
from . import stack
from .report import STORED, Measured

# As in compose.yaml: then Docker kills.
PATIENCE_S = 15
# More than PATIENCE_S, so no patience is enough for these.
LONG_S, SHORT_S = 30, 3
# In this order: at first two long ones and two short ones run, and more is there to do than
# can be done in PATIENCE_S.
TASKS = (LONG_S, LONG_S, *[SHORT_S] * 14)
AT_ONCE = 4
DEADLINE_S = 300

# Tasks that write down when they begin and end.
TRACED = """\
import time

import redis

from app.celery import app

seen = redis.Redis.from_url(app.conf.broker_url)


@app.task
def work(number, seconds):
    seen.rpush("begun", number)
    time.sleep(seconds)
    seen.rpush("done", number)
"""
SEND = "import traced; [traced.work.delay(n, s) for n, s in enumerate({tasks})]"

_CELERY = f"celery --app app.celery worker --include traced --concurrency {AT_ONCE}"
_EARLY = "-- task_acks_late=false"
# The command and the environment variable that differ.
WAYS = {
    "shell as process 1": (["sh", "-c", f"{_CELERY} {_EARLY}; exit $$?"], ""),
    "exec": ([*_CELERY.split(), *_EARLY.split()], ""),
    "late acknowledgement": (_CELERY.split(), ""),
    "soft shutdown": (_CELERY.split(), "SIGQUIT"),
}


@dataclass(frozen=True)
class Stop:
    """What became of the tasks of one worker: counts, and seconds from the stop on."""

    lost: int
    begun_twice: int
    done_twice: int
    stop_s: float
    all_done_s: float


@dataclass(repr=False)
class Workers(Measured):
    """For each way what became of the tasks; when and where it was."""

    HEADS = (
        "way",
        "tasks lost",
        "begun twice",
        "done twice",
        "stopped after",
        "last task done after",
    )

    stops: dict[str, Stop]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"a worker is stopped in the middle of its tasks, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        rows = [{"way": way, **asdict(stop)} for way, stop in self.stops.items()]
        return {"date": self.date, "machine": self.machine, "rows": rows}

    def rows(self) -> list[tuple[str, ...]]:
        """One row for each way, in the order of the heads."""
        return [
            (
                way, f"{stop.lost} of {len(TASKS)}", str(stop.begun_twice), str(stop.done_twice),
                f"{stop.stop_s:.0f} s", f"{stop.all_done_s:.0f} s",
            )
            for way, stop in self.stops.items()
        ]  # fmt: skip


def run() -> Workers:
    """Stop a worker in each way. Takes about eight minutes.

    Raises WorkshopError when the stack can't be started, or its tasks don't come to an end.
    """
    stops = {}
    files = {"traced.py": TRACED}
    with stack.started("bench-workers", files, "redis") as site:
        for way, (command, signal) in WAYS.items():
            worker = {"command": command, "environment": {"REMAP_SIGTERM": signal}}
            site.space.write("way.yaml", json.dumps({"services": {"worker": worker}}))
            with step(f"Stopping a worker: {way}"):
                stops[way] = _stop(site)
    return Workers(stops, datetime.now(UTC).date().isoformat(), client.machine())


def _stop(site: stack.Stack) -> Stop:
    site.done("docker compose exec -T redis redis-cli flushall")
    _start_worker(site)
    send = SEND.format(tasks=list(TASKS))
    site.done(f'docker compose exec -T worker python -c "{send}"')
    _wait(lambda: len(_list(site, "begun")) >= AT_ONCE)

    stopped = time.monotonic()
    site.done(f"docker compose stop --timeout {PATIENCE_S} worker")
    stop_s = time.monotonic() - stopped
    begun, done = len(_list(site, "begun")), len(_list(site, "done"))

    _start_worker(site)

    def is_quiet() -> bool:
        waiting = site.done("docker compose exec -T redis redis-cli llen celery").stdout.strip()
        owned = site.done("docker compose exec -T redis redis-cli hlen unacked").stdout.strip()
        begun_since, done_since = len(_list(site, "begun")) - begun, len(_list(site, "done")) - done
        return waiting == owned == "0" and begun_since == done_since

    _wait(is_quiet)
    all_done_s = time.monotonic() - stopped
    begun_times, done_times = Counter(_list(site, "begun")), Counter(_list(site, "done"))
    return Stop(
        lost=len(TASKS) - len(done_times),
        begun_twice=sum(count > 1 for count in begun_times.values()),
        done_twice=sum(count > 1 for count in done_times.values()),
        stop_s=stop_s,
        all_done_s=all_done_s,
    )


def _start_worker(site: stack.Stack) -> None:
    site.done(
        "docker compose --file compose.yaml --file way.yaml "
        "up --detach --wait --no-deps --force-recreate worker"
    )


def _list(site: stack.Stack, name: str) -> list[str]:
    return site.done(f"docker compose exec -T redis redis-cli --raw lrange {name} 0 -1").lines


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise WorkshopError(f"The tasks did not come to an end within {DEADLINE_S} s.")
        time.sleep(0.2)


def stored() -> Workers:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --workers --json > docs/workers.json` replaces it.
    """
    told = json.loads((STORED / "workers.json").read_text(encoding="utf-8"))
    stops = {row.pop("way"): Stop(**row) for row in told["rows"]}
    return Workers(stops, told["date"], told["machine"])
