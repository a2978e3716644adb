"""The embedded engine without an engine: its settings, and its processes in the table of all."""

import os
import sys
from pathlib import Path

import pytest

from workshop import cli
from workshop.engine import client, embedded
from workshop.engine.embedded import Folders
from workshop.errors import WorkshopError
from workshop.show import console

FOLDERS = Folders(Path("/run/some"), Path("/var/lib/some"))
CONTAINERD = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
CLASSIC = {"DriverStatus": [["Backing Filesystem", "extfs"]]}


def test_the_settings_of_the_machine_hold_but_for_folders_and_socket() -> None:
    machine = {
        "registry-mirrors": ["https://mirror.example"],
        "features": {"buildkit": True},
        "hosts": ["tcp://0.0.0.0:2375"],
        "data-root": "/srv/docker",
    }
    assert embedded.settings_for("containerd", machine) == {
        "registry-mirrors": ["https://mirror.example"],
        "features": {"buildkit": True, "containerd-snapshotter": True},
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": embedded.BUILD_CACHE}},
    }


@pytest.mark.parametrize("store", embedded.STORES)
def test_the_store_is_read_back_from_the_settings(
    store: embedded.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_read_settings", lambda file: embedded.settings_for(store, {}))
    assert embedded.remembered_store(FOLDERS) == store


def test_before_the_first_start_no_store_is_remembered(tmp_path: Path) -> None:
    assert embedded.remembered_store(Folders(tmp_path, tmp_path)) is None


class _Engine:
    def __init__(self, info: dict[str, object]) -> None:
        self.info = lambda: info


@pytest.mark.parametrize(
    ("host", "fix"),
    [(embedded.OWN.host, "engine start --store containerd"), ("tcp://other:2375", "did not start")],
)
def test_a_running_engine_with_another_store_is_refused(
    host: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "find", lambda: host)
    monkeypatch.setattr(client, "connect", lambda: _Engine(CLASSIC))
    with pytest.raises(WorkshopError, match="runs with the classic image store") as refused:
        embedded.start("containerd")
    assert fix in refused.value.fix
    embedded.start("classic")
    embedded.start()
    monkeypatch.setattr(client, "connect", lambda: _Engine(CONTAINERD))
    embedded.start("containerd")


def test_store_belongs_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["engine", "stop", "--store", "classic"]) == 1
    assert "--store belongs to" in capsys.readouterr().err


def test_an_engine_is_known_by_program_and_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = str(FOLDERS.images), str(FOLDERS.run)
    table = [
        (1, ["/sbin/init", ""]),
        (2, [""]),  # a kernel's thread, or a process that has ended
        (3, ["/usr/sbin/dockerd", "--data-root", data, ""]),
        (4, ["/usr/sbin/dockerd", "--data-root", data + "2", ""]),
        (5, ["grep", "dockerd", data, ""]),
        (6, ["containerd", "--config", run + "/exec/containerd/containerd.toml", ""]),
        (7, ["/usr/bin/containerd-shim-runc-v2", "-address", run + "/exec/c.sock", ""]),
        (8, ["containerd", "--config", "/run/docker/containerd/containerd.toml", ""]),
    ]
    monkeypatch.setattr(embedded, "_commands", lambda: iter(table))
    assert embedded._daemons(FOLDERS) == [3]
    assert embedded._helpers(FOLDERS) == [6, 7]


def test_data_is_not_removed_while_a_process_of_the_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(tmp_path / "run", tmp_path / "data")
    folders.images.mkdir(parents=True)
    table = [(3, ["dockerd", "--data-root", str(folders.images)])]
    monkeypatch.setattr(embedded, "_commands", lambda: iter(table))
    with pytest.raises(WorkshopError, match="process 3.* has not ended, so nothing was removed"):
        embedded.remove_data(folders)
    assert folders.images.is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc elsewhere")
def test_where_processes_are_hidden_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(tmp_path / "run", tmp_path / "data")
    folders.images.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(WorkshopError, match="hides root's processes"):
        embedded.stop(folders)
    assert folders.images.is_dir()


def test_the_socket_is_the_users_before_the_engine_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the daemon makes it, root alone may use it, and a user with sudo never gets an answer."""
    folders = Folders(tmp_path, tmp_path / "data")
    ran: list[str] = []

    def run(*command: str) -> str:
        ran.append(command[0])
        if command[0] == "chmod":
            folders.socket.chmod(int(command[1], 8))
        return ""

    def launched(folders: Folders, store: embedded.Store) -> None:
        folders.socket.write_text("")
        folders.socket.chmod(0o660)

    monkeypatch.setattr(embedded.root, "run", run)
    monkeypatch.setattr(embedded, "_daemons", lambda folders: [])
    monkeypatch.setattr(embedded, "_forget_a_killed_engine", lambda folders: None)
    monkeypatch.setattr(embedded, "_launch", launched)
    monkeypatch.setattr(
        client, "answers", lambda host: folders.socket.stat().st_mode & 0o777 == 0o600
    )
    embedded.launch(folders, "classic")
    assert ran == ["chown", "chmod"]


def test_an_engine_that_never_was_is_stopped_without_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded.root, "run", lambda *command: pytest.fail("root was asked for"))
    assert not embedded.stop(Folders(tmp_path / "run", tmp_path / "data"))


def test_what_is_still_in_use_is_unmounted_a_little_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = Folders(tmp_path / "run", tmp_path / "data")
    mount = f"{folders.data}/overlay"
    tries = []

    def umount(*command: str) -> str:
        tries.append(command)
        if len(tries) < 3:
            raise WorkshopError(f"umount {mount} failed: target is busy.")
        return ""

    monkeypatch.setattr(embedded, "_mounts", lambda folders: [mount])
    monkeypatch.setattr(embedded.root, "run", umount)
    embedded._unmount(mount, folders)
    assert tries == [("umount", mount)] * 3

    tries.clear()
    monkeypatch.setattr(embedded, "UNMOUNT_S", -1.0)
    with pytest.raises(WorkshopError, match="target is busy") as caught:
        embedded._unmount(mount, folders)
    assert f"fuser --verbose --mount {mount}" in caught.value.fix


@pytest.mark.parametrize(
    ("host", "answer", "is_emptied"),
    [
        (client.EMBEDDED_HOST, None, True),
        ("unix:///var/run/docker.sock", None, True),
        ("unix:///var/run/docker.sock", "y", True),
        ("unix:///var/run/docker.sock", "n", False),
        ("unix:///var/run/docker.sock", EOFError, False),
    ],
)
def test_a_cache_of_somebody_elses_engine_is_emptied_only_if_they_agree(
    monkeypatch: pytest.MonkeyPatch, host: str, answer: object, is_emptied: bool
) -> None:
    def asked(question: str) -> object:
        if answer is EOFError:
            raise EOFError
        return answer

    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(client, "host", lambda: host)
    monkeypatch.setattr(client, "run_cli", lambda *words: ran.append(words))
    monkeypatch.setattr(console, "a_person_is_there", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", asked)
    if is_emptied:
        embedded.prune("a cache", "type=exec.cachemount")
        assert ran == [("builder", "prune", "--force", "--filter", "type=exec.cachemount")]
    else:
        with pytest.raises(WorkshopError, match="Nothing was emptied"):
            embedded.prune("a cache")
        assert ran == []
