"""The base images: how they come to the engine, and that they behave like the official ones.

On a real engine. Pulling is tried against a registry, started here. The first run may take
minutes, when a base image has to be made. Nothing of these tests stays.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import zstandard
from waiting import wait_for

from workshop.bases import images, pull, standin
from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.layers.sources import of_image

PYTHON, POSTGRES, REDIS, REGISTRY, DOCKER = images.BASE_IMAGES
PASSWORD = "not-a-secret"

ENSURE = """
import sys
from workshop.bases import images
print(images.ensure(sys.argv[1:])[0].source)
"""


# Pulling


def packed(files: dict[str, bytes]) -> bytes:
    """An archive of programs, by path."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of an empty registry, as ``127.0.0.1:PORT``.

    It runs in a container, because that address is the engine's, wherever the engine is.
    """
    images.ensure([REGISTRY])
    container = client.connect().containers.run(
        REGISTRY,
        detach=True,
        network_mode="host",
        environment={"REGISTRY_HTTP_ADDR": "127.0.0.1:0"},
        labels=session.labels(),
    )
    try:
        for line in container.logs(stream=True, follow=True):
            if listening := re.search(rb"listening on (127\.0\.0\.1:\d+)", line):
                yield listening[1].decode()
                break
        else:
            pytest.fail(container.logs().decode())
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, so that the reader's record stays as it is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def tiny() -> Iterator[Callable[[str], str]]:
    """Makes an image of one small file under the given name; removes those at the end."""
    made: list[str] = []

    def make(name: str) -> str:
        repository, _, tag = name.rpartition(":")
        made.append(name)
        client.connect().api.import_image_from_data(
            packed({"name": name.encode()}), repository, tag
        )
        return str(client.connect().images.get(name).id)

    yield make
    for name in made:
        forget(name)


def forget(name: str) -> None:
    try:
        client.connect().api.remove_image(name, force=True)
    except docker.errors.ImageNotFound:
        return


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no image has, on this engine or in any registry."""
    unique = f"workshop-test-{secrets.token_hex(6)}:1"
    yield unique
    forget(unique)


@pytest.fixture
def in_registry(registry: str, name: str, tiny: Callable[[str], str]) -> str:
    """``name``, in the registry under library/ and not on the engine."""
    full = f"{registry}/library/{name}"
    tiny(full)
    repository, _, tag = full.rpartition(":")
    pushed = client.connect().images.push(repository, tag)
    assert '"error"' not in pushed
    forget(full)
    return name


def test_an_image_is_pulled_from_the_mirror_once(
    registry: str,
    in_registry: str,
    own_state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORKSHOP_REGISTRY", registry)
    (pulled,) = images.ensure([in_registry])
    assert (pulled.name, pulled.source, pulled.stand_in) == (in_registry, "pulled", False)
    assert pulled.size == len(f"{registry}/library/{in_registry}")
    assert client.connect().images.get(in_registry).tags == [in_registry]
    assert f"✔ {in_registry}: pulled" in capsys.readouterr().err

    (present,) = images.ensure([in_registry])
    assert (present.source, present.id) == ("present", pulled.id)
    assert capsys.readouterr().err == f"✔ {in_registry}: present (0 MB)\n"


def test_what_was_pulled_can_be_removed_and_nothing_else(
    registry: str,
    in_registry: str,
    own_state: Path,
    tiny: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The base images of this engine are not the test's to remove.
    monkeypatch.setattr(standin, "BUILDS", {})
    monkeypatch.setattr(standin, "DEBIAN_BASE", "workshop-test-none:1")
    monkeypatch.setenv("WORKSHOP_REGISTRY", registry)
    images.ensure([in_registry])
    assert images.remove() == [in_registry]
    assert not images.is_present(in_registry)

    images.ensure([in_registry])
    forget(in_registry)
    another = tiny(in_registry)
    assert images.remove() == []
    assert client.connect().images.get(in_registry).id == another


def test_of_two_processes_one_pulls(registry: str, in_registry: str, own_state: Path) -> None:
    environment = {**os.environ, "WORKSHOP_REGISTRY": registry, "DOCKER_HOST": client.host()}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, in_registry],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert sorted(out.strip() for out, _ in said) == ["present", "pulled"], said


def test_a_name_that_the_registry_lacks(
    registry: str, name: str, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_REGISTRY", registry)
    with pytest.raises(WorkshopError, match=f"registry {registry} has no .*{name}") as caught:
        images.ensure([name])
    assert "Check the name" in caught.value.fix
    assert not images.is_present(name)


def test_a_registry_out_of_reach(
    name: str, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = "127.0.0.1:1"
    monkeypatch.setenv("WORKSHOP_REGISTRY", closed)
    with pytest.raises(WorkshopError, match=f"registry {closed} is out of reach") as caught:
        images.ensure([name])
    assert "connection refused" in caught.value.what
    assert f"WORKSHOP_REGISTRY={closed}" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("write /layer: no space left on device", "disk of the engine is full", "Free some space"),
        ("tls: failed to verify certificate: x509: unknown authority", "not trust", "CA certifica"),
        ("dial tcp: lookup mirror on 10.0.0.1:53: no such host", "is out of reach", "network"),
        (
            "toomanyrequests: You have reached your pull rate limit",
            "too many pulls",
            "docker login",
        ),
        ("server gave HTTP response to HTTPS client", "plain HTTP", "insecure-registries"),
        ("pull access denied, repository does not exist", "has no x:1", "docker login"),
        ("something new", "docker pull x:1 failed: something new", "closer"),
    ],
)
def test_each_failure_of_a_pull_has_words_of_its_own(text: str, what: str, fix: str) -> None:
    problem = pull.pull_problem("x:1", "mirror", text)
    assert what in problem.what
    assert fix in problem.fix


# Stand-ins and their archives


@pytest.fixture
def recipe(
    name: str, tmp_path: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A recipe for a stand-in of one file under ``name``; the file that goes into it."""
    folder = tmp_path / "recipes"
    (folder / "debian").mkdir(parents=True)
    repository = name.partition(":")[0]
    content = folder / f"{repository}.txt"
    content.write_text("first\n")
    (folder / f"{repository}.Dockerfile").write_text(
        f"FROM scratch\nCOPY {content.name} /\nLABEL {standin.LABEL}=true\n"
    )
    monkeypatch.setattr(standin, "_RECIPES", folder)
    monkeypatch.setattr(standin, "BUILDS", {name: "Building a stand-in of one file"})
    monkeypatch.setattr(standin, "_make_debian", lambda: None)
    yield content
    forget(standin.private(name))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stand-ins that were built, and not loaded."""
    names: list[str] = []
    build = standin._build

    def recorded(name: str) -> None:
        names.append(name)
        build(name)

    monkeypatch.setattr(standin, "_build", recorded)
    return names


@pytest.mark.slow
def test_a_stand_in_is_built_once_and_then_loaded(
    recipe: Path, name: str, built: list[str]
) -> None:
    standin.make([name])
    first = client.connect().images.get(name)
    assert first.tags == [name]
    assert built == [name]

    forget(name)
    standin.make([name])
    again = client.connect().images.get(name)
    assert again.tags == [name]
    assert standin.is_one(again)
    for image in (name, str(first.id)):
        assert of_image(image, client=client.connect()).size == len("first\n")
    assert built == [name]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "changed", "another image"])
def test_a_damaged_archive_is_made_anew(
    recipe: Path,
    name: str,
    built: list[str],
    damage: str,
    capsys: pytest.CaptureFixture[str],
    tiny: Callable[[str], str],
) -> None:
    standin.make([name])
    forget(name)
    kept = standin.archive(name)
    content = bytearray(kept.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "changed":
        content[len(content) // 2] ^= 1
    else:
        other = f"{name}-other"
        tiny(other)
        content[:] = zstandard.compress(b"".join(client.connect().images.get(other).save()))
    kept.write_bytes(content)

    standin.make([name])
    assert built == [name, name]
    assert f"{kept} is damaged, so the stand-in is made anew" in capsys.readouterr().err
    forget(name)
    standin.make([name])
    assert built == [name, name]


@pytest.mark.slow
def test_a_new_recipe_takes_the_place_of_the_old_one(
    recipe: Path, name: str, built: list[str]
) -> None:
    standin.make([name])
    old = standin.archive(name)
    forget(name)
    recipe.write_text("second\n")
    standin.make([name])
    assert built == [name, name]
    assert list(old.parent.iterdir()) == [standin.archive(name)]
    standin.remove_archives()
    assert not old.parent.exists()


@pytest.mark.slow
def test_a_pulled_image_is_never_overwritten(
    recipe: Path, name: str, tiny: Callable[[str], str]
) -> None:
    official = tiny(name)
    for _ in ("built", "loaded"):
        standin.make([name])
        assert client.connect().images.get(name).id == official
    assert standin.archive(name).exists()
    assert pull.on_engine(standin.private(name)) is None


@pytest.mark.slow
def test_a_question_to_debian_without_an_answer_leaves_no_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images.ensure([PYTHON])
    monkeypatch.setattr(standin, "DEBIAN_BASE", PYTHON)
    assert standin._ask_debian("echo 3.13.5; echo unasked >&2") == "3.13.5\n"
    with pytest.raises(WorkshopError, match="failed: no such package"):
        standin._ask_debian("echo no such package >&2; exit 100")
    monkeypatch.setattr(standin, "_LOOK_UP_S", 1.0)
    with pytest.raises(WorkshopError, match="did not end within 1 second"):
        standin._ask_debian("sleep infinity")
    assert session.leftovers()["containers"] == []


# What the base images are like


def run(image: str, *command: str, **options: object) -> tuple[int, str]:
    """Run one command in a container that is removed after; its exit status and output."""
    container = client.connect().containers.run(
        image, list(command), detach=True, labels=session.labels(), **options
    )
    try:
        status = container.wait(timeout=300)["StatusCode"]
        return status, container.logs().decode()
    finally:
        container.remove(force=True, v=True)


def sh(script: str) -> str:
    """The output of a shell script in the Python base image; it must succeed."""
    status, output = run(PYTHON, "sh", "-euc", script)
    assert status == 0, output
    return output.strip()


@pytest.fixture(scope="module")
def python() -> images.Base:
    return images.ensure([PYTHON])[0]


@pytest.fixture(scope="module")
def postgres() -> images.Base:
    return images.ensure([POSTGRES])[0]


@pytest.mark.slow
@pytest.mark.usefixtures("python")
class TestPython:
    def test_version(self) -> None:
        assert sh("python -V").startswith("Python 3.13.")
        assert sh("python3 -V") == sh('echo "Python $PYTHON_VERSION"')
        names = ("python", "pip", "python3-config", "idle", "pydoc")
        found = sh(f"for name in {' '.join(names)}; do command -v $name; done")
        assert found.split() == [f"/usr/local/bin/{name}" for name in names]

    def test_it_starts_python(self) -> None:
        config = client.connect().images.get(PYTHON).attrs["Config"]
        assert config["Cmd"] == ["python3"]
        assert not config["Entrypoint"]
        assert not config["User"]

    def test_the_standard_library_is_whole(self) -> None:
        modules = (
            "bz2 ctypes curses dbm.gnu decimal hashlib lzma readline sqlite3 ssl uuid venv zlib "
            "zoneinfo ensurepip"
        )
        sh(f"python -c 'import {', '.join(modules.split())}; hashlib.scrypt'")
        assert sh("python -c 'import zoneinfo; print(zoneinfo.ZoneInfo(\"Europe/Paris\"))'")

    def test_pip_is_there(self) -> None:
        assert int(sh("pip --version").split()[1].split(".")[0]) >= 24

    def test_no_bytecode(self) -> None:
        assert sh("find /usr/local/lib -name '*.pyc' | wc -l") == "0"

    def test_no_static_library_and_no_tests(self) -> None:
        assert sh("find /usr/local -name '*.a' -o -path '/usr/local/lib/*/test' -prune") == ""

    def test_headers_but_no_compiler(self) -> None:
        assert sh("ls /usr/local/include/python3.13/Python.h; command -v gcc || true") == (
            "/usr/local/include/python3.13/Python.h"
        )

    def test_it_is_debian_13_without_docs(self) -> None:
        assert "VERSION_CODENAME=trixie" in sh("cat /etc/os-release")
        # Files that are not licences.
        assert sh("find /usr/share/man /usr/share/locale -type f | wc -l") == "0"
        assert sh("find /usr/share/doc -type f ! -name copyright | wc -l") == "0"

    def test_apt_leaves_nothing_but_what_it_installs(self) -> None:
        assert sh("find /var/lib/apt/lists /var/cache/apt -type f | grep -v lock || true") == ""
        sh(
            "apt-get update; apt-get install -y --no-install-recommends libpq5; "
            "test -e /usr/lib/*/libpq.so.5; "
            "test -z \"$(find /var/cache/apt -name '*.deb' -o -name '*.bin')\""
        )

    def test_pip_reaches_the_index(self) -> None:
        assert "six" in sh("pip download --no-deps --dest /tmp six")

    def test_few_layers(self) -> None:
        assert len(client.connect().images.get(PYTHON).attrs["RootFS"]["Layers"]) == 4

    def test_size_of_a_stand_in(self, python: images.Base) -> None:
        if not python.stand_in:
            pytest.skip("the official image's size is not ours to check")
        assert 100e6 < python.size < 140e6


def until_ready(container: docker.models.containers.Container) -> None:
    """Wait until PostgreSQL answers on TCP; fail when its container has ended instead."""

    def is_ready() -> bool:
        container.reload()
        assert container.status == "running", container.logs().decode()
        return container.exec_run("pg_isready --host 127.0.0.1").exit_code == 0

    wait_for(is_ready, 300)


@pytest.fixture
def server(postgres: images.Base) -> Iterator[docker.models.containers.Container]:
    """A started PostgreSQL with a user and a database of its own, ready on TCP."""
    container = client.connect().containers.run(
        POSTGRES,
        detach=True,
        labels=session.labels(),
        environment={
            "POSTGRES_PASSWORD": PASSWORD,
            "POSTGRES_USER": "reader",
            "POSTGRES_DB": "library",
        },
        ports={"5432/tcp": ("127.0.0.1", None)},
    )
    try:
        until_ready(container)
        yield container
    finally:
        container.remove(force=True, v=True)


@pytest.mark.slow
class TestPostgres:
    def query(self, container, password: str, sql: str) -> tuple[int, str]:
        # Over the container's own address: the official image trusts 127.0.0.1 inside it.
        done = container.exec_run(
            ["sh", "-c", 'psql -h "$(hostname -i)" -U reader -d library -tAc "$1"', "sh", sql],
            environment={"PGPASSWORD": password},
        )
        return done.exit_code, done.output.decode().strip()

    def test_it_answers_with_the_password_only(self, server) -> None:
        assert self.query(server, PASSWORD, "show server_encoding") == (0, "UTF8")
        assert self.query(server, PASSWORD, "show server_version_num")[1].startswith("17")
        status, output = self.query(server, "wrong", "select 1")
        assert status != 0
        assert "authentication failed" in output

    def test_it_is_process_1_and_not_root(self, server) -> None:
        assert server.exec_run("cat /proc/1/comm").output.strip() == b"postgres"
        assert server.exec_run("stat --format %u /proc/1").output.strip() == b"999"

    def test_it_listens_on_the_published_port(self, server) -> None:
        server.reload()
        (binding,) = server.ports["5432/tcp"]
        assert binding["HostIp"] == "127.0.0.1"
        assert int(binding["HostPort"]) > 0

    def test_it_keeps_its_data(self, server) -> None:
        assert self.query(server, PASSWORD, "create table kept ()")[0] == 0
        server.restart(timeout=10)
        until_ready(server)
        assert self.query(server, PASSWORD, "select count(*) from kept") == (0, "0")

    def test_it_stops_by_the_signal_and_is_not_killed(self, server) -> None:
        server.stop()
        server.reload()
        assert server.attrs["State"]["ExitCode"] == 0
        assert b"received fast shutdown request" in server.logs()

    def test_it_refuses_to_start_without_a_password(self, postgres: images.Base) -> None:
        status, output = run(POSTGRES)
        assert status == 1
        assert "POSTGRES_PASSWORD" in output

    def test_its_data_is_a_volume(self, postgres: images.Base) -> None:
        config = client.connect().images.get(POSTGRES).attrs["Config"]
        assert list(config["Volumes"]) == ["/var/lib/postgresql/data"]
        assert list(config["ExposedPorts"]) == ["5432/tcp"]
        assert config["StopSignal"] == "SIGINT"


class TestRegistry:
    def test_it_looks_like_the_official_one(self) -> None:
        images.ensure([REGISTRY])
        status, version = run(REGISTRY, "registry", "--version")
        config = client.connect().images.get(REGISTRY).attrs["Config"]
        assert config["Entrypoint"] == ["/entrypoint.sh"]
        assert list(config["Volumes"]) == ["/var/lib/registry"]
        assert list(config["ExposedPorts"]) == ["5000/tcp"]
        assert (status, "2.8." in version) == (0, True)


class TestDocker:
    def test_it_looks_like_the_official_one(self) -> None:
        images.ensure([DOCKER])
        config = client.connect().images.get(DOCKER).attrs["Config"]
        assert config["Entrypoint"] == ["dockerd-entrypoint.sh"]
        assert list(config["Volumes"]) == ["/var/lib/docker"]
        for program in ("docker", "dockerd"):
            status, version = run(DOCKER, program, "--version", privileged=True)
            assert (status, "Docker version 26.1." in version) == (0, True)

    def test_an_engine_runs_in_it(self) -> None:
        images.ensure([DOCKER])
        command = ["dockerd", "--host", "unix:///var/run/docker.sock"]
        container = client.connect().containers.run(
            DOCKER, command, detach=True, privileged=True, labels=session.labels()
        )
        try:
            wait_for(lambda: container.exec_run("docker info").exit_code == 0, 120)
        finally:
            container.remove(force=True, v=True)
