"""The embedded engine: Docker Engine from the distribution's packages, as a process of our own.

Used only when no other engine answers, on Debian or Ubuntu, as root or with sudo.
Its socket, data folder and pid file are its own; nothing of it outlives ``stop``
but the installed packages and the data folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ..errors import WorkshopError
from ..paths import state_folder
from ..show import console
from . import client

RUN = Path("/run/dockerfile-workshop")
DATA = Path("/var/lib/dockerfile-workshop")
SOCKET = RUN / "docker.sock"
PID_FILE = RUN / "docker.pid"
# There while the bridge docker0 is one that the embedded engine made.
OWN_BRIDGE = DATA / "docker0-is-ours"
LOG = DATA / "dockerd.log"
DAEMON = "/usr/sbin/dockerd"
START_S = 60.0

# What Debian and Ubuntu call the parts of Docker Engine with buildx and compose.
PACKAGES = {
    "debian": ["docker.io", "docker-cli", "docker-buildx", "docker-compose", "iptables"],
    "ubuntu": ["docker.io", "docker-buildx", "docker-compose-v2", "iptables"],
}
# Debian 12 has Engine 20.10 and no buildx: these come from Debian 13, and only these.
FROM_DEBIAN_13 = ["docker.io", "docker-cli", "docker-buildx", "docker-compose", "containerd"]


def ensure() -> str:
    """The host of a working engine; starts the embedded one when none answers.

    Asks before it installs anything, where a person is there to ask.
    Raises WorkshopError when there is no engine and none can be started.
    """
    client.forget()
    found = client.find()
    if found is None:
        start()
    return client.host()


def start() -> None:
    """Install what is missing and start the embedded engine, or use one that answers."""
    # This raises when an engine was chosen that does not answer, or one is there that is locked.
    if client.find():
        return
    reason = _why_not()
    if reason:
        raise WorkshopError(
            "No Docker engine answers. Tried: " + ", ".join(client.candidates()) + f". {reason}",
            client.INSTALL_DOCKER,
        )
    if not _has_packages():
        _install()
        client.forget()
        if client.find():
            return
    _launch()
    client.forget()


def stop() -> bool:
    """Stop the embedded engine and take its mounts and interfaces down.

    Returns False when it was not running. Containers in it are stopped with it;
    its images and build cache stay in the data folder.
    """
    was_running = SOCKET.exists() and client.answers(client.EMBEDDED_HOST)
    bridges = _bridges() if was_running else []
    if was_running:
        _root(
            "start-stop-daemon", "--stop", "--oknodo", "--quiet", "--pidfile", str(PID_FILE),
            "--exec", DAEMON, "--retry", "TERM/40/KILL/5",
        )  # fmt: skip
    if sys.platform == "linux":
        _take_down(bridges)
    client.forget()
    return was_running


def remove_data() -> None:
    """Delete the stopped engine's data folder: its images, containers and cache."""
    if DATA.exists():
        _root("rm", "-rf", str(DATA))


def status() -> tuple[str | None, str]:
    """The engine's host, or None, and a sentence about it."""
    host = client.find()
    if host is None:
        return None, "No Docker engine answers. Tried: " + ", ".join(client.candidates()) + "."
    version = client.connect().version()["Version"]
    whose = "the tutorial's own" if host == client.EMBEDDED_HOST else "found on this machine"
    return host, f"Docker Engine {version}, {whose}, at {host}."


def _why_not() -> str:
    """Why the embedded engine can't be had here, as a sentence; empty if it can."""
    if sys.platform != "linux" or _distribution() not in PACKAGES:
        return "The tutorial starts an engine of its own on Debian and Ubuntu only."
    return why_no_root("Starting one")


def why_no_root(what: str) -> str:
    """Why root can't be had here for ``what``, as a sentence; empty if it can."""
    if os.geteuid() == 0:
        return ""
    if not shutil.which("sudo"):
        return f"{what} takes root, and there is no sudo here."
    if not console.a_person_is_there() and _sudo_wants_a_password():
        return f"{what} takes root, and sudo wants a password that nobody is there to type."
    return ""


def _sudo_wants_a_password() -> bool:
    return subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release; empty where there is none."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines)}


def _distribution() -> str:
    return os_release().get("ID", "")


def _root(*command: str, capture: bool = True, given: str = "") -> str:
    """Run a command as root; returns its output, raises WorkshopError on failure."""
    done = subprocess.run(
        [*as_root(), *command],
        capture_output=capture,
        text=True,
        input=given,
    )
    if done.returncode:
        raise WorkshopError(f"{' '.join(command)} failed: {(done.stderr or '').strip()}")
    return done.stdout or ""


def as_root() -> list[str]:
    """What to put before a command so that it runs as root."""
    return [] if os.geteuid() == 0 else ["sudo", "DEBIAN_FRONTEND=noninteractive"]


def _has_packages() -> bool:
    try:
        client.cli()
    except WorkshopError:
        return False
    return Path(DAEMON).exists() and any(
        Path(folder, "iptables").exists() for folder in ("/usr/sbin", "/sbin")
    )


def _install() -> None:
    names = PACKAGES[_distribution()]
    if console.a_person_is_there():
        answer = input(
            "No Docker engine answers. Install Docker Engine with apt-get "
            f"({' '.join(names)}) and start one? [Y/n] "
        )
        if answer.strip().lower() not in ("", "y", "yes"):
            raise WorkshopError("No engine was installed.", client.INSTALL_DOCKER)
    release = os_release()
    options: list[str] = []
    if release["ID"] == "debian" and release.get("VERSION_ID") == "12":
        options = _debian_13_options()
        names = [*names, "runc"]
    apt_get("Fetching the package lists", *options, "update")
    apt_get(
        "Installing Docker Engine, buildx and compose",
        *options, "install", "--yes", "--no-install-recommends", *names,
    )  # fmt: skip


def apt_get(what: str, *arguments: str) -> None:
    """Run ``apt-get ARGUMENTS`` as root, as one announced step."""
    log = state_folder() / "apt.log"
    console.run_long(
        what,
        [*as_root(), "apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments],
        log=log,
        fix=f"Mend the machine's package sources, then try again. The whole output is in {log}.",
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        quiet_input=not console.a_person_is_there(),
    )


def debian_archives() -> dict[str, str]:
    """The mirror's address by suite, from the machine's own apt sources: {"bookworm": …}.

    Raises WorkshopError when they name no mirror of the Debian that runs here.
    """
    codename = os_release().get("VERSION_CODENAME", "")
    known = _listed_archives()
    if codename not in known:
        # apt knows a list's origin only once it has fetched it.
        apt_get("Fetching the package lists", "update")
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
    archives: dict[str, str] = {}
    for line in listed.splitlines():
        origin, component, suite, uri = line.split("|", 3)
        if origin == "Debian" and component == "main":
            archives.setdefault(suite, _first_mirror(uri).rstrip("/"))
    return archives


def _first_mirror(uri: str) -> str:
    """Debian's cloud images name a file with mirrors, one a line, instead of a mirror."""
    kind, _, path = uri.partition("file:")
    if kind != "mirror+":
        return uri
    lines = Path("/" + path.strip("/")).read_text(encoding="utf-8").split("\n")
    return next(line.split()[0] for line in lines if line.strip() and line[0] != "#")


def _debian_13_options() -> list[str]:
    """apt options that add Debian 13 for the engine alone, without touching /etc/apt."""
    mirror = debian_archives()["bookworm"]
    folder = state_folder() / "apt"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    (folder / "sources.list").write_text(
        "".join(f"deb {key} {mirror} {suite} main\n" for suite in ("bookworm", "trixie"))
    )
    (folder / "preferences").write_text(
        "Package: *\nPin: release n=trixie\nPin-Priority: -1\n\n"
        f"Package: {' '.join(FROM_DEBIAN_13)}\nPin: release n=trixie\nPin-Priority: 600\n"
    )
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": folder / "preferences",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _launch() -> None:
    with console.step("Starting the tutorial's own Docker engine"):
        if not _daemon_runs():
            # What a killed engine left would be taken for a running one: its number in a
            # pid file may be another process's by now.
            _take_down([])
        for folder in (RUN, DATA):
            _root("install", "-d", "-m", "0755", str(folder))
        if not Path("/sys/class/net/docker0").exists():
            _root("touch", str(OWN_BRIDGE))
        # Standard output goes to the log, not to a pipe that would hold the caller open.
        _root(
            "start-stop-daemon", "--start", "--oknodo", "--background", "--output", str(LOG),
            "--pidfile", str(PID_FILE), "--exec", DAEMON, "--",
            "--host", f"unix://{SOCKET}", "--group", str(os.getgid()),
            "--data-root", str(DATA / "data"), "--exec-root", str(RUN / "exec"),
            "--pidfile", str(PID_FILE), "--mtu", str(_mtu()),
            capture=False,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not client.answers(client.EMBEDDED_HOST):
            if time.monotonic() > deadline or (
                time.monotonic() > deadline - START_S + 5 and not PID_FILE.exists()
            ):
                tail = _root("tail", "-n", "8", str(LOG)).strip()
                raise WorkshopError(
                    f"The engine did not start. The end of {LOG}:\n{tail}",
                    "Mend what the log names, or start an engine of your own.",
                )
            time.sleep(0.2)


def _daemon_runs() -> bool:
    """True while the process that the pid file names is the engine."""
    status = ["start-stop-daemon", "--status", "--pidfile", str(PID_FILE), "--exec", DAEMON]
    return subprocess.run([*as_root(), *status], capture_output=True).returncode == 0


def _mtu() -> int:
    """The largest packet of the default route, in bytes: larger ones from containers hang."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            return min(1500, int(Path("/sys/class/net", interface, "mtu").read_text()))
    return 1500


def _bridges() -> list[str]:
    """Interfaces of the embedded engine's bridge networks."""
    engine = client.open_client(client.EMBEDDED)
    ids = [n.id for n in engine.networks.list(filters={"driver": "bridge"}) if n.name != "bridge"]
    return [f"br-{i[:12]}" for i in ids] + (["docker0"] if OWN_BRIDGE.exists() else [])


def _take_down(bridges: list[str]) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if mount.startswith((f"{RUN}/", f"{DATA}/")):
            _root("umount", mount)
    for bridge in bridges:
        if Path("/sys/class/net", bridge).exists():
            _root("ip", "link", "delete", bridge)
    if "docker0" in bridges:
        _drop_firewall_rules()
        _root("rm", str(OWN_BRIDGE))
    if RUN.exists():
        _root("rm", "-rf", str(RUN))


def _drop_firewall_rules() -> None:
    """Remove the rules and chains that the engine left in iptables."""
    for tool in ("iptables", "ip6tables"):
        rules = _root(f"{tool}-save").splitlines()
        kept = [r for r in rules if "DOCKER" not in r and "docker0" not in r and "br-" not in r]
        if kept != rules:
            _root(f"{tool}-restore", given="\n".join(kept) + "\n")
