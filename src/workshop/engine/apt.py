"""Install packages with apt-get, and find Debian's mirrors in the machine's own apt sources."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import WorkshopError
from ..paths import state_folder
from ..show import console
from . import root

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release; empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def install(what: str, packages: Sequence[str], options: Sequence[str] = ()) -> None:
    """Install ``packages`` as root; ``what`` says what they are, as "Docker Engine".

    Every package that comes with them is named before. A person at a terminal is then
    asked; without a terminal it goes on. ``options`` are for apt-get. Raises WorkshopError
    when apt-get fails or the person says no.
    """
    command = ["install", "--yes", "--no-install-recommends", *packages]
    _apt_get("Fetching the package lists", *options, "update")
    coming = to_install(_simulate(what, *options, *command))
    if not coming:
        return
    console.say(f"For {what}, apt-get installs: {' '.join(coming)}")
    if not console.agrees("Install them?", unasked=True):
        raise WorkshopError(
            f"Nothing was installed, because you did not want {what} from apt-get.",
            "Install it in another way, or run the same command again and answer y.",
        )
    _apt_get(f"Installing {what}", *options, *command)


def to_install(simulated: str) -> list[str]:
    """The packages that ``apt-get --simulate install`` names in its output, in its order."""
    lines = (line.split() for line in simulated.splitlines())
    return [words[1] for words in lines if words[:1] == ["Inst"]]


def _simulate(what: str, *arguments: str) -> str:
    done = subprocess.run(
        ["apt-get", "--simulate", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise WorkshopError(
            f"apt-get can't install {what}: {done.stderr.strip()}",
            "Correct the machine's package sources, then try again.",
        )
    return done.stdout


def _apt_get(what: str, *arguments: str) -> None:
    """Run ``apt-get ARGUMENTS`` as root, as one announced step."""
    log = state_folder() / "apt.log"
    console.run_long(
        what,
        [*root.prefix(), "apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments],
        log=log,
        fix=f"Correct the machine's package sources, then try again. The whole output is in {log}.",
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        quiet_input=not console.a_person_is_there(),
    )


def archives() -> dict[str, str]:
    """The mirror's address by suite, from the machine's own apt sources.

    As {"bookworm": "http://…/debian", "bookworm-security": "http://…/debian-security"}.
    Raises WorkshopError when they name no mirror of the Debian that runs here.
    """
    codename = os_release().get("VERSION_CODENAME", "")
    known = _listed_archives()
    if codename not in known:
        # apt knows a list's origin only once it has fetched it.
        _apt_get("Fetching the package lists", "update")
        known = _listed_archives()
    if codename not in known:
        raise WorkshopError(
            f"The apt sources of this machine name no mirror of Debian ({codename} main).",
            "Add one to /etc/apt/sources.list.d and run `apt-get update`.",
        )
    return known


def _listed_archives() -> dict[str, str]:
    wanted = "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    found: dict[str, str] = {}
    for line in listed.splitlines():
        origin, component, suite, uri = line.split("|", 3)
        if origin == "Debian" and component == "main":
            found.setdefault(suite, _first_mirror(uri).rstrip("/"))
    return found


def _first_mirror(uri: str) -> str:
    """Debian's cloud images name a file with mirrors, one a line, instead of a mirror."""
    kind, _, path = uri.partition("file:")
    if kind != "mirror+":
        return uri
    lines = Path("/" + path.strip("/")).read_text(encoding="utf-8").split("\n")
    return next(line.split()[0] for line in lines if line.strip() and line[0] != "#")


def options_for_debian_13(packages: Sequence[str]) -> list[str]:
    """Options of apt-get that take these packages from Debian 13 on Debian 12, and no others.

    They name sources, lists and preferences in the state folder, so /etc/apt stays as it is.
    """
    folder = state_folder() / "apt"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(debian_13_sources(archives()), encoding="utf-8")
    (folder / "preferences").write_text(debian_13_preferences(packages), encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": folder / "preferences",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def debian_13_sources(known: dict[str, str]) -> str:
    """The text of a sources.list with Debian 12 and 13, security archives included if known."""
    return "".join(
        f"deb [signed-by={_KEYRING}] {known['bookworm' + archive]} {codename}{archive} main\n"
        for archive in ("", "-security")
        if "bookworm" + archive in known
        for codename in ("bookworm", "trixie")
    )


def debian_13_preferences(packages: Sequence[str]) -> str:
    """The text of apt's preferences: of Debian 13 these packages only, from each archive."""
    return "".join(
        f"Package: {names}\nPin: release n={suite}\nPin-Priority: {priority}\n\n"
        for suite in ("trixie", "trixie-security")
        for names, priority in (("*", -1), (" ".join(packages), 600))
    )
