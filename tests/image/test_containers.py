"""Containers do what they are asked, and none stays behind."""

import pytest

from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.lesson.workspace import Workspace
from workshop.run import containers

pytestmark = pytest.mark.usefixtures("left_clean")

IMAGE = "python:3.13-slim"
SERVER = ("python", "-m", "http.server", "8000")


@pytest.fixture(autouse=True)
def none_left():
    """After every test, no container of this session is on the engine."""
    yield
    assert session.leftovers()["containers"] == []


# One command


def test_both_streams_and_the_status_are_kept_apart():
    done = containers.run(IMAGE, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.stdout, done.stderr, done.status) == ("out\n", "err\n", 3)
    assert done.lines == ["out"]
    assert done.text() == (
        "$ docker run --rm python:3.13-slim sh -c 'echo out; echo err >&2; exit 3'\n"
        "out\nerr\n(exit status 3)"
    )


def test_env_and_options_reach_the_container():
    done = containers.run(
        IMAGE, ["sh", "-c", 'echo "$A"; id -u'], env={"A": "b c"}, options=["--user", "1234"]
    )
    assert done.lines == ["b c", "1234"]
    assert "--env 'A=b c'" in done.text()


def test_a_command_that_is_not_there_is_the_commands_own_status():
    done = containers.run(IMAGE, ["no-such-command"])
    assert done.status == 127
    assert "no-such-command" in done.stderr


def test_an_image_that_is_not_there_is_an_error():
    with pytest.raises(WorkshopError, match="could not be started") as caught:
        containers.run("127.0.0.1:9/nothing:1")
    assert "127.0.0.1:9" in caught.value.what


def test_an_image_of_ours_that_is_not_there_is_asked_of_no_registry():
    name = f"{session.prefix()}/no-such-chapter"
    for ask in (containers.run, containers.start):
        with pytest.raises(WorkshopError, match=f"{name} is not there yet") as caught:
            ask(name)
        assert "first cell" in caught.value.fix


@pytest.mark.parametrize("timeout", [2, 0])
def test_a_container_that_takes_too_long_is_removed(timeout):
    # With 0 the engine has only just begun to make it.
    with pytest.raises(WorkshopError, match=f"still running after {timeout} seconds"):
        containers.run(IMAGE, ["sleep", "3600"], timeout=timeout)
    assert session.leftovers()["containers"] == []


# A container in the background


def test_a_port_is_published_on_this_machine_only():
    with containers.start(IMAGE, SERVER, port=8000) as running:
        if client.address() != "127.0.0.1":
            pytest.skip("a remote engine publishes on all its addresses")
        (mapped,) = running._container().ports["8000/tcp"]
        assert mapped == {"HostIp": "127.0.0.1", "HostPort": str(running.port)}
        assert running.url == f"http://127.0.0.1:{running.port}"
        assert running.get("/").status_code == 200
        assert f"ready at {running.url}" in running.text()
        assert "--publish 127.0.0.1::8000" in running.text()


def test_without_a_port_there_is_no_address():
    with (
        containers.start(IMAGE, ["sleep", "60"]) as running,
        pytest.raises(WorkshopError, match="publishes no port"),
    ):
        running.get("/")


def test_a_text_in_the_log_says_that_it_is_ready():
    script = "import time; time.sleep(1); print('now ready', flush=True); time.sleep(60)"
    with containers.start(IMAGE, ["python", "-c", script], ready="now ready") as running:
        assert "now ready" in running.logs()
        assert running.is_running()


@pytest.mark.parametrize("settings", [{"port": 8000}, {"ready": "never said"}])
def test_a_container_that_ends_at_once_gives_its_log(settings):
    with pytest.raises(WorkshopError) as caught:
        containers.start(IMAGE, ["sh", "-c", "echo a missing setting; exit 4"], **settings)
    assert "ended with exit status 4" in caught.value.what
    assert "a missing setting" in caught.value.what


def test_a_text_that_never_comes_is_an_error_with_the_log():
    with containers.start(IMAGE, ["sh", "-c", "echo hello; sleep 60"], ready="hello") as running:
        with pytest.raises(WorkshopError) as caught:
            running.wait_for("goodbye", timeout=1)
        assert "has not printed 'goodbye' within 1 seconds" in caught.value.what
        assert "hello" in caught.value.what


def test_starting_the_same_name_again_replaces_it():
    first = containers.start(IMAGE, ["sleep", "60"], name="same")
    with containers.start(IMAGE, ["sleep", "61"], name="same") as second:
        assert first.name == second.name == f"{session.prefix()}-same"
        assert session.leftovers()["containers"] == [second.name]
        assert second._container().attrs["Args"] == ["61"]


def test_exec_runs_inside():
    with containers.start(IMAGE, ["sleep", "60"]) as running:
        done = running.exec("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 5")
        assert (done.stdout, done.status) == ("sleep 60 ", 5)
        assert running.exec("id", "-un", user="nobody").stdout == "nobody\n"


@pytest.mark.parametrize(
    ("script", "status", "timeout"),
    [
        ("trap 'echo caught; exit 0' TERM; echo up; while :; do sleep 0.1; done", 0, 60),
        ("trap 'echo caught; exit 3' TERM; echo up; while :; do sleep 0.1; done", 3, 60),
        # It hears the signal long before it is killed, on a busy machine, too.
        ("trap 'echo caught' TERM; echo up; while :; do sleep 0.1; done", 137, 15),
    ],
)
def test_stop_gives_the_status_and_keeps_the_log(script, status, timeout):
    running = containers.start(IMAGE, ["sh", "-c", script], ready="up")
    ended = running.stop(timeout=timeout)
    assert ended.status == status
    assert running.last_logs == "up\ncaught\n"
    assert ended.words[:2] == ["docker", "stop"]
    assert ended.words[-2:] == [str(timeout), running.name]


def test_a_container_that_is_gone_is_an_error_and_no_harm():
    running = containers.start(IMAGE, ["sleep", "60"])
    running.remove()
    running.remove()
    with pytest.raises(WorkshopError, match="This container is gone"):
        running.logs()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_removes_the_container(error):
    running = containers.start(IMAGE, ["sleep", "60"])
    with pytest.raises(error), running:
        raise error("in the middle of a cell")


def test_what_a_process_started_goes_when_it_ends():
    containers.start(IMAGE, ["sleep", "60"])
    containers.start(IMAGE, ["sleep", "60"])
    assert len(session.leftovers()["containers"]) == 2
    containers.remove_all()


# A chapter's containers and network


def test_containers_of_a_network_find_each_other_and_go_with_it():
    ws = Workspace("test-network")
    name = ws.network()
    assert session.leftovers()["networks"] == [name]
    options = ["--network", name, "--network-alias", "web"]
    env = {"PYTHONUNBUFFERED": "1"}
    ws.start(*SERVER, image=IMAGE, name="web", options=options, env=env, ready="Serving")
    script = "import urllib.request as u; print(u.urlopen('http://web:8000/').status)"
    done = ws.run("python", "-c", script, image=IMAGE, options=["--network", name])
    assert done.stdout == "200\n", done
    assert ws.network() == name  # made anew, its containers removed
    assert session.leftovers()["containers"] == []
    ws.remove_network(name)
    assert session.leftovers()["networks"] == []
    ws.remove_network(name)


def test_a_chapter_started_again_removes_what_a_killed_kernel_left():
    left = Workspace("test-killed").start("sleep", "3600", image=IMAGE)
    other = Workspace("test-killed-other").start("sleep", "3600", image=IMAGE)
    Workspace("test-killed")
    assert session.leftovers()["containers"] == [other.name]
    assert left.name == f"{session.prefix()}-test-killed-container"
    other.remove()


def test_volumes_of_a_container_go_with_it():
    before = {volume.name for volume in client.connect().volumes.list()}
    with containers.start(IMAGE, ["sleep", "60"], options=["--volume", "/data"]) as running:
        (mount,) = running._container().attrs["Mounts"]
        assert mount["Name"] not in before
    assert mount["Name"] not in {volume.name for volume in client.connect().volumes.list()}
