"""Pack a kit: run the chapters while a proxy records what they fetch, and put all into one file.

The proxy makes a certificate authority at its start, and the authority's key goes with the
proxy. The kit has a certificate for the recorded hosts, so nobody who has one can sign for others.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import zstandard

from .. import doctor
from ..bases.images import BASE_IMAGES
from ..engine import client, embedded, session
from ..errors import WorkshopError
from ..lesson import notebooks
from ..paths import ROOT, WORKSPACES
from ..run import containers
from ..show.console import say, step
from ..show.display import size
from . import bases, proxy

FORM = "dockerfile-workshop kit 1"
MANIFEST = "kit.json"
IMAGES = "images.tar.zst"
# For so long the certificate holds; image/record.py signs it.
DAYS = 180
# What the archive and its parts take while they are made, and what the engine makes meanwhile.
NEEDED = 6_000_000_000


@dataclass(frozen=True)
class Manifest:
    """What a kit holds; its file ``kit.json`` is the first one of the archive.

    ``answers`` counts what was recorded. ``bytes_unpacked`` is at most what the images take on an
    engine. ``files`` has the bytes and the SHA-256 of each other file.
    """

    form: str
    kit: str
    made: str
    architecture: str
    python: str
    chapters: list[str]
    answers: int
    bytes_unpacked: int
    files: dict[str, dict[str, int | str]]


def pack(target: Path, names: Sequence[str]) -> Manifest:
    """Record chapters (all of them without ``names``) and write the kit to ``target``.

    The base images of the engine are the kit's meanwhile. Raises WorkshopError when there is no
    room, when ``target`` is there, when this is no clone, when a kit is in use, or when a chapter
    fails.
    """
    chapters = notebooks.chapters(names)
    _refuse(target)
    place = target.absolute().parent
    kit = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=".workshop-pack-", dir=place) as temporary:
        folder = Path(temporary)
        (folder / "wheels").mkdir()
        with step("Collecting the tutorial's own packages"):
            _collect_wheels(folder / "wheels")
        with ExitStack() as stack:
            answers = _record([str(path) for path in chapters], kit, folder, stack)
            with step("Saving the images"):
                unpacked = _save([*BASE_IMAGES, proxy.IMAGE], folder / IMAGES)
        manifest = Manifest(
            FORM,
            kit,
            datetime.date.today().isoformat(),
            str(client.check_engine()["Arch"]),
            f"{sys.version_info.major}.{sys.version_info.minor}",
            [path.stem for path in chapters],
            answers,
            unpacked,
            {
                path.relative_to(folder).as_posix(): {
                    "bytes": path.stat().st_size,
                    "sha256": digest(path),
                }
                for path in (folder / IMAGES, *sorted((folder / "wheels").iterdir()))
            },
        )
        with step(f"Writing {target}"):
            _write(manifest, folder, target)
    return manifest


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse(target: Path) -> None:
    place = target.absolute().parent
    if target.is_dir():
        raise WorkshopError(f"{target} is a folder.", f"Name a file in it: {target / 'kit.tar'}.")
    if target.exists():
        raise WorkshopError(f"{target} is there already.", "Name another file, or move it away.")
    proxies = [n for n in client.PROXIES if n.upper() != "NO_PROXY" and os.environ.get(n)]
    if proxies:
        raise WorkshopError(
            "This machine reaches the network through a proxy, and a kit is recorded without one.",
            f"Pack the kit where there is no proxy, and unset {', '.join(proxies)}.",
        )
    if not (ROOT / "pyproject.toml").is_file():
        raise WorkshopError(
            "A kit is packed from a clone, because it carries the tutorial itself.",
            "Clone the repository, and run `uv run workshop pack KIT` there.",
        )
    if not place.is_dir():
        raise WorkshopError(f"There is no folder {place}.", "Make it first.")
    if client.kit_configuration().exists():
        raise WorkshopError(
            "A kit is in use on this machine, so nothing can be recorded.",
            "Go back to the network first: `uv run workshop unpack --undo`.",
        )
    if (free := shutil.disk_usage(place).free) < NEEDED:
        raise WorkshopError(
            f"{size(free)} are free in {place}, and packing takes up to {size(NEEDED)}.",
            "Free some space, or name a file on another disk.",
        )
    engines = client.free_disk()
    if engines is not None and engines < NEEDED:
        raise WorkshopError(
            f"The engine's disk has {size(engines)} left, and packing takes up to {size(NEEDED)}.",
            "Free some space: `docker system df` shows what Docker holds.",
        )


def _record(names: Sequence[str], kit: str, folder: Path, stack: ExitStack) -> int:
    """Run chapters while the proxy records, and build the image that replays it.

    Until ``stack`` ends, the base images are the kit's, and that image is there. Returns the
    number of answers.
    """
    with step("Building the proxy that records"):
        proxy.build("proxy", proxy.RECORDER, {}, {})
    stack.callback(client.connect().api.remove_image, proxy.RECORDER)
    stack.callback(proxy.remove)
    proxy.start(proxy.RECORDER)
    proxy.stop_leading()  # the base images come from the network as ever
    certificate = folder / "kit.crt"
    proxy.copy_out("/kit/.mitmproxy/mitmproxy-ca-cert.pem", certificate)
    stack.enter_context(bases.trusting(kit, certificate.read_bytes()))
    stack.callback(proxy.stop_leading)
    proxy.lead_to_it()
    # What lies in a cache would not be fetched, and so not be recorded.
    embedded.prune("the builds' own caches (RUN --mount=type=cache)", "type=exec.cachemount")
    with _own_session():
        for check in doctor.examine():
            if not check.ok:
                raise WorkshopError(f"This machine is not ready: {check}", check.fix)
        for name in names:
            _run(name, folder / "executed")
    proxy.stop_leading()
    with step("Keeping each answer once"):
        client.run_cli("stop", "--time", "600", proxy.CONTAINER)
        told = client.run_cli("logs", proxy.CONTAINER)
        for name in ("flows", "leaf.pem"):
            proxy.copy_out(f"/kit/{name}", folder / name)
        files = {name: (folder / name).read_bytes() for name in ("flows", "leaf.pem")}
        proxy.build("replay", proxy.IMAGE, files, {proxy.LABEL: kit})
    stack.callback(client.connect().api.remove_image, proxy.IMAGE)
    return int(told.split()[-2])


def _run(name: str, folder: Path) -> None:
    """Run a chapter, and once more if it fails: one failure in an hour need not be the chapter's.

    What it fetched both times is kept once.
    """
    try:
        notebooks.run([name], folder)
    except WorkshopError as error:
        say(f"{error}\n… Once more, from its beginning.")
        notebooks.run([name], folder)


@contextlib.contextmanager
def _own_session() -> Iterator[None]:
    """A reader of its own, so that the images of who packs stay as they are."""
    before = os.environ.get("WORKSHOP_SESSION")
    os.environ["WORKSHOP_SESSION"] = secrets.token_hex(4)
    session.ident.cache_clear()
    try:
        yield
    finally:
        containers.remove_all()
        session.remove_leftovers()
        shutil.rmtree(WORKSPACES / session.ident(), ignore_errors=True)
        del os.environ["WORKSHOP_SESSION"]
        if before is not None:
            os.environ["WORKSHOP_SESSION"] = before
        session.ident.cache_clear()


def _save(names: Sequence[str], target: Path) -> int:
    """Write images into one compressed archive; gives the sum of their bytes."""
    compressor = zstandard.ZstdCompressor(level=3, threads=-1)
    with (
        target.open("wb") as packed,
        compressor.stream_writer(packed) as writer,
        subprocess.Popen(
            [client.cli(), "save", *names], stdout=subprocess.PIPE, env=client.environment()
        ) as process,
    ):
        assert process.stdout is not None
        shutil.copyfileobj(process.stdout, writer, 1 << 20)
    if process.returncode:
        raise WorkshopError("The engine could not save the images.", "Look at its log.")
    return sum(int(client.connect().images.get(name).attrs["Size"]) for name in names)


def _collect_wheels(folder: Path) -> None:
    """Put this tutorial and the packages of this environment into ``folder``, as wheels."""
    installed = [f"{d.name}=={d.version}" for d in metadata.distributions()]
    with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary:
        venv.create(temporary, with_pip=True)
        same = Path(temporary, "same.txt")
        ours = "dockerfile-workshop=="
        lines = sorted(line for line in installed if not line.startswith(ours))
        same.write_text("\n".join(lines), encoding="utf-8")
        python = str(next(Path(temporary).glob("[bS]*/python*")))
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _collect([*pip, "install", "hatchling"])
        # A wheel of the clone itself would hold what .gitignore names, too: checkpoints, passwords.
        _collect([python, "-m", "hatchling", "build", "-t", "sdist", "-d", temporary])
        (sources,) = Path(temporary).glob("*.tar.gz")
        _collect(
            [*pip, "wheel", "--constraint", str(same), "--wheel-dir", str(folder), str(sources)]
        )


def _collect(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise WorkshopError(
            f"The tutorial's own packages could not be collected: {done.stderr.strip()[-500:]}",
            "Check the network, then try again.",
        )


def _write(manifest: Manifest, folder: Path, target: Path) -> None:
    """Write the kit beside its place, and then put it there."""
    part = folder / "kit.part"
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    with tarfile.open(part, "w") as kit:
        for name in (MANIFEST, *manifest.files):
            kit.add(folder / name, name)
    part.replace(target)
