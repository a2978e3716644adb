"""Unpack a kit: from then on builds and containers fetch from the recording that it holds."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path
from typing import IO

import docker
import zstandard

from ..engine import client
from ..errors import WorkshopError
from ..show.console import step
from ..show.display import size
from . import bases, proxy
from .pack import DAYS, FORM, IMAGES, MANIFEST, Manifest


def unpack(path: Path) -> Manifest:
    """Verify a kit, load its images, and lead the tutorial's containers to its proxy.

    What a call that was interrupted has loaded is not loaded again. Raises WorkshopError when the
    file is no kit or damaged, for another kind of processor, or when there is no room.
    """
    with contextlib.ExitStack() as stack:
        try:
            kit = stack.enter_context(tarfile.open(path))
            manifest = _manifest(kit)
            _verify(kit, manifest)
            images = _member(kit, IMAGES)
        except (tarfile.TarError, EOFError, KeyError, ValueError, TypeError) as error:
            raise WorkshopError(
                f"{path} is no kit, or it is damaged: {error}.",
                "Copy it again. `workshop pack` makes one.",
            ) from None
        _refuse(manifest)
        if not _is_loaded(manifest.kit):
            bases.keep_ordinary()
            with step(f"Loading the images ({size(manifest.bytes_unpacked)} at most)"):
                _load(images)
    if not _is_loaded(manifest.kit):
        raise WorkshopError(f"{path} holds other images than it says.", "Copy it again.")
    proxy.start(proxy.IMAGE)
    return manifest


def undo() -> list[str]:
    """Go back to the network; gives the base images that have to be fetched from there."""
    proxy.stop_leading()
    proxy.remove()
    missing = bases.put_back()
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.connect().api.remove_image(proxy.IMAGE, force=True)
    return missing


def _manifest(kit: tarfile.TarFile) -> Manifest:
    first = kit.next()
    if first is None or first.name != MANIFEST:
        raise ValueError(f"it does not begin with {MANIFEST}")
    told = json.load(_member(kit, MANIFEST))
    if told.get("form") != FORM:
        raise WorkshopError(
            f"The kit is of another version of the tutorial: {told.get('form')!r}.",
            "Install the tutorial from the wheels in the kit.",
        )
    datetime.date.fromisoformat(told["made"])  # raises ValueError for another text
    return Manifest(**told)


def _member(kit: tarfile.TarFile, name: str) -> IO[bytes]:
    found = kit.extractfile(name)
    if found is None:
        raise ValueError(f"{name} is no file")
    return found


def _verify(kit: tarfile.TarFile, manifest: Manifest) -> None:
    with step("Verifying the kit"):
        for name, told in manifest.files.items():
            found, member = hashlib.sha256(), _member(kit, name)
            for piece in iter(partial(member.read, 1 << 20), b""):
                found.update(piece)
            if found.hexdigest() != told["sha256"]:
                raise ValueError(f"{name} is another file than the one that was packed")


def _refuse(manifest: Manifest) -> None:
    architecture = str(client.check_engine()["Arch"])
    if architecture != manifest.architecture:
        raise WorkshopError(
            f"The kit is for {manifest.architecture}, and this engine's machine is {architecture}.",
            "Ask for a kit that was packed on such a machine.",
        )
    last = datetime.date.fromisoformat(manifest.made) + datetime.timedelta(days=DAYS)
    if datetime.date.today() > last:
        raise WorkshopError(
            f"The kit was packed on {manifest.made}, and its certificate held until {last}.",
            "Ask for a new one. If the kit is newer than that, set this machine's clock.",
        )
    free = client.free_disk()
    # Archives are unpacked beside the place where they go.
    if free is None or free >= 2 * manifest.bytes_unpacked or _is_loaded(manifest.kit):
        return
    raise WorkshopError(
        f"The engine's disk has {size(free)} left, and the kit takes up to "
        f"{size(2 * manifest.bytes_unpacked)} while it is unpacked.",
        "Free some space (`docker system df` shows what Docker holds), then try again.",
    )


def _is_loaded(kit: str) -> bool:
    with contextlib.suppress(docker.errors.ImageNotFound):
        labels = client.connect().images.get(proxy.IMAGE).labels or {}
        return labels.get(proxy.LABEL) == kit and bases.are_of(kit)
    return False


def _load(packed: IO[bytes]) -> None:
    with (
        zstandard.ZstdDecompressor().stream_reader(packed) as images,
        subprocess.Popen(
            [client.cli(), "load", "--quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=client.environment(),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            shutil.copyfileobj(images, process.stdin, 1 << 20)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        said = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise WorkshopError(
            f"The engine could not load the kit's images: {said.strip()}",
            "Free some space if its disk is full, then run the same again.",
        )
