"""Can this machine run the tutorial?"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import docker

from .bases import images
from .build.buildx import BuildFailed, build_image
from .engine import client, embedded
from .engine.error_texts import as_problem
from .errors import WorkshopError
from .paths import ROOT
from .run import containers
from .show.display import Table

FREE_GB = 5
PYTHON_IMAGE = "python:3.13-slim"


@dataclass(frozen=True)
class Check:
    """One question to the machine: its name, the answer, and what to do if it is no."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"[{' OK ' if self.ok else 'FAIL'}] {self.name}: {self.detail}"
        return line if self.ok else f"{line}\n       → {self.fix}"


def examine(tell: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Run every check, in an order in which an earlier failure explains a later one.

    ``tell`` gets each answer as soon as it is there: the last one takes seconds.
    """
    checks = []
    for name, question in QUESTIONS:
        checks.append(_guarded(name, question))
        tell(checks[-1])
    return checks


def as_json(checks: list[Check]) -> dict[str, object]:
    """The form of `workshop doctor --json`."""
    return {"ok": all(check.ok for check in checks), "checks": [asdict(c) for c in checks]}


def as_table(checks: list[Check]) -> Table:
    """The checks as a notebook shows them, without what differs between machines."""
    rows = [(c.name, "OK" if c.ok else "FAIL", "" if c.ok else c.fix) for c in checks]
    return Table("Can this machine run the tutorial?", ("check", "result", "what to do"), rows)


def _guarded(name: str, question: Callable[[], str]) -> Check:
    try:
        return Check(name, True, question())
    except Exception as error:
        problem = as_problem(error)
        if problem is None:
            raise
        return Check(name, False, problem.what, problem.fix or "The README has more help.")


def _python() -> str:
    return sys.version.split()[0]


def _cli() -> str:
    versions = (f"{name} {client.plugin_version(name)}" for name in client.PLUGINS)
    return ", ".join([client.cli(), *versions])


def _engine() -> str:
    client.check_engine()
    return embedded.status()[1]


def _disk() -> str:
    free = shutil.disk_usage(ROOT if ROOT.is_dir() else ROOT.parent).free / 1e9
    engines = client.free_disk()
    if engines is not None:
        free = min(free, engines / 1e9)
    if free < FREE_GB:
        raise WorkshopError(
            f"{free:.1f} GB free", f"Free at least {FREE_GB} GB; `workshop clean` may help."
        )
    return f"{free:.0f} GB free; {_build_cache()}"


def _build_cache() -> str:
    """How much the engine's build cache holds by itself, and what empties it."""
    try:
        told = client.connect().api.df()
    except docker.errors.APIError:  # an engine that can't tell is no reason to fail
        return "the engine does not say how large its build cache is"
    # What is shared stays with the images that share it. From API 1.53 on, the engine reckons.
    own = told.get("BuildCacheUsage", {}).get("Reclaimable", 0)
    if "BuildCache" in told:
        own = sum(r.get("Size", 0) for r in told["BuildCache"] or [] if not r.get("Shared"))
    return f"the build cache holds {own / 1e9:.1f} GB, `docker builder prune --all` empties it"


def _images() -> str:
    missing = [name for name in images.BASE_IMAGES if not images.is_present(name)]
    if missing:
        raise WorkshopError(f"missing: {', '.join(missing)}", "Run `uv run workshop images`.")
    return ", ".join(images.describe(name) for name in images.BASE_IMAGES)


def _ports() -> str:
    """Publish a port of a container and fetch it, as chapters do."""
    if not images.is_present(PYTHON_IMAGE):
        raise WorkshopError("not asked, for lack of a base image", "Run `uv run workshop images`.")
    try:
        with containers.start(PYTHON_IMAGE, ["python", "-m", "http.server", "8000"], port=8000):
            return f"a container's port answers at {client.address()}"
    except WorkshopError as error:
        raise WorkshopError(
            f"a container's port does not answer at {client.address()}: {error.what}",
            "Let this machine reach the ports of the engine's machine from 32768 on.",
        ) from None


def _build() -> str:
    """Build, and let pip ask the package index there, as chapters do."""
    if not images.is_present(PYTHON_IMAGE):
        raise WorkshopError("not asked, for lack of a base image", "Run `uv run workshop images`.")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(
            f"FROM {PYTHON_IMAGE}\n"
            "RUN pip download --quiet --no-deps --retries=1 --timeout=15 --dest /tmp/asked uv\n"
        )
        try:
            # Nothing is kept: neither an image, nor the answer of another day.
            build_image(["--no-cache", "--output", "type=cacheonly", "."], cwd=Path(folder))
        except BuildFailed as failure:
            last = (failure.log or [failure.what])[-1]
            raise WorkshopError(
                f"a build that asks the package index fails: {last}",
                "Behind a proxy, or with a company's certificate: README.md, “Behind a proxy”.",
            ) from None
    return "an instruction ran, and pip reached the package index"


QUESTIONS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("Python", _python),
    ("docker CLI and plugins", _cli),
    ("engine", _engine),
    ("disk", _disk),
    ("base images", _images),
    ("published ports", _ports),
    ("a build", _build),
)
