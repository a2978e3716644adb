"""Which docker command line and which engine are used, found without either."""

import json
import os

import listeners
import pytest

from workshop.engine import client, embedded
from workshop.errors import WorkshopError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake commands are shell scripts")

BARE = """\
if [ "$1" = buildx ]; then echo "docker: 'buildx' is not a docker command." >&2; exit 1; fi
"""
WITH_BUILDX = 'if [ "$1" = buildx ]; then echo "buildx v0.0.0"; fi\n'
WITH_CONTEXT = """\
if [ "$1" = context ]; then
    echo '[{"Name": "%s", "Endpoints": {"docker": {"Host": "%s", "SkipTLSVerify": %s}},
            "TLSMaterial": %s, "Storage": {"TLSPath": "%s"}}]'
fi
"""
WITHOUT_THE_CONTEXT = """\
if [ "$1" = context ]; then
    echo 'context "gone": context not found: open /…/meta.json: no such file' >&2; exit 1
fi
"""
NOWHERE = "unix:///no/such.sock"


def with_context(host, name="work", tls="", skip=False):
    material = {"docker": ["ca.pem", "cert.pem", "key.pem"]} if tls else {}
    return WITH_CONTEXT % (name, host, json.dumps(skip), json.dumps(material), tls)


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
    for name in client.ENGINE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
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
    machine(with_context("unix:///of/the/context.sock"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere/else.sock")
    assert client.candidates() == ["unix:///somewhere/else.sock"]


def test_a_context_that_was_chosen_is_the_only_candidate(machine):
    machine(with_context("unix:///of/the/context.sock"))
    assert client.candidates() == ["unix:///of/the/context.sock"]


@pytest.mark.parametrize(
    "script", [with_context("unix:///var/run/docker.sock", "default"), "echo not JSON", "exit 125"]
)
def test_without_a_choice_it_is_the_default_and_the_tutorials_own(machine, script):
    machine(script)
    assert client.candidates() == ["unix:///var/run/docker.sock", client.EMBEDDED_HOST]


def test_without_a_client_there_are_still_candidates(machine):
    machine()
    assert client.candidates() == ["unix:///var/run/docker.sock", client.EMBEDDED_HOST]


def test_a_context_that_is_gone_is_an_error_and_not_the_default(machine):
    machine(WITHOUT_THE_CONTEXT)
    with pytest.raises(WorkshopError, match='context "gone": context not found') as caught:
        client.find()
    assert "docker context use" in caught.value.fix


@pytest.mark.parametrize("host", [NOWHERE, "tcp://127.0.0.1:9", "nonsense://x"])
def test_nobody_answers_there(host):
    assert client.answers(host) is False


def test_no_engine_is_an_error_that_names_what_was_tried(machine, monkeypatch):
    machine(WITH_BUILDX)
    monkeypatch.setattr(client, "endpoints", lambda: [client.Endpoint(NOWHERE)])
    with pytest.raises(WorkshopError) as caught:
        client.host()
    assert f"Tried: {NOWHERE}." in caught.value.what
    assert "workshop engine start" in caught.value.fix


@pytest.mark.parametrize("by", ["DOCKER_HOST", "a context"])
def test_a_chosen_engine_that_is_dead_is_an_error_and_never_another_engine(
    machine, monkeypatch, by
):
    with listeners.listening(listeners.telling(listeners.DOCKER)) as alive:
        monkeypatch.setattr(client, "DEFAULT_HOST", alive)
        monkeypatch.setattr(embedded, "_launch", lambda: pytest.fail("the embedded one started"))
        machine(WITH_BUILDX if by == "DOCKER_HOST" else with_context(NOWHERE) + WITH_BUILDX)
        if by == "DOCKER_HOST":
            monkeypatch.setenv("DOCKER_HOST", NOWHERE)
        named = "DOCKER_HOST" if by == "DOCKER_HOST" else "the context work"
        for ask in (client.find, client.host, client.connect, embedded.start, embedded.ensure):
            with pytest.raises(WorkshopError) as caught:
                ask()
            assert caught.value.what == (
                f"The Docker engine at {NOWHERE} ({named}) does not answer: "
                "No such file or directory."
            )


def test_an_engine_that_you_may_not_use_is_not_absent(machine, monkeypatch):
    machine()
    with listeners.locked_socket() as host:
        monkeypatch.setattr(client, "DEFAULT_HOST", host)
        monkeypatch.setattr(client, "EMBEDDED", client.Endpoint(NOWHERE))
        for ask in (client.find, client.host, embedded.start, embedded.status):
            with pytest.raises(WorkshopError) as caught:
                ask()
            assert caught.value.what == (
                f"You may not use the Docker engine at {host}: permission denied."
            )
            assert "usermod -aG docker" in caught.value.fix


def test_an_engine_that_is_silent_is_not_absent(machine, monkeypatch):
    machine()
    monkeypatch.setattr(client, "ANSWER_S", 0.2)
    with listeners.silent_socket() as host:
        monkeypatch.setattr(client, "DEFAULT_HOST", host)
        monkeypatch.setattr(client, "EMBEDDED", client.Endpoint(NOWHERE))
        for ask in (client.find, client.host, embedded.start):
            with pytest.raises(WorkshopError, match=f"engine at {host} does not answer"):
                ask()


def test_a_locked_socket_is_no_obstacle_where_another_engine_answers(machine, monkeypatch):
    machine()
    with (
        listeners.listening(listeners.telling(listeners.DOCKER)) as alive,
        listeners.locked_socket() as locked,
    ):
        monkeypatch.setattr(client, "DEFAULT_HOST", locked)
        monkeypatch.setattr(client, "EMBEDDED", client.Endpoint(alive))
        assert client.find() == alive


@pytest.fixture
def company(monkeypatch, tmp_path):
    """The environment of a company: a proxy that nobody answers at, a bundle that is none."""
    (tmp_path / "bundle.pem").write_text("no certificate at all")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_tls_by_the_environment(machine, monkeypatch, tmp_path, company):
    files = listeners.certificates(tmp_path / "certificates")
    machine()
    with listeners.listening(listeners.telling(listeners.DOCKER), files) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(files))
        assert client.connect().version()["Version"] == "26.1.5"
        environment = client.environment()
        assert environment["DOCKER_HOST"] == host
        assert environment["DOCKER_TLS_VERIFY"] == "1"
        assert environment["DOCKER_CERT_PATH"] == str(files)


@pytest.mark.parametrize("skip", [False, True])
def test_tls_by_a_context(machine, monkeypatch, tmp_path, company, skip):
    files = listeners.certificates(tmp_path / "docker")
    # What these say is for DOCKER_HOST alone.
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nowhere")
    with listeners.listening(listeners.telling(listeners.DOCKER), files) as host:
        machine(with_context(host, tls=str(tmp_path), skip=skip))
        assert client.connect().version()["Version"] == "26.1.5"
        told = {n: v for n, v in client.environment().items() if n in client.ENGINE_VARIABLES}
        verify = "DOCKER_TLS" if skip else "DOCKER_TLS_VERIFY"
        assert told == {"DOCKER_HOST": host, verify: "1", "DOCKER_CERT_PATH": str(files)}


def test_what_is_wrong_with_tls_is_said(machine, monkeypatch, tmp_path):
    files = listeners.certificates(tmp_path / "certificates")
    foreign = listeners.certificates(tmp_path / "foreign")
    machine()

    def problem(host, verify="1", folder=files):
        monkeypatch.setenv("DOCKER_HOST", host)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", verify)
        monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))
        with pytest.raises(WorkshopError) as caught:
            client.find()
        return caught.value.what

    with listeners.listening(listeners.telling(listeners.DOCKER), files) as host:
        assert "does not vouch for" in problem(host, folder=foreign)
        assert f"are not in {tmp_path / 'none'}" in problem(host, folder=tmp_path / "none")
        (tmp_path / "alone").mkdir()
        (tmp_path / "alone" / "ca.pem").write_bytes((files / "ca.pem").read_bytes())
        assert "wants TLS, with a client certificate" in problem(host, folder=tmp_path / "alone")
    with listeners.listening(listeners.telling(listeners.DOCKER)) as host:
        assert "does not speak TLS" in problem(host)


def test_an_engine_over_ssh_says_what_it_takes(machine, monkeypatch):
    machine()
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@nowhere.invalid")
    with pytest.raises(WorkshopError, match="nowhere.invalid"):
        client.find()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("npipe:////./pipe/docker_engine", "127.0.0.1"),
        ("tcp://127.0.0.1:2375", "127.0.0.1"),
        ("tcp://localhost:2375", "127.0.0.1"),
        ("tcp://[::1]:2375", "127.0.0.1"),
        ("tcp://docker:2376", "docker"),
        ("tcp://192.0.2.7:2376", "192.0.2.7"),
        ("tcp://[2001:db8::7]:2376", "[2001:db8::7]"),
        ("ssh://me@build.example", "build.example"),
    ],
)
def test_where_published_ports_are(monkeypatch, host, address):
    monkeypatch.setattr(client, "in_use", lambda: client.Endpoint(host))
    assert client.address() == address


def test_the_command_line_passes_no_proxy_on_the_way_to_the_engine(monkeypatch):
    monkeypatch.setattr(client, "in_use", lambda: client.Endpoint("tcp://192.0.2.7:2376"))
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    assert client.environment()["NO_PROXY"] == "example.org,192.0.2.7"
    assert client.environment()["no_proxy"] == "192.0.2.7"


PODMAN = {
    "Version": "5.2.1",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Podman Engine", "Version": "5.2.1"}],
}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (listeners.DOCKER, None),
        ({**listeners.DOCKER, "Version": "dev"}, None),
        ({**listeners.DOCKER, "Version": "20.10.24+dfsg1", "ApiVersion": "1.41"}, "20.10.24+dfsg1"),
        (PODMAN, "Podman 5.2.1 answers"),
        ({"ApiVersion": "1.45"}, None),
    ],
)
def test_which_engines_will_do(machine, monkeypatch, told, said):
    machine()
    with listeners.listening(listeners.telling(told)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        if said is None:
            assert client.check_engine() == told
        else:
            with pytest.raises(WorkshopError, match="BuildKit|too old") as caught:
                client.check_engine()
            assert said in caught.value.what


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("github.com/docker/buildx v0.13.1 788433953af1", "0.13.1"),
        ("github.com/docker/buildx 0.13.1+ds1-3 ", "0.13.1"),
        ("github.com/docker/buildx v0.30.0-desktop.1 abc", "0.30.0"),
        ("github.com/docker/buildx v1.0 abc", "1.0"),
        ("github.com/docker/buildx 0.0.0+unknown", "of unknown version"),
        ("", "of unknown version"),
        ("buildx, but not a number", "of unknown version"),
    ],
)
def test_the_version_of_buildx(machine, printed, version):
    machine(f'echo "{printed}"\n')
    assert client.plugin_version("buildx") == version


def test_the_version_of_compose(machine):
    machine('echo "Docker Compose version 2.26.1-4"\n')
    assert client.plugin_version("compose") == "2.26.1"


@pytest.mark.parametrize(
    ("plugin", "printed", "wanted"),
    [
        ("buildx", "github.com/docker/buildx v0.11.2 9872040", "buildx 0.12"),
        ("compose", "Docker Compose version v2.20.3", "compose 2.26"),
    ],
)
def test_a_plugin_that_is_too_old_is_an_error(machine, plugin, printed, wanted):
    (path,) = machine(f'echo "{printed}"\n')
    with pytest.raises(WorkshopError, match=f"{plugin} .* of {path} is too old to") as caught:
        client.plugin_version(plugin)
    assert caught.value.fix == f"Install {wanted} or newer."


def test_a_docker_without_compose_is_an_error(machine):
    (path,) = machine('[ "$1" = buildx ] || exit 1\n')
    with pytest.raises(WorkshopError, match=f"{path} has no compose plugin") as caught:
        client.plugin_version("compose")
    assert "docker-compose-plugin" in caught.value.fix


def test_proxy_variables_are_passed_by_name_only(monkeypatch):
    for name in client.PROXIES:
        monkeypatch.delenv(name, raising=False)
    assert client.proxy_options("--env") == []
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.invalid")
    assert client.proxy_options("--build-arg") == ["--build-arg", "HTTPS_PROXY"]
