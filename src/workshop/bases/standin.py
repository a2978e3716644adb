"""Stand-ins: images under official names, made on this machine from Debian's packages.

Their recipes are the files in ``standins/``. A stand-in that was made is kept as an archive
in the state folder, so that an engine that lost its data need not compile it again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import requests
import zstandard
from docker.models.images import Image

from ..engine import apt, client, root, session
from ..errors import WorkshopError
from ..paths import state_folder
from ..show import console
from .pull import on_engine, pull_problem

LABEL = "dockerfile-workshop.stand-in"
_RECIPE_LABEL = "dockerfile-workshop.recipe"

# What the stand-ins are built from. It stays, so that the second one need not make it again.
DEBIAN_BASE = "dockerfile-workshop/debian:trixie-slim"

# What is built under each name, and about how long it takes.
BUILDS = {
    "python:3.13-slim": "Compiling Python {version} for a stand-in (3 to 5 minutes)",
    "postgres:17": "Building a stand-in with Debian's PostgreSQL 17 (half a minute)",
    "redis:8": "Building a stand-in with Debian's Redis 8 (a few seconds)",
    "registry:2": "Building a stand-in with Debian's registry 2.8 (a few seconds)",
    "docker:26-dind": "Building a stand-in with Debian's Docker Engine 26 (half a minute)",
    "node:24-slim": "Building a stand-in with Node.js {version} (half a minute)",
    "node:22-slim": "Building a stand-in with Node.js {version} (half a minute)",
}
_RECIPES = Path(__file__).with_name("standins")
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LOOK_UP_S = 180.0


def is_one(image: Image) -> bool:
    """True when ``image`` is a stand-in, or the Debian that they are built from."""
    return _labels(image).get(LABEL) == "true"


def _labels(image: Image) -> dict[str, str]:
    return (image.attrs.get("Config") or {}).get("Labels") or {}


def private(name: str) -> str:
    """The name that a stand-in for ``name`` is built under, before it gets the official one."""
    return "dockerfile-workshop/stand-in:" + name.replace(":", "-")


def why_not(name: str) -> str:
    """Why no stand-in for ``name`` can be made here, as a sentence; empty if one can."""
    if name not in BUILDS:
        return f"There is no stand-in for {name}."
    if sys.platform != "linux" or apt.os_release().get("ID") != "debian":
        return "A stand-in can be made on Debian only, from the machine's own package sources."
    here = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout.strip()
    there = client.connect().version()["Arch"]
    if here not in ("amd64", "arm64") or here != there:
        return f"A stand-in can't be made: this machine is {here}, the engine's is {there}."
    return root.why_not("Making a stand-in")


def make(names: Sequence[str]) -> None:
    """Load or build a stand-in for each name, several at a time.

    An image that has the official name by then keeps it. Raises WorkshopError.
    """
    missing = [name for name in names if not _load(name)]
    if not missing:
        return
    _make_debian()
    with ThreadPoolExecutor(len(missing)) as threads:
        for _ in threads.map(_make, missing):
            pass


def _make(name: str) -> None:
    try:
        _build(name)
    except WorkshopError as error:
        if "no space left on device" in error.what.lower():
            raise pull_problem(name, "", error.what) from None
        raise
    _publish(name)
    try:
        _keep(name)
    except (OSError, docker.errors.APIError, requests.RequestException) as error:
        console.say(f"  The stand-in for {name} could not be kept for another time: {error}")
    _remove_private(name)


def _publish(name: str) -> None:
    """Give the stand-in the official name, unless an image has it by now."""
    if on_engine(name) is None:
        repository, _, tag = name.partition(":")
        client.connect().api.tag(private(name), repository, tag)


def _remove_private(name: str) -> None:
    with suppress(docker.errors.NotFound):  # another process made the same
        client.connect().api.remove_image(private(name))


# Archives of stand-ins


def remove_archives() -> None:
    """Delete every kept archive."""
    shutil.rmtree(_archives(), ignore_errors=True)


def _archives() -> Path:
    return state_folder() / "stand-ins"


def archive(name: str) -> Path:
    """Where the stand-in for ``name`` is kept: a compressed image archive, there or not.

    The file's name has a hash of all that the stand-in depends on but the packages' versions.
    """
    recipe = _hash(_debian_recipe(), sorted(_RECIPES.glob(f"{_repository(name)}*")))
    return _archives() / f"{name.replace(':', '-')}.{recipe}.tar.zst"


def _debian_recipe() -> str:
    files = [Path(__file__), *sorted(_RECIPES.glob("debian/*")), *_certificates()]
    return _hash(platform.machine() + _sources(*_mirrors()), files)


def _hash(text: str, files: Sequence[Path]) -> str:
    """16 hex digits that stand for a text and the names and contents of files."""
    found = hashlib.sha256(text.encode())
    for file in files:
        content = file.read_bytes()
        found.update(f"\n{file.name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def _load(name: str) -> bool:
    """Load the kept stand-in for ``name``; False when there is none or it is damaged."""
    file = archive(name)
    if not file.exists():
        return False
    try:
        with console.step(f"Loading the stand-in for {name} that was made before"):
            load: Any = client.connect().api.load_image
            for report in load(_unpacked(file)):
                if "error" in report:
                    raise OSError(report["error"])
            loaded = on_engine(private(name))
            if loaded is None or not is_one(loaded):
                raise OSError(f"it holds no {private(name)}")
    except (OSError, zstandard.ZstdError, docker.errors.APIError, requests.RequestException) as e:
        console.say(f"  {file} is damaged, so the stand-in is made anew. ({e})")
        return False
    _publish(name)
    _remove_private(name)
    return True


def _unpacked(file: Path) -> Iterator[bytes]:
    with file.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        while piece := reader.read(1 << 20):
            yield piece


def _keep(name: str) -> None:
    """Keep the stand-in for ``name`` as an archive, in place of those of older recipes."""
    file = archive(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with part.open("wb") as packed, compressor.stream_writer(packed) as writer:
        for piece in client.connect().api.get_image(private(name)):
            writer.write(piece)
    part.replace(file)
    for old in file.parent.glob(f"{name.replace(':', '-')}.*"):
        if old != file:
            old.unlink()


# Building


def _repository(name: str) -> str:
    return name.partition(":")[0]


def _log(subject: str) -> Path:
    return state_folder() / f"stand-in-{subject}.log"


def _build(name: str) -> None:
    """Build ``standins/<repository>.Dockerfile`` as ``private(name)``."""
    repository = _repository(name)
    tag = name.partition(":")[2]
    version = _python_version() if repository == "python" else tag.removesuffix("-slim")
    console.run_long(
        BUILDS[name].format(version=version),
        [
            client.cli(), "buildx", "build", "--progress=plain",
            "--file", str(_RECIPES / f"{repository}.Dockerfile"), "--tag", private(name),
            "--build-arg", f"VERSION={version}",
            *client.proxy_options("--build-arg"), str(_RECIPES),
        ],
        about=repository,
        log=_log(repository),
        env=client.environment(),
    )  # fmt: skip


def _python_version() -> str:
    """The version of Debian 13's Python, as 3.13.5."""
    with console.step("Looking up the version of Python 3.13 in Debian 13"):
        shown = _ask_debian("apt-get update > /dev/null && apt-cache show python3.13")
    # "Version: 3.13.5-2+deb13u1" is Debian's second package of 3.13.5.
    version = next(line for line in shown.splitlines() if line.startswith("Version: "))
    return version.removeprefix("Version: ").split("-")[0]


def _ask_debian(script: str) -> str:
    """The output of a shell script in a container of the Debian base, which is then removed.

    Raises WorkshopError when the script fails or takes longer than _LOOK_UP_S seconds.
    """
    container = client.connect().containers.create(
        DEBIAN_BASE,
        ["sh", "-c", script],
        name=f"{session.prefix()}-debian-{os.getpid()}",
        labels=session.labels(),
        environment={name: os.environ[name] for name in client.PROXIES if name in os.environ},
    )
    try:
        container.start()
        status = container.wait(timeout=_LOOK_UP_S)["StatusCode"]
        output = container.logs(stdout=True, stderr=bool(status)).decode(errors="replace")
    except requests.RequestException:
        raise WorkshopError(
            f"apt in a container of Debian 13 did not end within {_LOOK_UP_S:.0f} seconds.",
            "Check the network and the proxy, then try again.",
        ) from None
    finally:
        container.remove(force=True, v=True)
    if status:
        raise WorkshopError(
            f"apt in a container of Debian 13 failed: {output.strip()}",
            "Check the network and the proxy, then try again.",
        )
    return output


def _certificates() -> list[Path]:
    """The machine's own authorities, which every stand-in gets, too."""
    return sorted(_CERTIFICATES.glob("**/*.crt"))


def _make_debian() -> None:
    """Make the minimal Debian 13 that the stand-ins are built from, once."""
    recipe = _debian_recipe()
    present = on_engine(DEBIAN_BASE)
    if present and _labels(present).get(_RECIPE_LABEL) == recipe:
        return
    if not shutil.which("mmdebstrap"):
        apt.install("mmdebstrap, which makes a minimal Debian", ["mmdebstrap"])
    main, security = _mirrors()
    suites = [(main, "trixie"), (main, "trixie-updates")]
    if security:
        suites.append((security, "trixie-security"))
    with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary:
        # The hook finds what it copies into the new system in this one folder.
        folder = Path(temporary) / "data"
        shutil.copytree(_RECIPES / "debian", folder)
        (folder / "certificates").mkdir()
        for certificate in _certificates():
            shutil.copy(certificate, folder / "certificates")
        (folder / "debian.sources").write_text(_sources(main, security), encoding="utf-8")
        tar = Path(temporary) / "debian.tar"
        # apt can't talk to a mirror over https without certificates.
        extra = ["--include=ca-certificates"] if main.startswith("https:") else []
        console.run_long(
            "Making a minimal Debian 13 with mmdebstrap",
            [
                *root.prefix(), "env", f"STANDIN={folder}",
                "mmdebstrap", "--mode=root", "--variant=minbase", *extra,
                f"--dpkgopt={folder / 'dpkg-slim'}",
                '--customize-hook=sh "$STANDIN/finish.sh" "$1"',
                "trixie", str(tar),
                *(f"deb [signed-by={_KEYRING}] {uri} {suite} main" for uri, suite in suites),
            ],
            log=_log("debian"),
            fix=f"The mirror in the machine's apt sources must have Debian 13 (trixie), and "
            f"debian-archive-keyring its key. The whole output is in {_log('debian')}.",
        )  # fmt: skip
        if present:
            with suppress(docker.errors.APIError):  # a container uses it
                client.connect().api.remove_image(DEBIAN_BASE)
        client.run_cli(
            "import",
            "--change", 'CMD ["bash"]',
            "--change", f"LABEL {LABEL}=true {_RECIPE_LABEL}={recipe}",
            "--change", 'LABEL org.opencontainers.image.description="A minimal Debian 13, '
            'made on this machine for the tutorial"',
            str(tar), DEBIAN_BASE,
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
    known = apt.archives()
    codename = apt.os_release()["VERSION_CODENAME"]
    return known[codename], known.get(f"{codename}-security", "")
