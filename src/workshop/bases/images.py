"""Make the base images present: already there, else pulled, else a stand-in made here.

A stand-in is an image under an official image's name, built on this machine from
Debian's packages (the files in ``standins/``) and labelled as one. It behaves like the
official image in all that the tutorial teaches.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import docker

from ..engine import causes, client, embedded
from ..errors import WorkshopError
from ..paths import state_folder
from ..show import console
from ..show.console import say

BASE_IMAGES = ("python:3.13-slim", "postgres:17")

# What the stand-ins are built from. It stays, so that the second one need not make it again.
DEBIAN_BASE = "dockerfile-workshop/debian:trixie-slim"

STAND_IN_LABEL = "dockerfile-workshop.stand-in"
REGISTRY_VARIABLE = "WORKSHOP_REGISTRY"
SILENCE_S = 60.0

_STANDINS = Path(__file__).with_name("standins")
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Base:
    """A base image on the engine; ``size`` is in bytes, uncompressed.

    ``source`` says how this call came by it. ``stand_in`` is true also for a stand-in
    that an earlier call made.
    """

    name: str
    source: Literal["present", "pulled", "stand-in"]
    id: str
    size: int
    stand_in: bool

    def __str__(self) -> str:
        how = {
            "present": "present" + (", a stand-in made on this machine" if self.stand_in else ""),
            "pulled": "pulled",
            "stand-in": "a stand-in, made on this machine",
        }[self.source]
        return f"{self.name}: {how} ({self.size / 1e6:.0f} MB)"


def ensure(names: Sequence[str] = BASE_IMAGES) -> list[Base]:
    """Make each image present and say in one line how: present, pulled or a stand-in.

    Images are pulled from the official registry, or from the mirror that the variable
    WORKSHOP_REGISTRY names, as ``$WORKSHOP_REGISTRY/library/python:3.13-slim``. Only
    when the registry is out of reach, a stand-in is built (about 4 minutes for Python).
    Of two processes, one waits for the other.

    Raises WorkshopError when an image can be had neither way, with the reason: no such
    image or no access, registry out of reach, or disk full.
    """
    bases = []
    with nullcontext() if all(map(is_present, names)) else _alone():
        for name in names:
            base = _look(name) or _get(name)
            say(f"✔ {base}")
            bases.append(base)
    return bases


def is_present(name: str) -> bool:
    """True when the engine has an image under this name, whatever its origin."""
    return _look(name) is not None


def describe(name: str) -> str:
    """The image in a few words, as ``python:3.13-slim: present (119 MB)``.

    Raises WorkshopError when the engine doesn't have it.
    """
    base = _look(name)
    if base is None:
        raise WorkshopError(
            f"The engine has no image {name}.", "`uv run workshop images` fetches it."
        )
    return str(base)


def remove() -> list[str]:
    """Remove the stand-ins and the images that this tutorial pulled, and nothing else.

    Returns the names removed. An image that is used by a container stays; it raises
    WorkshopError, after the others are gone.
    """
    pulled = _pulled()
    removed, in_use = [], []
    for name in dict.fromkeys([*BASE_IMAGES, *pulled, DEBIAN_BASE]):
        base = _look(name)
        # Another image under a name that was pulled once is not ours.
        if base is None or not (base.stand_in or pulled.get(name) == base.id):
            continue
        try:
            client.connect().api.remove_image(name)
            removed.append(name)
        except docker.errors.APIError as error:
            in_use.append(f"{name}: {error.explanation}")
    _remember({name: ident for name, ident in pulled.items() if is_present(name)})
    if in_use:
        raise WorkshopError(
            "Some base images are in use. " + " ".join(in_use),
            "Remove the containers that use them (docker ps --all), then try again.",
        )
    return removed


def _look(name: str, source: Literal["present", "pulled", "stand-in"] = "present") -> Base | None:
    try:
        image = client.connect().images.get(name)
    except docker.errors.ImageNotFound:
        return None
    size = sum(entry["Size"] for entry in image.history())
    stand_in = (image.attrs["Config"].get("Labels") or {}).get(STAND_IN_LABEL) == "true"
    return Base(name, source, str(image.id), size, stand_in)


def _get(name: str) -> Base:
    try:
        _pull(name)
    except _OutOfReach as problem:
        build = _STAND_INS.get(name)
        if build is None:
            raise
        obstacle = _why_no_stand_in()
        if obstacle:
            raise WorkshopError(f"{problem.what} {obstacle}", problem.fix) from None
        say(f"  {problem.what} So a stand-in is made here.")
        if problem.certificate:
            say(f"  For the official image: {problem.fix}")
        try:
            build()
        except WorkshopError as error:
            if "no space left on device" in error.what.lower():
                raise _pull_problem(name, "", error.what) from None
            raise
        base = _look(name, "stand-in")
    else:
        base = _look(name, "pulled")
        if base:
            _remember({**_pulled(), name: base.id})
    assert base is not None
    return base


# Two processes, one maker


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process at a time makes base images present."""
    try:
        import fcntl
    except ImportError:  # Windows: two pulls of one image do no harm, and nothing is built
        yield
        return
    with (state_folder() / "images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("… Waiting for another process that makes the base images present")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# Pulling


class _OutOfReach(WorkshopError):
    """The registry can't be talked to, so a stand-in may take its image's place."""

    certificate = False


def _pull(name: str) -> None:
    """Pull ``name``, from the mirror if one is named, in that case under its official name.

    Raises _OutOfReach or WorkshopError.
    """
    repository, _, tag = name.rpartition(":")
    mirror = os.environ.get(REGISTRY_VARIABLE, "").split("://")[-1].strip("/")
    source = f"{mirror}/library/{repository}" if mirror else repository
    with (
        (state_folder() / "pull.log").open("a", encoding="utf-8") as log,
        console.step(f"docker pull {source}:{tag}"),
    ):
        try:
            _follow(_events(source, tag), log)
        except OSError as error:
            log.write(f"{error}\n")
            raise _pull_problem(f"{source}:{tag}", mirror, str(error)) from None
    if mirror:
        client.connect().api.tag(f"{source}:{tag}", repository, tag)
        client.connect().api.remove_image(f"{source}:{tag}")


def _events(source: str, tag: str) -> Iterator[dict[str, Any]]:
    """The engine's reports on a pull, as they come.

    Read in a thread of their own: docker-py waits for the next one without end.
    Raises OSError with the engine's words, or TimeoutError after 60 seconds without one.
    """
    engine = client.open_client(client.in_use()).api
    reports: queue.Queue[dict[str, Any] | OSError | None] = queue.Queue()

    def read() -> None:
        try:
            for report in engine.pull(source, tag=tag, stream=True, decode=True):
                reports.put(report)
            reports.put(None)
        except Exception as error:  # of docker-py, requests or urllib3: the text says it all
            reports.put(OSError(str(getattr(error, "explanation", None) or error)))

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            report = reports.get(timeout=SILENCE_S)
        except queue.Empty:
            raise TimeoutError(f"timeout: no report for {SILENCE_S:.0f} seconds") from None
        if report is None:
            engine.close()
            return
        if isinstance(report, OSError):
            raise report
        yield report


def _follow(events: Iterator[dict[str, Any]], log: Any) -> None:
    """Log a pull's reports and show its progress every 15 seconds; raise its error."""
    start = last_said = time.monotonic()
    layers: dict[str, tuple[int, int]] = {}
    for event in events:
        if "error" in event:
            raise OSError(event["error"])
        detail = event.get("progressDetail") or {}
        if not detail:
            log.write(f"{event.get('id', '')} {event.get('status', '')}\n")
        elif event.get("status") == "Downloading" and "total" in detail:
            layers[event["id"]] = (detail["current"], detail["total"])
        if time.monotonic() - last_said >= console.HEARTBEAT_S:
            last_said = time.monotonic()
            done = sum(current for current, _ in layers.values())
            total = sum(size for _, size in layers.values())
            say(f"  {last_said - start:4.0f} s  {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def _pull_problem(reference: str, mirror: str, text: str) -> WorkshopError:
    """What the engine's ``text`` about a failed pull means to a reader."""
    cause = causes.find(
        "pull",
        text,
        registry=f"The registry {mirror}" if mirror else "The official registry",
        reference=reference,
        mirror=f" and {REGISTRY_VARIABLE}={mirror}"
        if mirror
        else f", or name a mirror that you can reach in {REGISTRY_VARIABLE}",
    )
    if cause is None:
        return WorkshopError(
            f"docker pull {reference} failed: {text}",
            "Run the same command in a terminal to look closer.",
        )
    # What keeps people from the official registry is usually a proxy; of a mirror it is a no.
    if not cause.kind or (cause.kind == "forbidden" and mirror):
        return WorkshopError(cause.what, cause.fix)
    problem = _OutOfReach(cause.what, cause.fix)
    problem.certificate = cause.kind == "certificate"
    return problem


def _record() -> Path:
    return state_folder() / "pulled.json"


def _pulled() -> dict[str, str]:
    """Name and id of each image that this tutorial pulled to the engine in use."""
    try:
        return json.loads(_record().read_text(encoding="utf-8")).get(_engine_id(), {})
    except (OSError, ValueError):
        return {}


def _remember(pulled: dict[str, str]) -> None:
    try:
        everything = json.loads(_record().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        everything = {}
    everything[_engine_id()] = pulled
    kept = {engine_id: names for engine_id, names in everything.items() if names}
    _record().write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _engine_id() -> str:
    return str(client.connect().info()["ID"])


# Stand-ins


def _why_no_stand_in() -> str:
    """Why no stand-in can be made here, as a sentence; empty if one can."""
    if sys.platform != "linux" or embedded.os_release().get("ID") != "debian":
        return "A stand-in can be made on Debian only, from the machine's own package sources."
    here = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout.strip()
    there = client.connect().version()["Arch"]
    if here not in ("amd64", "arm64") or here != there:
        return f"A stand-in can't be made: this machine is {here}, the engine's is {there}."
    return embedded.why_no_root("Making a stand-in")


def _make_python() -> None:
    _make_debian()
    with console.step("Looking up the version of Python 3.13 in Debian 13"):
        shown = client.run_cli(
            "run", "--rm", *client.proxy_options("--env"), DEBIAN_BASE,
            "sh", "-c", "apt-get update > /dev/null && apt-cache show python3.13",
            timeout=180,
        )  # fmt: skip
    # "Version: 3.13.5-2+deb13u1" is Debian's second package of 3.13.5.
    version = next(line for line in shown.splitlines() if line.startswith("Version: "))
    version = version.removeprefix("Version: ").split("-")[0]
    _build(
        "python:3.13-slim",
        f"Compiling Python {version} for a stand-in (3 to 5 minutes)",
        "--build-arg", f"PYTHON_VERSION={version}",
    )  # fmt: skip


def _make_postgres() -> None:
    _make_debian()
    _build("postgres:17", "Building a stand-in with Debian's PostgreSQL 17 (half a minute)")


_STAND_INS = {"python:3.13-slim": _make_python, "postgres:17": _make_postgres}


def _build(name: str, what: str, *options: str) -> None:
    """Build ``standins/<repository>.Dockerfile`` under the official ``name``."""
    file = _STANDINS / f"{name.partition(':')[0]}.Dockerfile"
    console.run_long(
        what,
        [
            client.cli(), "buildx", "build", "--progress=plain", "--file", str(file),
            "--tag", name, *client.proxy_options("--build-arg"), *options, str(_STANDINS),
        ],
        log=_log(),
        env=client.environment(),
    )  # fmt: skip


def _log() -> Path:
    return state_folder() / "stand-ins.log"


def _make_debian() -> None:
    """Make the minimal Debian 13 that the stand-ins are built from, once."""
    if is_present(DEBIAN_BASE):
        return
    if not shutil.which("mmdebstrap"):
        embedded.apt_get("Fetching the package lists", "update")
        embedded.apt_get(
            "Installing mmdebstrap",
            "install", "--yes", "--no-install-recommends", "mmdebstrap",
        )  # fmt: skip
    main, security = _mirrors()
    suites = [(main, "trixie"), (main, "trixie-updates")]
    if security:
        suites.append((security, "trixie-security"))
    with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary:
        # The hook finds what it copies into the new system in this one folder.
        folder = Path(temporary) / "data"
        shutil.copytree(_STANDINS / "debian", folder)
        (folder / "certificates").mkdir()
        for certificate in _CERTIFICATES.glob("**/*.crt"):
            shutil.copy(certificate, folder / "certificates")
        (folder / "debian.sources").write_text(_sources(main, security), encoding="utf-8")
        archive = Path(temporary) / "debian.tar"
        # apt can't talk to a mirror over https without certificates.
        extra = ["--include=ca-certificates"] if main.startswith("https:") else []
        console.run_long(
            "Making a minimal Debian 13 with mmdebstrap",
            [
                *embedded.as_root(), "env", f"STANDIN={folder}",
                "mmdebstrap", "--mode=root", "--variant=minbase", *extra,
                f"--dpkgopt={folder / 'dpkg-slim'}",
                '--customize-hook=sh "$STANDIN/finish.sh" "$1"',
                "trixie", str(archive),
                *(f"deb [signed-by={_KEYRING}] {uri} {suite} main" for uri, suite in suites),
            ],
            log=_log(),
            fix=f"The mirror in the machine's apt sources must have Debian 13 (trixie), and "
            f"debian-archive-keyring its key. The whole output is in {_log()}.",
        )  # fmt: skip
        client.run_cli(
            "import",
            "--change", 'CMD ["bash"]',
            "--change", f"LABEL {STAND_IN_LABEL}=true",
            "--change", 'LABEL org.opencontainers.image.description="A minimal Debian 13, '
            'made on this machine for the tutorial"',
            str(archive), DEBIAN_BASE,
            timeout=600,
        )  # fmt: skip


def _sources(main: str, security: str) -> str:
    """The text of debian.sources: the same mirrors for the stand-in as for this machine."""
    suites = [(main, "trixie trixie-updates")]
    if security:
        suites.append((security, "trixie-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {names}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp\n"
        for uri, names in suites
    )


def _mirrors() -> tuple[str, str]:
    """Addresses of Debian's archive and of its security archive, which may be empty."""
    known = embedded.debian_archives()
    codename = embedded.os_release()["VERSION_CODENAME"]
    return known[codename], known.get(f"{codename}-security", "")
