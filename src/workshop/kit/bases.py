"""The base images of a kit: the same images under the same names, which trust its certificate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..bases.images import BASE_IMAGES
from ..bases.pull import on_engine
from ..engine import client
from . import proxy

# Builds and `pip` start from this one; the others are services, and fetch nothing.
FETCHES = "python:3.13-slim"
RECIPE = Path(__file__).with_name("base.Dockerfile")


def _before(name: str) -> str:
    return f"dockerfile-workshop/before-the-kit:{name.replace(':', '-')}"


def keep_ordinary() -> None:
    """Give the ordinary base images a second name, before a kit's take theirs."""
    for name in BASE_IMAGES:
        image = on_engine(name)
        if image is not None and proxy.LABEL not in (image.labels or {}):
            image.tag(*_before(name).split(":"))


def put_back() -> list[str]:
    """Let the ordinary base images have their names again; gives the names that have none now."""
    missing = []
    api = client.connect().api
    for name in BASE_IMAGES:
        image, ordinary = on_engine(name), on_engine(_before(name))
        if image is not None and proxy.LABEL in (image.labels or {}):
            api.remove_image(name, force=True)
        if ordinary is None:
            missing += [] if on_engine(name) else [name]
            continue
        if on_engine(name) is None:
            ordinary.tag(*name.split(":"))
        api.remove_image(_before(name))
    return missing


@contextmanager
def trusting(kit: str, certificate: bytes) -> Iterator[None]:
    """While this lasts, the base images' names are those of a new kit's."""
    keep_ordinary()
    try:
        with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary:
            folder = Path(temporary)
            (folder / "kit.crt").write_bytes(certificate)
            for name in BASE_IMAGES:
                text = RECIPE.read_text(encoding="utf-8") if name == FETCHES else f"FROM {name}\n"
                (folder / "Dockerfile").write_text(text, encoding="utf-8")
                label = f"--label={proxy.LABEL}={kit}"
                client.run_cli("buildx", "build", "--quiet", label, "--tag", name, str(folder))
        yield
    finally:
        put_back()


def are_of(kit: str) -> bool:
    """True when the engine's base images are those of this kit."""
    found = map(on_engine, BASE_IMAGES)
    return all(
        image is not None and (image.labels or {}).get(proxy.LABEL) == kit for image in found
    )
