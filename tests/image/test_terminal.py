"""Commands of a terminal cell run as they are typed, and what they make can be cleaned up."""

import pytest
from waiting import wait_for

from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.lesson import terminal
from workshop.lesson.workspace import Workspace

pytestmark = pytest.mark.usefixtures("left_clean")

DOCKERFILE = "FROM python:3.13-slim\nRUN printf hello > /greeting\n"
NAP = "sleep 300"


@pytest.fixture(scope="module")
def ws():
    made = Workspace("test-terminal")
    made.write("Dockerfile", DOCKERFILE)
    made.terminal.run("docker build -t $IMAGE .")
    return made


@pytest.fixture(autouse=True)
def nothing_left(ws):
    """What a test starts is gone when the chapter starts again."""
    yield
    terminal.containers.remove_of(ws.chapter)
    left = session.leftovers()
    assert left["containers"] + left["networks"] + left["volumes"] == []


@pytest.fixture
def type_in(ws):
    return ws.terminal.run


def labels_of(kind, name):
    (found,) = {
        "container": lambda: [client.connect().containers.get(name).labels],
        "image": lambda: [client.connect().images.get(name).labels],
        "network": lambda: [client.connect().networks.get(name).attrs["Labels"]],
        "volume": lambda: [client.connect().volumes.get(name).attrs["Labels"]],
    }[kind]()
    return found


# What a command gives


def test_one_command_gives_both_streams_and_its_status(type_in):
    done = type_in("docker run --rm $IMAGE sh -c 'cat /greeting; echo no >&2; exit 3'")
    assert (done.stdout, done.stderr, done.status) == ("hello", "no\n", 3)
    assert done.text() == "hello\nno\n(exit status 3)"


def test_a_quiet_build_says_the_image_alone_and_keeps_the_steps(type_in):
    done = type_in("docker build -q -t $IMAGE .")
    assert done.text() == client.connect().images.get(done.build.tag).id
    assert done.build.step("printf hello").cached


def test_several_commands_are_told_apart_and_a_failed_one_stops_nothing(type_in):
    done = type_in("docker run --rm $IMAGE false\ndocker run --rm $IMAGE cat /greeting\n")
    assert [answer.status for answer in done] == [1, 0]
    assert done[1].lines == ["hello"]
    assert done.text().splitlines() == [
        "$ docker run --rm $IMAGE false",
        "(exit status 1)",
        "$ docker run --rm $IMAGE cat /greeting",
        "hello",
    ]


def test_an_exported_variable_is_there_in_the_cell_and_in_later_ones(type_in):
    assert type_in("export WORD=later\n").text() == ""
    done = type_in("export OTHER=$WORD\ndocker run --rm -e WORD $IMAGE sh -c 'echo $WORD' $OTHER")
    assert done.stdout == "later\n"


def test_what_a_command_prints_becomes_a_variable(type_in):
    done = type_in("export FOUND=$(docker run --rm $IMAGE cat /greeting)\necho $FOUND!")
    assert done.stdout == "hello!\n"
    with pytest.raises(WorkshopError, match="`docker run --rm .IMAGE false` failed"):
        type_in("export FOUND=$(docker run --rm $IMAGE false)")


def test_the_id_of_a_build_becomes_a_variable(type_in, ws):
    type_in("export MADE=$(docker build -q .)")
    # Another build does not take it away, and the chapter's end does.
    type_in("docker build -t $IMAGE .")
    assert type_in("docker run --rm $MADE cat /greeting").stdout == "hello"
    (name,) = set(session.tags(ws.tag)) - {f"{ws.tag}:latest"}
    type_in(f"docker image rm {name}")


def test_what_ran_before_a_mistake_is_shown(type_in, capsys):
    with pytest.raises(WorkshopError, match="is not set"):
        type_in("docker run --rm $IMAGE cat /greeting\ndocker run $NOTHING")
    assert "hello" in capsys.readouterr().out


def test_compose_names_its_project_after_the_reader(type_in, ws):
    ws.write("compose.yaml", "services: {one: {image: $IMAGE}}\n")
    told = type_in("docker compose config")
    assert told.lines[0] == f"name: {ws.terminal.variables['ME']}"


def test_it_runs_in_the_chapters_folder(type_in):
    assert type_in("python3 -c 'print(open(\"Dockerfile\").read())'").stdout == f"{DOCKERFILE}\n"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("docker ps | cat", "'|' is for a shell"),
        ("docker run $NOTHING", "$NOTHING is not set"),
        ("cd /tmp", "Every cell runs in the chapter's folder"),
        ("dokcer ps", "There is no program dokcer"),
        ("export A", "sets nothing"),
        ("# nothing", "holds no command"),
        ("docker build -t", "can't be read: argument -t/--tag: expected one argument"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(type_in, typed, says):
    with pytest.raises(WorkshopError) as error:
        type_in(typed)
    assert says in error.value.what


def test_nothing_runs_when_a_line_of_the_cell_cannot_be_read(type_in, ws):
    with pytest.raises(WorkshopError, match="is for a shell"):
        type_in("docker volume create $ME-first\ndocker ps | cat")
    assert session.volumes(ws.chapter) == []


def test_what_needs_a_keyboard_says_where_there_is_one(type_in):
    done = type_in("docker run --rm -it $IMAGE bash")
    assert (done.status, done.stderr) == (1, terminal.NO_KEYBOARD)


# Builds


def test_a_build_has_its_steps(type_in, ws):
    ws.write("Dockerfile", f"{DOCKERFILE}RUN printf more > /more\n")
    try:
        done = type_in("docker build -t $IMAGE .")
        assert done.build.steps[-1].instruction == "RUN printf more > /more"
        assert done.text().splitlines()[0] == "Steps of this build"
    finally:
        ws.write("Dockerfile", DOCKERFILE)
        type_in("docker build -t $IMAGE .")


def test_a_build_that_fails_has_a_status_and_keeps_the_image(type_in, ws):
    before = client.connect().images.get(ws.tag).id
    ws.write("Other", f"{DOCKERFILE}RUN exit 7\n")
    done = type_in("docker build -f Other -t $IMAGE .")
    assert (done.status, done.build) == (7, None)
    assert "[3/3] RUN exit 7" in done.stderr
    assert client.connect().images.get(ws.tag).id == before


def test_an_image_that_lost_its_name_is_removed(type_in, ws):
    for text in ("one", "two"):
        ws.write("Other", f"FROM python:3.13-slim\nENV WORD={text}\n")
        type_in("docker build -f Other -t $IMAGE:other .")
    assert len(session.tags(ws.tag)) == 2
    assert session._without_a_name() == []


# What is made


@pytest.mark.parametrize("run", ["run --detach", "container run --detach", "create"])
def test_a_container_is_the_chapters_and_has_a_name(type_in, ws, run):
    type_in(f"docker {run} $IMAGE {NAP}")
    (name,) = session.containers(ws.chapter)
    assert name.startswith(session.prefix())
    assert labels_of("container", name)[session.CHAPTER_LABEL] == ws.chapter


def test_a_container_with_a_name_of_its_own_is_found_too_and_replaced(type_in, ws):
    name = f"a-name-{session.ident()}"
    first = type_in(f"docker run --detach --name {name} $IMAGE {NAP}").stdout
    second = type_in(f"docker run --detach --name={name} $IMAGE {NAP}").stdout
    assert first != second
    assert session.containers() == session.containers(ws.chapter) == [name]


def test_somebody_elses_container_is_not_replaced(type_in, ws):
    name = f"not-ours-{session.ident()}"
    other = client.connect().containers.create(ws.tag, name=name)
    try:
        done = type_in(f"docker run --rm --name {name} $IMAGE true")
        assert (done.status, "already in use" in done.stderr) == (125, True)
        assert session.containers() == []
        other.reload()
    finally:
        other.remove()


def test_somebody_elses_container_outlives_a_command_that_is_given_up(type_in, ws, monkeypatch):
    monkeypatch.setattr(terminal, "LIMIT_S", 1.0)
    name = f"not-ours-{session.ident()}"
    other = client.connect().containers.create(ws.tag, name=name)
    try:
        with pytest.raises(WorkshopError, match="still running"):
            type_in(f"docker run $IMAGE sh -c '{NAP}' --name {name}")
        assert session.containers() == []
        other.reload()
    finally:
        other.remove()


def test_a_name_that_no_image_can_have_is_the_builders_to_refuse(type_in):
    done = type_in("docker build -t Mine .")
    assert (done.status, "must be lowercase" in done.stderr) == (1, True)


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_networks_and_volumes_are_the_chapters(type_in, ws, kind):
    for _ in range(2):  # a cell is run more than once
        assert type_in(f"docker {kind} create $ME-it").status == 0
    assert labels_of(kind, f"{ws.terminal.variables['ME']}-it") == session.labels(ws.chapter)


def test_an_image_of_ours_that_is_not_there_is_asked_of_no_registry(type_in):
    done = type_in("docker run --rm $IMAGE:none true")
    assert done.status == 125
    assert "No such image" in done.stderr


def test_exec_logs_and_stop_are_docker_s_own(type_in):
    type_in("docker run --detach --name $ME-web $IMAGE sh -c 'echo up; exec sleep 300'")
    assert type_in("docker exec $ME-web cat /greeting").stdout == "hello"
    wait_for(lambda: type_in("docker logs $ME-web").stdout == "up\n", 60)
    stopped = type_in("docker stop -t 0 $ME-web\ndocker inspect $ME-web -f {{.State.ExitCode}}")
    assert [answer.lines[0][-4:] for answer in stopped] == ["-web", "137"]


# Waiting


def test_waiting_for_success_and_for_a_text(ws, type_in):
    script = "'sleep 1; echo up; touch /up; exec sleep 300'"
    type_in(f"docker run --detach --name $ME-slow $IMAGE sh -c {script}")
    assert ws.terminal.wait_for("docker logs $ME-slow", "up").stdout == "up\n"
    assert ws.terminal.wait_for("docker exec $ME-slow test -e /up").status == 0


def test_what_never_comes_is_an_error_with_what_was_said(ws, monkeypatch):
    monkeypatch.setattr(terminal, "WAIT_S", 0.0)
    with pytest.raises(WorkshopError, match="not printed 'never'") as error:
        ws.terminal.wait_for("docker run --rm $IMAGE cat /greeting", "never")
    assert "hello" in error.value.what
    with pytest.raises(WorkshopError, match="holds 2"):
        ws.terminal.wait_for("docker ps\ndocker ps")


def test_a_command_that_takes_too_long_takes_its_container_along(type_in, monkeypatch):
    monkeypatch.setattr(terminal, "LIMIT_S", 1.0)
    with pytest.raises(WorkshopError, match="still running after 1 seconds"):
        type_in(f"docker run $IMAGE {NAP}")
    assert session.containers() == []  # without --rm, nobody else removes it


# A terminal of the reader's own


def test_what_a_reader_typed_elsewhere_is_found_by_its_name(ws):
    """In JupyterLab's terminal nothing is added to a command."""
    me = ws.terminal.variables["ME"]
    client.run_cli("network", "create", me)
    client.run_cli("volume", "create", f"{me}-media")
    client.run_cli("run", "--detach", "--name", f"{me}-web", ws.tag, *NAP.split())
    assert session.containers(ws.chapter) == [f"{me}-web"]
    assert session.networks(ws.chapter) == [me]
    assert session.volumes(ws.chapter) == [f"{me}-media"]
