"""Another machine, as far as an engine can tell: a network namespace of its own.

A second Docker daemon beside the first one would flush the first one's firewall chains.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workshop.engine.embedded import Folders

LAUNCH, STOP = "embedded.launch(folders)", "print(embedded.stop(folders))"
CODE = """
import sys
from pathlib import Path
from workshop.engine import embedded
from workshop.errors import WorkshopError
folders = embedded.Folders(Path(sys.argv[1]), Path(sys.argv[2]))
try:
    {}
except WorkshopError as error:
    sys.exit(str(error))
"""


def traces(ident: str) -> set[str]:
    """Where this machine knows a container by its id: "cgroups", and "mounts" of any process."""
    found = {"cgroups"} if any(ident in path for path, *_ in os.walk("/sys/fs/cgroup")) else set()
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):  # a process that has just ended
            if ident in mounts.read_text():
                found.add("mounts")
    return found


class Machine:
    """A network namespace in which engines are started, as if it were another machine."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._undo: list[list[str]] = []

    def inside(self, *command: str) -> list[str]:
        """What runs ``command`` in the namespace. `ip netns exec` would hide the cgroups."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace to its end, whatever that is."""
        return subprocess.run(self.inside(*command), capture_output=True, text=True)

    def run(self, *command: str) -> str:
        """A command in the namespace, which must succeed; its output."""
        done = self.attempt(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str, folders: Folders) -> subprocess.CompletedProcess[str]:
        """Run a line of Python in the namespace, in which ``folders`` are the engine's."""
        return self.attempt(
            sys.executable, "-c", CODE.format(code), str(folders.run), str(folders.data)
        )

    def do(self, code: str, folders: Folders) -> str:
        """A line of Python, as ``python`` runs it, which must succeed; its output."""
        done = self.python(code, folders)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rules(self) -> list[str]:
        """The rules and chains of the firewall, of both families."""
        saved = self.run("iptables-save") + self.run("ip6tables-save")
        declared = [line.split()[0] for line in saved.splitlines() if line.startswith(":DOCKER")]
        return sorted([*declared, *(x for x in saved.splitlines() if x.startswith("-A"))])

    def interfaces(self) -> list[str]:
        """The names of the network interfaces."""
        shown = self.run("ip", "-brief", "link").splitlines()
        return sorted(line.split()[0].partition("@")[0] for line in shown)

    def reach_the_internet(self) -> str:
        """Join the namespace to this machine, which translates its addresses; returns its own."""
        # One of the 32,768 small networks of the range that is meant for tests: RFC 2544.
        first = int(ipaddress.ip_address("198.18.0.0"))
        network = ipaddress.ip_network((first + 4 * secrets.randbelow(2**15), 30))
        here, there = network.hosts()
        link = f"w{secrets.token_hex(3)}"
        on_host = [
            ["ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", self.name],
            ["ip", "address", "add", f"{here}/30", "dev", link],
            ["ip", "link", "set", link, "up"],
            ["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"],
        ]
        rules = [
            ["--table", "nat", "{}", "POSTROUTING", "-s", str(network), "-j", "MASQUERADE"],
            ["{}", "FORWARD", "--in-interface", link, "-j", "ACCEPT"],
            ["{}", "FORWARD", "--out-interface", link, "-j", "ACCEPT"],
        ]
        for command in on_host:
            subprocess.run(command, check=True)
        for rule in rules:
            filled = [word.format("--insert") for word in rule]
            subprocess.run(["iptables", "--wait", *filled], check=True)
            removed = [word.format("--delete") for word in rule]
            self._undo.append(["iptables", "--wait", *removed])
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{there}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", str(here))
        return str(there)

    def disconnect(self) -> None:
        """Take away what ``reach_the_internet`` set on this machine."""
        for command in self._undo:
            subprocess.run(command, check=True)
        self._undo.clear()


@contextmanager
def another_machine() -> Iterator[Machine]:
    """A Machine, which is gone afterwards."""
    name = f"workshop-test-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    machine = Machine(name)
    try:
        yield machine
    finally:
        machine.disconnect()
        subprocess.run(["ip", "netns", "delete", name], check=True)
