"""Which docker command line and which engine are used, found without either."""

import os

import pytest

from workshop.engine import client
from workshop.errors import WorkshopError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake commands are shell scripts")

BARE = """\
if [ "$1" = buildx ]; then echo "docker: 'buildx' is not a docker command." >&2; exit 1; fi
"""
WITH_BUILDX = 'if [ "$1" = buildx ]; then echo "buildx v0.0.0"; fi\n'
WITH_CONTEXT = """\
if [ "$1" = context ]; then
    echo '[{"Endpoints": {"docker": {"Host": "unix:///of/the/context.sock"}}}]'
fi
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with the docker commands given, in the order of PATH; returns their paths."""

    def make(*scripts):
        paths = []
        for number, script in enumerate(scripts):
            path = tmp_path / f"bin{number}" / "docker"
            path.parent.mkdir()
            path.write_text(f"#!/bin/sh\n{script}")
            path.chmod(0o755)
            paths.append(str(path))
        folders = [os.path.dirname(path) for path in paths] or [str(tmp_path)]
        monkeypatch.setenv("PATH", os.pathsep.join(folders))
        return paths

    monkeypatch.setattr(client, "USUAL_PLACES", ())
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    client.forget()
    yield make
    client.forget()


def test_the_first_cli_is_used_when_it_has_buildx(machine):
    first, _ = machine(WITH_BUILDX, WITH_BUILDX)
    assert client.cli() == first


def test_a_bare_client_is_passed_over_for_one_with_buildx(machine):
    _, second = machine(BARE, WITH_BUILDX)
    assert client.cli() == second


def test_the_usual_places_are_looked_into_after_path(machine, monkeypatch):
    bare, full = machine(BARE, WITH_BUILDX)
    monkeypatch.setenv("PATH", os.path.dirname(bare))
    monkeypatch.setattr(client, "USUAL_PLACES", (os.path.dirname(full),))
    assert client.clis() == [bare, full]
    assert client.cli() == full


def test_only_a_bare_client_is_an_error_that_names_the_package(machine):
    (bare,) = machine(BARE)
    with pytest.raises(WorkshopError) as caught:
        client.cli()
    assert caught.value.what.startswith(f"{bare} has no buildx plugin")
    assert "docker-buildx" in caught.value.fix


def test_no_client_at_all_is_an_error_that_says_what_to_install(machine):
    machine()
    with pytest.raises(WorkshopError) as caught:
        client.cli()
    assert caught.value.what == "There is no docker command line on this machine."
    assert caught.value.fix == client.INSTALL_DOCKER


def test_docker_host_is_the_only_candidate_where_it_is_set(machine, monkeypatch):
    machine(WITH_CONTEXT)
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere/else.sock")
    assert client.candidates() == ["unix:///somewhere/else.sock"]


def test_else_the_context_the_default_and_the_tutorials_own(machine):
    machine(WITH_CONTEXT)
    assert client.candidates() == [
        "unix:///of/the/context.sock",
        "unix:///var/run/docker.sock",
        client.EMBEDDED_HOST,
    ]


def test_without_a_client_there_are_still_candidates(machine):
    machine()
    assert client.candidates() == ["unix:///var/run/docker.sock", client.EMBEDDED_HOST]


@pytest.mark.parametrize("host", ["unix:///no/such.sock", "tcp://127.0.0.1:9", "nonsense://x"])
def test_nobody_answers_there(host):
    assert client.answers(host) is False


def test_no_engine_is_an_error_that_names_what_was_tried(machine, monkeypatch):
    machine(WITH_BUILDX)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    with pytest.raises(WorkshopError) as caught:
        client.host()
    assert "Tried: unix:///no/such.sock." in caught.value.what
    assert "workshop engine start" in caught.value.fix


def test_proxy_variables_are_passed_by_name_only(monkeypatch):
    for name in client.PROXIES:
        monkeypatch.delenv(name, raising=False)
    assert client.proxy_options("--env") == []
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.invalid")
    assert client.proxy_options("--build-arg") == ["--build-arg", "HTTPS_PROXY"]
