"""How long builds take, and what the image weighs."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ..engine import client
from ..errors import WorkshopError
from ..lesson.workspace import Workspace
from ..paths import DOCKERFILE
from ..run import containers

# A small package without dependencies, which has nothing to do with the others.
ADDED = "humanize"
EDITED = "reading/views.py"


def files_with_a_package_more() -> dict[str, str]:
    """pyproject.toml and uv.lock after `uv add`, made in the article's builder stage.

    Raises WorkshopError when uv can't add it.
    """
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


def lock_with_a_comment_more(space: Workspace) -> dict[str, str]:
    """The lock file that ``space``'s Dockerfile copies, with a comment at its end."""
    (name,) = [n for n in ("poetry.lock", "requirements.txt", "uv.lock") if _copies(space, n)]
    return {name: space.read(name) + "# one comment more\n"}


def _copies(space: Workspace, name: str) -> bool:
    return re.search(rf"(?m)^COPY .*\b{re.escape(name)} /app/$", space.text) is not None


def seconds(space: Workspace, new_files: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Build ``space`` again and again; yields the name of each build and its seconds.

    Without ``new_files``, the files of an added package, "cold_s" and "dependency_s" are
    left out. The image of the unchanged project is there at the end.
    """
    if new_files:
        with nothing_cached(space):
            yield "cold_s", space.build().seconds
            yield from _rebuilds(space, new_files)
    else:
        space.build()
        yield from _rebuilds(space, new_files)


def _rebuilds(space: Workspace, new_files: dict[str, str]) -> Iterator[tuple[str, float]]:
    yield "noop_s", space.build().seconds
    with space.edited(EDITED):
        yield "edit_s", space.build().seconds
    if new_files:
        with space.changed(new_files):
            yield "dependency_s", space.build().seconds
    space.build()


def nothing_cached(space: Workspace) -> AbstractContextManager[None]:
    """Make every step and every cache mount of the Dockerfile one that no build has seen.

    `--no-cache` is not enough: what a COPY takes from another stage is known by its content,
    so the second measurement of an added package would find the steps of the first. And whoever
    builds the same step at that moment would be given the new one.
    """
    token = secrets.token_hex(8)
    fresh = re.sub(r"(?m)^FROM .*$", rf"\g<0>\nENV ROUND={token}", space.text)
    fresh = fresh.replace("--mount=type=cache,", f"--mount=type=cache,id={token},")
    return space.changed({"Dockerfile": fresh})


def weigh(space: Workspace) -> tuple[int, int]:
    """Bytes of the layers over the base image, as they are and packed with gzip.

    Layers that the engine keeps packed are packed anew, so that every image store gives
    the same numbers.
    """
    found = space.look()
    over = sum(layer.size for layer in found.layers[found.base_layers :])
    packed = 0
    with TemporaryDirectory() as folder:
        saved = Path(folder, "image.tar")
        client.run_cli("save", "--output", str(saved), f"{space.tag}:latest")
        with tarfile.open(saved) as archive:
            (manifest,) = json.load(_member(archive, "manifest.json"))
            for name in manifest["Layers"][found.base_layers :]:
                packed += packed_bytes(_member(archive, name))
    return over, packed


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None, f"{name} is no file"
    return found


def packed_bytes(layer: IO[bytes]) -> int:
    """Bytes of a layer, plain or packed with gzip, after gzip at its usual level."""
    plain = layer.read(2) != b"\x1f\x8b"
    layer.seek(0)
    contents: IO[bytes] | gzip.GzipFile = layer if plain else gzip.GzipFile(fileobj=layer)
    packer, count = zlib.compressobj(wbits=31), 0
    while data := contents.read(1 << 20):
        count += len(packer.compress(data))
    return count + len(packer.flush())
