"""What a deploy sends to a registry, and to each machine: the bytes of the layers that are new.

Each Dockerfile's image is pushed once, and again after an edited line, an added package and a
new base image. The registry's own lists say what it had to get each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..engine import client
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..run import containers
from ..show.console import step
from ..show.display import size
from . import builds
from .dockerfiles import DOCKERFILES
from .report import STORED, Measured

# Docker's own types, and those of the Open Container Initiative: of an image, and of an index.
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
# An official image that is built anew shares no layer with the one before, and its Python is newer.
NEW_BASE = """
FROM scratch
COPY --from=python:3.13-slim / /
RUN echo '# a newer one' >> /usr/local/lib/python3.13/os.py
"""


@dataclass(frozen=True)
class Push:
    """Bytes that the registry had to get: for the whole image, and after each change."""

    whole: int
    edited_line: int
    added_package: int
    new_base: int


@dataclass(repr=False)
class Pushes(Measured):
    """The pushes of each Dockerfile; when and where it was."""

    HEADS = (
        "image",
        "whole image",
        "edited line",
        "added package",
        "new base",
        "edited line, of the whole",
    )

    pushes: dict[str, Push]
    date: str
    machine: str

    @property
    def caption(self) -> str:
        return f"bytes that a registry gets, packed, measured on {self.date}"

    def as_json(self) -> dict[str, Any]:
        rows = [{"dockerfile": name, **asdict(push)} for name, push in self.pushes.items()]
        return {"date": self.date, "machine": self.machine, "rows": rows}

    def rows(self) -> list[tuple[str, ...]]:
        """One row for each Dockerfile, in the order of the heads."""
        return [
            (name, *map(size, asdict(push).values()), f"{push.edited_line / push.whole:.1%}")
            for name, push in self.pushes.items()
        ]


def run() -> Pushes:
    """Push the image of each Dockerfile, and what changes. Takes about fifteen minutes.

    Raises WorkshopError when an image can't be built or pushed.
    """
    new_files = builds.files_with_a_package_more()
    pushes = {}
    for name, file in DOCKERFILES.items():
        space = Workspace("bench-pushes")
        space.use(file)
        with step(f"Building and pushing: {name}"), started(space) as registry:
            pushes[name] = _pushed(space, registry, new_files)
    return Pushes(pushes, datetime.now(UTC).date().isoformat(), client.machine())


def _pushed(space: Workspace, registry: Registry, new_files: dict[str, str]) -> Push:
    def new(*options: str) -> int:
        space.build(*options)
        return registry.push(space.tag)

    whole = new()
    with space.edited(builds.EDITED):
        edited_line = new()
    with space.changed(new_files):
        added_package = new()
    with space.changed({"Dockerfile": NEW_BASE}):
        space.build(name="base")
    base = f"docker-image://{space.tag}:base"
    new_base = new(f"--build-context=python:3.13-slim={base}")
    return Push(whole, edited_line, added_package, new_base)


@contextmanager
def started(space: Workspace) -> Iterator[Registry]:
    """An empty registry, which is gone afterwards."""
    with containers.start(
        "registry:2", name="registry", port=5000, chapter=space.chapter
    ) as container:
        yield Registry(container)


class Registry:
    """The registry in ``container``; it knows which blobs the first push brought."""

    def __init__(self, container: containers.Container) -> None:
        self.container = container
        self.known: set[str] = set()

    def push(self, tag: str) -> int:
        """Push the image ``tag``; bytes of its blobs that the first push did not bring."""
        name = f"localhost:{self.container.port}/{tag}:pushed"
        client.run_cli("tag", tag, name)
        try:
            client.run_cli("push", "--quiet", name)
        finally:
            client.run_cli("image", "rm", name)
        blobs = self.blobs(f"{tag}/manifests/pushed")
        new = sum(size for digest, size in blobs.items() if digest not in self.known)
        self.known = self.known or set(blobs)
        return new

    def blobs(self, path: str) -> dict[str, int]:
        """Bytes of each layer and of the settings of the image at ``path``, by digest."""
        answer = self.container.get(f"/v2/{path}", headers={"Accept": ", ".join(MANIFESTS)})
        if answer.status_code != 200:
            raise WorkshopError(f"The registry has no {path}: {answer.text.strip()}")
        found = answer.json()
        if "manifests" in found:
            (image,) = [
                entry["digest"]
                for entry in found["manifests"]
                if "vnd.docker.reference.type" not in (entry.get("annotations") or {})
            ]
            return self.blobs(f"{path.rpartition('/')[0]}/{image}")
        return {blob["digest"]: blob["size"] for blob in [found["config"], *found["layers"]]}


def stored() -> Pushes:
    """The answer that is kept in docs/, with its date and its machine.

    `uv run workshop bench --pushes --json > docs/pushes.json` replaces it.
    """
    told = json.loads((STORED / "pushes.json").read_text(encoding="utf-8"))
    pushes = {row.pop("dockerfile"): Push(**row) for row in told["rows"]}
    return Pushes(pushes, told["date"], told["machine"])
