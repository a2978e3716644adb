"""Three containers migrate one empty database at once: how often does that fail?

As when a site starts three times and each container migrates before it serves. Once with
Django's own command, once with the production set's, which takes a lock of PostgreSQL's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..engine import client
from ..show.console import step
from . import stack
from .report import STORED, Measured

TRIES = 10
TOGETHER = 3
# On top of compose.yaml: Django's own command.
WITHOUT_A_LOCK = "services:\n  migrate:\n    command: python manage.py migrate --noinput\n"
WAYS = {
    "manage.py migrate": "--file compose.yaml --file without-a-lock.yaml",
    "with a lock": "--file compose.yaml",
}


@dataclass(repr=False)
class Migrators(Measured):
    """For each way, the exit statuses of each try's containers; when and where it was."""

    HEADS = ("way", "tries with a failure", "containers that failed")

    statuses: dict[str, list[list[int]]]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"{TOGETHER} containers migrate at once, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "machine": self.machine,
            "rows": [{"way": way, "statuses": tries} for way, tries in self.statuses.items()],
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """The way, the tries in which a container failed, and the containers that failed."""
        found = []
        for way, tries in self.statuses.items():
            failed = [sum(map(bool, statuses)) for statuses in tries]
            containers = sum(map(len, tries))
            found.append(
                (way, f"{sum(map(bool, failed))} of {len(tries)}", f"{sum(failed)} of {containers}")
            )
        return found


def run() -> Migrators:
    """Let containers migrate, TRIES times in each way. Takes about two minutes.

    Raises WorkshopError when the stack can't be started.
    """
    statuses: dict[str, list[list[int]]] = {way: [] for way in WAYS}
    files = {"without-a-lock.yaml": WITHOUT_A_LOCK}
    with stack.started("bench-migrators", files, "db") as site:
        for number in range(TRIES):
            with step(f"Try {number + 1} of {TRIES}"):
                for way, options in WAYS.items():
                    statuses[way].append(_try(site, options))
    return Migrators(statuses, datetime.now(UTC).date().isoformat(), client.machine())


def _try(site: stack.Stack, options: str) -> list[int]:
    empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    site.done(f'docker compose exec -T db psql -U reading -c "{empty}"')
    site.typed(
        f"docker compose {options} up --no-deps --force-recreate --scale migrate={TOGETHER} migrate"
    )
    told = site.done("docker compose ps --all --format {{.ExitCode}} migrate")
    return [int(line) for line in told.lines]


def stored() -> Migrators:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --migrators --json > docs/migrators.json` replaces it.
    """
    told = json.loads((STORED / "migrators.json").read_text(encoding="utf-8"))
    statuses = {row["way"]: row["statuses"] for row in told["rows"]}
    return Migrators(statuses, told["date"], told["machine"])
