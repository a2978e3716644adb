"""The embedded engine: an engine of the test's own, with its own folders and network namespace.

The engine that the other tests use is not touched.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from machines import LAUNCH, STOP, Machine

from workshop.bases import images, standin
from workshop.engine import client, embedded
from workshop.engine.embedded import Folders

pytestmark = pytest.mark.slow


def engine(folders: Folders) -> docker.DockerClient:
    return docker.DockerClient(base_url=folders.host, timeout=120)


def test_stop_leaves_the_readers_firewall_and_nothing_of_the_engine(
    machine: Machine, make: Callable[[], Folders]
) -> None:
    machine.run("iptables", "-A", "FORWARD", "-i", "br-lan", "-j", "ACCEPT")
    comment = ["-m", "comment", "--comment", "DOCKER and br-0123456789ab"]
    machine.run("iptables", "-A", "INPUT", "-p", "tcp", *comment, "-j", "ACCEPT")
    machine.run("ip6tables", "-A", "FORWARD", "-i", "br-lan", "-j", "ACCEPT")
    rules, interfaces = machine.rules(), machine.interfaces()

    folders = make()
    machine.do(LAUNCH, folders)
    network = engine(folders).networks.create("some-network")
    assert f"br-{network.id[:12]}" in machine.interfaces()
    drop = ["-s", "203.0.113.9/32", "-j", "DROP"]
    machine.run("iptables", "-I", "DOCKER-USER", *drop)
    assert len(machine.rules()) > len(rules) + 20

    assert machine.do(STOP, folders) == "True"
    assert machine.interfaces() == interfaces
    still_in_force = [
        ":DOCKER-USER",
        "-A FORWARD -j DOCKER-USER",
        "-A DOCKER-USER -s 203.0.113.9/32 -j DROP",
        "-A DOCKER-USER -j RETURN",
    ]
    assert machine.rules() == sorted([*rules, *still_in_force])
    assert not folders.run.exists()
    assert not embedded._mounts(folders)
    assert folders.images.is_dir()
    assert machine.do(STOP, folders) == "False"


def test_stop_leaves_the_chains_of_another_engine(
    machine: Machine, make: Callable[[], Folders]
) -> None:
    one, other = make(), make()
    machine.do(LAUNCH, one)
    machine.do(LAUNCH, other)
    network = engine(other).networks.create("some-network")
    before = [rule for rule in machine.rules() if network.id[:12] not in rule]
    machine.do(STOP, other)
    assert machine.rules() == before
    assert "docker0" in machine.interfaces()
    machine.do(STOP, one)
    assert machine.rules() == []


def test_only_who_started_the_engine_may_use_it(
    machine: Machine, make: Callable[[], Folders]
) -> None:
    folders = make()
    machine.do(LAUNCH, folders)
    seen = folders.socket.stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid) == (0o600, os.getuid())


def test_the_image_store_is_remembered(machine: Machine, make: Callable[[], Folders]) -> None:
    folders = make()
    machine.do("embedded.launch(folders, 'containerd')", folders)
    containerd = ["driver-type", "io.containerd.snapshotter.v1"]
    assert containerd in engine(folders).info()["DriverStatus"]
    machine.do(STOP, folders)
    machine.do(LAUNCH, folders)
    assert containerd in engine(folders).info()["DriverStatus"]
    machine.do(STOP, folders)
    machine.do("embedded.launch(folders, 'classic')", folders)
    assert containerd not in engine(folders).info()["DriverStatus"]


def test_the_build_cache_has_a_limit(machine: Machine, make: Callable[[], Folders]) -> None:
    folders = make()
    machine.do(LAUNCH, folders)
    shown = subprocess.run(
        [client.cli(), "buildx", "inspect", "default"],
        env={**client.environment(), "DOCKER_HOST": folders.host},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    kept = [line.split(":")[1].split() for line in shown.splitlines() if "Keep Bytes" in line]
    # The engine reads GB as units of 2**30 bytes.
    assert kept[-1] == [embedded.BUILD_CACHE.replace("GB", "GiB")], shown


def test_an_engine_that_does_not_end_keeps_its_files(
    machine: Machine, make: Callable[[], Folders]
) -> None:
    folders = make()
    machine.do(LAUNCH, folders)
    (pid,) = embedded._daemons(folders)
    mounts = embedded._mounts(folders)
    assert mounts
    os.kill(pid, signal.SIGSTOP)
    stopped = machine.python(f"embedded.END_S = 0; {STOP}", folders)
    assert f"The engine (process {pid}) has not ended" in stopped.stderr
    assert "nothing was removed" in stopped.stderr
    removed = machine.python("embedded.remove_data(folders)", folders)
    assert "nothing was removed" in removed.stderr
    assert embedded._mounts(folders) == mounts
    assert folders.socket.is_socket()

    os.kill(pid, signal.SIGCONT)
    machine.do(STOP, folders)
    machine.do("embedded.remove_data(folders)", folders)
    assert not folders.data.exists()


def test_the_containers_of_a_killed_engine_are_not_forgotten(
    machine: Machine, make: Callable[[], Folders]
) -> None:
    (python,) = images.ensure([images.BASE_IMAGES[0]])
    folders = make()
    machine.do(LAUNCH, folders)
    archive = client.connect().api.get_image(python.name)
    engine(folders).api.load_image(archive)
    engine(folders).containers.run(
        python.name, ["sleep", "infinity"], detach=True, network_mode="none", stop_signal="KILL"
    )
    (pid,) = embedded._daemons(folders)
    os.kill(pid, signal.SIGKILL)

    stopped = machine.python(STOP, folders)
    assert "The engine was killed, and its containers run on" in stopped.stderr
    assert embedded._mounts(folders)
    removed = machine.python("embedded.remove_data(folders)", folders)
    assert "nothing was removed" in removed.stderr

    machine.do(LAUNCH, folders)
    machine.do(STOP, folders)
    assert not embedded._helpers(folders)
    assert not folders.run.exists()


@pytest.mark.parametrize("store", embedded.STORES)
def test_a_kept_stand_in_loads_on_each_store(
    store: embedded.Store,
    machine: Machine,
    make: Callable[[], Folders],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    name = images.BASE_IMAGES[0]
    (kept,) = images.ensure([name])
    api = client.connect().api
    if not kept.stand_in:
        pytest.skip("the official image is here, so no stand-in was kept")
    api.tag(name, *standin.private(name).split(":"))
    standin._keep(name)
    api.remove_image(standin.private(name))

    folders = make()
    machine.do(f"embedded.launch(folders, {store!r})", folders)
    monkeypatch.setenv("DOCKER_HOST", folders.host)
    client.forget()
    try:
        assert standin._load(name)
        (loaded,) = images.ensure([name])
        image = client.connect().images.get(name)
    finally:
        client.connect().close()
        monkeypatch.undo()
        client.forget()
    assert image.tags == [name]
    assert (loaded.stand_in, loaded.size) == (True, kept.size)
