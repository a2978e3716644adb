"""The embedded engine: Docker Engine from the distribution's packages, as a process of our own.

Used only when no other engine answers, on Debian or Ubuntu, as root or with sudo.
Its socket, data folder and pid file are its own; nothing of it outlives ``stop`` but the
installed packages, the data folder and what dockerd sets for the whole machine: packets
may be forwarded (net.ipv4.ip_forward), and those that no rule accepts are dropped.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import docker
from filelock import FileLock

from ..errors import WorkshopError
from ..paths import state_folder
from ..show import console
from . import apt, client, firewall, root

Store = Literal["classic", "containerd"]
STORES: tuple[Store, ...] = ("classic", "containerd")
# Chapters 02 and 03 pass with both. With the containerd store they took 1.32 and 1.41 times as
# long, from an empty build cache on the same machine, because it packs and unpacks each layer.
DEFAULT_STORE: Store = "classic"
BUILD_CACHE = "15GB"

# Debian has it in the first folder, Docker's own packages in the second.
DAEMONS = ("/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd")
START_S = 60.0
END_S = 60.0
UNMOUNT_S = 15.0

# What Debian and Ubuntu call the parts of Docker Engine with buildx and compose.
PACKAGES = {
    "debian": ["docker.io", "docker-cli", "docker-buildx", "docker-compose"],
    "ubuntu": ["docker.io", "docker-buildx", "docker-compose-v2"],
}
TOOLS = {"iptables": "iptables", "ip": "iproute2"}
# Debian 12 has Engine 20.10 and no buildx: these come from Debian 13, and only these.
FROM_DEBIAN_13 = ["docker.io", "docker-cli", "docker-buildx", "docker-compose", "containerd"]

# Settings of /etc/docker/daemon.json that the command line of the embedded engine has.
_ON_THE_COMMAND_LINE = ("hosts", "group", "data-root", "exec-root", "pidfile", "mtu")


@dataclass(frozen=True)
class Folders:
    """Where an embedded engine keeps its files; a second one needs folders of its own."""

    run: Path = Path(client.EMBEDDED_HOST.removeprefix("unix://")).parent
    data: Path = Path("/var/lib/dockerfile-workshop")

    @property
    def socket(self) -> Path:
        """Where the engine listens."""
        return self.run / "docker.sock"

    @property
    def host(self) -> str:
        """The engine's address, in the DOCKER_HOST form."""
        return f"unix://{self.socket}"

    @property
    def pid_file(self) -> Path:
        """Where the daemon writes the number of its process."""
        return self.run / "docker.pid"

    @property
    def images(self) -> Path:
        """The engine's data root: images, containers, volumes and the build cache."""
        return self.data / "data"

    @property
    def settings(self) -> Path:
        """The engine's daemon.json. The image store is remembered in it."""
        return self.data / "daemon.json"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.data / "dockerd.log"

    @property
    def own_docker0(self) -> Path:
        """There while the bridge docker0 is one that this engine made; gone after a reboot."""
        return self.run / "docker0-is-ours"


OWN = Folders()


def ensure(store: Store | None = None) -> str:
    """The host of a working engine; starts the embedded one when none answers.

    Asks before it installs anything, where a person is there to ask. Raises WorkshopError
    when there is no engine and none can be started, or when ``store`` is given and the
    engine that answers has another one.
    """
    client.forget()
    start(store)
    return client.host()


def start(store: Store | None = None) -> None:
    """Install what is missing and start the embedded engine, or use one that answers.

    Without ``store`` the engine has the image store that it had before. Raises WorkshopError.
    """
    # This raises when an engine was chosen that does not answer, or one is there that is locked.
    host = client.find()
    if host:
        _refuse_another_store(host, store)
        return
    reason = _why_not()
    if reason:
        raise WorkshopError(
            "No Docker engine answers. Tried: " + ", ".join(client.candidates()) + f". {reason}",
            client.INSTALL_DOCKER,
        )
    if not _has_packages():
        console.say("No Docker engine answers.")
        _install()
        client.forget()
        host = client.find()
        if host:
            _refuse_another_store(host, store)
            return
    launch(OWN, store)
    client.forget()


def launch(folders: Folders = OWN, store: Store | None = None) -> None:
    """Start the daemon in ``folders`` and wait until it answers; its packages must be there.

    Raises WorkshopError with the end of its log when it doesn't come up.
    """
    # Two at once would each take the other one's files for those of a killed engine.
    starting = FileLock(state_folder() / "engine.lock")
    with starting, console.step("Starting the tutorial's own Docker engine"):
        if not _daemons(folders):
            _forget_a_killed_engine(folders)
            _launch(folders, store or remembered_store(folders) or DEFAULT_STORE)
        deadline = time.monotonic() + START_S
        # One that is root's, as the daemon makes it, would never answer a user with sudo.
        while not (_make_private(folders.socket) and client.answers(folders.host)):
            if time.monotonic() > deadline or (
                time.monotonic() > deadline - START_S + 5 and not _daemons(folders)
            ):
                tail = root.run("tail", "-n", "8", str(folders.log)).strip()
                raise WorkshopError(
                    f"The engine did not start. The end of {folders.log}:\n{tail}",
                    "Repair what the log names, or start an engine of your own.",
                )
            time.sleep(0.2)


def _make_private(path: Path) -> bool:
    """Give a socket to this user alone, because others would be root by it; false if not there."""
    try:
        found = path.stat()
    except OSError:
        return False
    if (found.st_uid, found.st_mode & 0o777) != (os.getuid(), 0o600):
        root.run("chown", f"{os.getuid()}:{os.getgid()}", str(path))
        root.run("chmod", "0600", str(path))
    return True


def stop(folders: Folders = OWN) -> bool:
    """End the embedded engine and take its mounts, interfaces and firewall rules away.

    Returns False when it was not running. Containers in it are stopped with it; its images
    and build cache stay in the data folder. Raises WorkshopError, and removes nothing, when
    the process of the engine does not end, however long it has been silent.
    """
    if not folders.run.exists() and not folders.data.exists():
        return False
    pids = _daemons(folders)
    for pid in pids:
        with suppress(WorkshopError):  # it ended just now
            root.run("sh", "-c", f"kill -TERM {pid}")  # kill is no program everywhere
    deadline = time.monotonic() + END_S
    while pids and (_daemons(folders) or _helpers(folders)) and time.monotonic() < deadline:
        time.sleep(0.1)
    _refuse_while_it_runs(folders)
    if sys.platform == "linux":
        _take_down(folders)
    client.forget()
    return bool(pids)


def remove_data(folders: Folders = OWN) -> None:
    """Delete the stopped engine's data folder: its images, containers and cache.

    Raises WorkshopError, and removes nothing, while a process of the engine runs or
    something is mounted in the folder.
    """
    if not folders.data.exists():
        return
    _refuse_while_it_runs(folders)
    mounted = _mounts(folders)
    if mounted:
        raise WorkshopError(
            f"{mounted[0]} is still mounted, so nothing was removed.",
            "Run `uv run workshop engine stop`, then try again.",
        )
    root.run("rm", "-rf", "--one-file-system", str(folders.data))


def status() -> tuple[str | None, str]:
    """The engine's host, or None, and a sentence about it."""
    host = client.find()
    if host is None:
        return None, "No Docker engine answers. Tried: " + ", ".join(client.candidates()) + "."
    version = client.connect().version()["Version"]
    whose = "the tutorial's own" if host == client.EMBEDDED_HOST else "found on this machine"
    return host, f"Docker Engine {version}, {whose}, at {host}."


# The image store


def prune(what: str, *filters: str) -> None:
    """Empty a cache of the builds on the engine in use; ``what`` says which one.

    A person at a terminal is asked where the engine is not the tutorial's own. Raises
    WorkshopError when they say no.
    """
    question = f"This empties {what} on {client.host()}, also for your other projects. Go on?"
    if client.host() != client.EMBEDDED_HOST and not console.agrees(question, unasked=True):
        raise WorkshopError(
            "Nothing was emptied, and without that there is nothing to measure or to record.",
            "Take an engine of its own for it: `uv run workshop engine start`.",
        )
    console.say(f"… Emptying {what} on this engine")
    options = [word for each in filters for word in ("--filter", each)] or ["--all"]
    client.run_cli("builder", "prune", "--force", *options)


def remembered_store(folders: Folders = OWN) -> Store | None:
    """The image store that this engine had when it was last started; None before that."""
    settings = _read_settings(folders.settings)
    if not settings:
        return None
    features = settings.get("features", {})
    return "containerd" if features.get("containerd-snapshotter") else "classic"


def store_of(engine: docker.DockerClient) -> Store:
    """The image store of an engine that runs."""
    drivers = engine.info().get("DriverStatus") or []
    containerd = ["driver-type", "io.containerd.snapshotter.v1"] in drivers
    return "containerd" if containerd else "classic"


def settings_for(store: Store, of_the_machine: dict[str, Any]) -> dict[str, Any]:
    """The embedded engine's daemon.json.

    ``of_the_machine`` is what /etc/docker/daemon.json says: mirrors, proxies and networks
    hold for this engine, too.
    """
    kept = {k: v for k, v in of_the_machine.items() if k not in _ON_THE_COMMAND_LINE}
    return {
        # Without a limit the build cache grows until the disk is full.
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": BUILD_CACHE}},
        **kept,
        "features": {**kept.get("features", {}), "containerd-snapshotter": store == "containerd"},
    }


def _read_settings(file: Path) -> dict[str, Any]:
    """A daemon.json, which only root may be able to read; empty if there is none."""
    if not file.exists():
        return {}
    try:
        return dict(json.loads(root.run("cat", str(file))))
    except (TypeError, ValueError) as error:
        raise WorkshopError(
            f"{file} is no daemon.json: {error}", "Correct or remove that file, then try again."
        ) from None


def _refuse_another_store(host: str, wanted: Store | None) -> None:
    if wanted is None:
        return
    has = store_of(client.connect())
    if has == wanted:
        return
    if host == OWN.host:
        fix = (
            f"Run `uv run workshop engine stop`, then `uv run workshop engine start --store "
            f"{wanted}`. Each store keeps its own images, so those of the other one come back with "
            f"it."
        )
    else:
        fix = "The tutorial does not change an engine that it did not start: its settings do that."
    raise WorkshopError(
        f"The engine at {host} runs with the {has} image store, not with {wanted}.", fix
    )


# Installing


def _why_not() -> str:
    """Why the embedded engine can't be had here, as a sentence; empty if it can."""
    if sys.platform != "linux" or _distribution() not in PACKAGES:
        return "The tutorial starts an engine of its own on Debian and Ubuntu only."
    return root.why_not("Starting one")


def _distribution() -> str:
    return apt.os_release().get("ID", "")


def _missing_tools() -> list[str]:
    """The packages of the commands that starting and stopping needs and that are not here."""
    folders = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
    return [
        package
        for name, package in TOOLS.items()
        if not any(Path(folder, name).exists() for folder in folders)
    ]


def _has_packages() -> bool:
    try:
        client.cli()
    except WorkshopError:
        return False
    return bool(_daemon()) and not _missing_tools()


def _daemon() -> str:
    """The program of the engine; empty if it is not installed."""
    return next((path for path in DAEMONS if Path(path).exists()), "")


def _install() -> None:
    release = apt.os_release()
    names = [*PACKAGES[release["ID"]], *_missing_tools()]
    options: list[str] = []
    if release["ID"] == "debian" and release.get("VERSION_ID") == "12":
        options = apt.options_for_debian_13(FROM_DEBIAN_13)
        names.append("runc")
    apt.install("Docker Engine, buildx and compose", names, options)


# The process


def _launch(folders: Folders, store: Store) -> None:
    for folder in (folders.run, folders.data):
        root.run("install", "-d", "-m", "0755", str(folder))
    settings = settings_for(store, _read_settings(Path("/etc/docker/daemon.json")))
    root.run("tee", str(folders.settings), given=json.dumps(settings, indent=2) + "\n")
    if "docker0" not in _interfaces():
        root.run("touch", str(folders.own_docker0))
    # Standard output goes to the log, not to a pipe that would hold the caller open.
    root.run(
        "start-stop-daemon", "--start", "--background", "--output", str(folders.log),
        "--pidfile", str(folders.pid_file), "--exec", _daemon(), "--",
        "--config-file", str(folders.settings), "--host", folders.host, "--group", "0",
        "--data-root", str(folders.images), "--exec-root", str(folders.run / "exec"),
        "--pidfile", str(folders.pid_file), "--mtu", str(_mtu()),
    )  # fmt: skip


def _commands() -> Iterator[tuple[int, list[str]]]:
    """Each process of this machine and the words of its command line.

    Raises WorkshopError where root's processes are hidden (proc mounted with hidepid).
    """
    if sys.platform == "linux" and not os.access("/proc/1/cmdline", os.R_OK):
        raise WorkshopError(
            "This machine hides root's processes from you, so it can't be seen whether the "
            "engine runs.",
            "Run the same command as root.",
        )
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended just now
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            yield int(folder.name), words


def _daemons(folders: Folders) -> list[int]:
    """The process of this engine, by its program and its data folder; empty if there is none.

    A pid file may be lost, or name what is another process by now; a ping says nothing
    about a daemon that is busy.
    """
    return [
        pid
        for pid, words in _commands()
        if Path(words[0]).name == "dockerd" and str(folders.images) in words
    ]


def _helpers(folders: Folders) -> list[int]:
    """Processes that a daemon started: containerd and the parents of its containers."""
    below = f"{folders.run}/exec/"
    return [
        pid
        for pid, words in _commands()
        if Path(words[0]).name.startswith("containerd")
        and any(word.startswith(below) for word in words)
    ]


def _another_engine_runs(folders: Folders) -> bool:
    """True when another Docker daemon runs in this network namespace, or may do so."""
    ours = os.stat("/proc/self/ns/net").st_ino
    for pid, words in _commands():
        if Path(words[0]).name == "dockerd" and str(folders.images) not in words:
            try:
                if os.stat(f"/proc/{pid}/ns/net").st_ino == ours:
                    return True
            except PermissionError:
                return True
            except OSError:
                continue
    return False


def _refuse_while_it_runs(folders: Folders) -> None:
    """Raise WorkshopError while a process of the engine runs."""
    daemons = _daemons(folders)
    if daemons:
        raise WorkshopError(
            f"The engine (process {daemons[0]}) has not ended, so nothing was removed.",
            "Wait, then run `uv run workshop engine stop` again. If it never ends: "
            f"`sudo kill -KILL {daemons[0]}`, then `uv run workshop engine start` and `stop`.",
        )
    left = _helpers(folders)
    if left:
        raise WorkshopError(
            f"The engine was killed, and its containers run on (process {left[0]}), "
            "so nothing was removed.",
            "`uv run workshop engine start` takes them over, then `engine stop` ends them.",
        )


def _forget_a_killed_engine(folders: Folders) -> None:
    """Remove the pid files that a killed engine left.

    A new daemon would take the engine for running, because the number in such a file may
    be another process's by now.
    """
    files = [folders.pid_file]
    if not _helpers(folders):
        files.append(folders.run / "exec/containerd/containerd.pid")
    root.run("rm", "-f", *map(str, files))


# The network


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _mtu() -> int:
    """The largest packet of the default route, in bytes: larger ones from containers hang."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            shown = root.run("ip", "-json", "link", "show", "dev", interface)
            return min(1500, int(json.loads(shown)[0]["mtu"]))
    return 1500


def _bridges(folders: Folders) -> list[str]:
    """The interfaces that this engine made for its networks.

    A network's interface is named br- and the first twelve digits of its id, which is in
    the engine's own file of networks. So the engine need not be asked.
    """
    networks = folders.images / "network/files/local-kv.db"
    known = ""
    with suppress(WorkshopError):  # no such file, or no network in it
        known = root.run("grep", "-aoE", "br-[0-9a-f]{12}", str(networks))
    bridges = [
        name
        for name in _interfaces()
        if re.fullmatch("br-[0-9a-f]{12}", name) and name in known.split()
    ]
    return bridges + (["docker0"] if folders.own_docker0.exists() else [])


def _mounts(folders: Folders) -> list[str]:
    """What is mounted in the engine's folders, the inner ones first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    ours = (f"{folders.run}/", f"{folders.data}/")
    return sorted((mount for mount in mounts if mount.startswith(ours)), reverse=True)


def _unmount(mount: str, folders: Folders) -> None:
    """Unmount ``mount``. What the engine ran may end a little later than the engine."""
    deadline = time.monotonic() + UNMOUNT_S
    while True:
        try:
            root.run("umount", mount)
            return
        except WorkshopError as error:
            if mount not in _mounts(folders):
                return
            if time.monotonic() > deadline:
                raise WorkshopError(
                    f"The engine has ended, and something still uses its files. {error.what}",
                    f"`sudo fuser --verbose --mount {mount}` says what. End it, then run "
                    "`uv run workshop engine stop` again.",
                ) from None
        time.sleep(0.2)


def _take_down(folders: Folders) -> None:
    """Remove what the ended engine left: mounts, interfaces, firewall rules, its run folder."""
    for mount in _mounts(folders):
        _unmount(mount, folders)
    bridges = _bridges(folders)
    for name in set(bridges) & set(_interfaces()):
        root.run("ip", "link", "delete", name)
    if bridges:
        firewall.remove(bridges, keep_chains=_another_engine_runs(folders))
    if folders.run.exists():
        root.run("rm", "-rf", "--one-file-system", str(folders.run))
