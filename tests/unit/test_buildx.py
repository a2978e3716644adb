"""A build through a docker command line, and how a failed one is put into words."""

import os

import pytest
from builder_output import lines_of, log, one_line, pretty, vertex

from workshop.build import buildx, progress
from workshop.errors import WorkshopError

DOCKERFILE = "FROM a AS builder\nRUN 2\nRUN make all\n"


def failure_of(*parts, form=one_line, dockerfile=DOCKERFILE):
    return buildx._failure(*progress.follow(lines_of(*parts, form=form)), dockerfile, {})


# A build


def test_ran_cached_and_step_of_a_build():
    steps = [
        progress.Step("", 1, 3, "FROM a", None, 0.0),
        progress.Step("", 2, 3, "RUN b", True, 0.0),
        progress.Step("", 3, 3, "RUN bc", False, 1.0),
    ]
    built = buildx.Build("docker build .", "tag", steps, 1.0)
    assert (built.ran, built.cached) == (["RUN bc"], ["RUN b"])
    assert built.step("bc").number == 3
    with pytest.raises(WorkshopError, match="2 steps contain 'RUN'"):
        built.step("RUN")
    with pytest.raises(WorkshopError, match="0 steps contain 'COPY'"):
        built.step("COPY")
    assert built.text().splitlines()[0] == "$ docker build ."


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A docker command line that answers what it is told to, one answer a build."""
    answers, commands = tmp_path / "answers", tmp_path / "commands"
    program = tmp_path / "docker"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {commands}\n'
        f"n=$(wc -l < {commands})\n"
        f"[ ! -e {answers}/$n.done ] || {{ cat {answers}/$n.done >&2; exit 0; }}\n"
        f"[ -e {answers}/$n ] || exit 0\n"
        f"cat {answers}/$n >&2\nexit 1\n"
    )
    program.chmod(0o755)
    answers.mkdir()
    (tmp_path / "context").mkdir()
    # A slot of its own: no build of somebody else's is waited for, and no engine is asked.
    monkeypatch.setattr(buildx.slots, "_files", lambda: [tmp_path / "slot.lock"])
    monkeypatch.setattr(buildx.client, "cli", lambda: str(program))
    monkeypatch.setattr(buildx.client, "environment", lambda: dict(os.environ))
    return tmp_path


def build(engine, dockerfile="FROM a\n", words=("docker", "build", "-t", "t", "context")):
    (engine / "context" / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    return buildx.build_image(words, cwd=engine, labels={"whose": "mine"})


def builds(engine):
    done = engine / "commands"
    return done.read_text().splitlines() if done.exists() else []


DISTURBED = (
    'ERROR: failed to solve: failed to prepare extraction snapshot "extract-1 sha256:2": '
    "parent snapshot sha256:1 does not exist: not found\n"
)
NO_SHELL = pytest.mark.skipif(os.name == "nt", reason="the stand-in for docker is a shell script")


@NO_SHELL
def test_a_build_that_another_one_disturbed_is_done_again(engine):
    for number in (1, 2):
        (engine / "answers" / str(number)).write_text(DISTURBED)
    assert build(engine).tag == "t"
    assert len(builds(engine)) == 3


@NO_SHELL
def test_what_ran_before_a_build_was_disturbed_counts_as_ran(engine):
    first, again = engine / "answers" / "1", engine / "answers" / "2.done"
    ran = lines_of(vertex("[2/3] RUN b", begun=1, ended=2), vertex("[3/3] RUN c", begun=2))
    first.write_text("".join(ran) + DISTURBED)
    again.write_text(
        "".join(
            lines_of(vertex("[2/3] RUN b", cached=True), vertex("[3/3] RUN c", begun=4, ended=6))
        )
    )
    built = build(engine, "FROM a\nRUN b\nRUN c\n")
    assert [(step.state, step.seconds) for step in built.steps] == [("ran", 1.0), ("ran", 2.0)]


@NO_SHELL
def test_it_is_not_done_again_for_ever_and_the_instruction_is_not_blamed(engine):
    for number in range(1, 20):
        (engine / "answers" / str(number)).write_text(DISTURBED)
    with pytest.raises(buildx.BuildFailed) as caught:
        build(engine)
    assert len(builds(engine)) == buildx.TRIES
    assert caught.value.fix.startswith("Another build was at work at the same time.")


LOST = "ERROR: failed to solve: layer does not exist\n"


@NO_SHELL
def test_a_layer_that_the_cache_has_lost_is_built_again_without_it(engine):
    (engine / "answers" / "1").write_text(LOST)
    assert build(engine).tag == "t"
    assert ["--no-cache" in command.split() for command in builds(engine)] == [False, True]


@NO_SHELL
def test_a_layer_that_is_missing_without_the_cache_too_is_an_error(engine):
    for number in (1, 2):
        (engine / "answers" / str(number)).write_text(LOST)
    with pytest.raises(buildx.BuildFailed, match="lost a layer"):
        build(engine)
    assert len(builds(engine)) == 2


@NO_SHELL
def test_another_failure_is_not_tried_again(engine):
    (engine / "answers" / "1").write_text("ERROR: failed to solve: no\n")
    with pytest.raises(buildx.BuildFailed):
        build(engine)
    assert len(builds(engine)) == 1


@NO_SHELL
@pytest.mark.parametrize(
    "dockerfile", ["", "ARG A=1\n", "RUN echo", "COPY <<EOF /x\nFROM a\nEOF\n"]
)
def test_a_dockerfile_without_a_stage_never_reaches_the_engine(engine, dockerfile):
    with pytest.raises(WorkshopError, match="has no FROM"):
        build(engine, dockerfile)
    assert builds(engine) == []


@NO_SHELL
def test_a_mark_at_the_beginning_of_a_dockerfile_is_no_instruction(engine):
    (engine / "context" / "Dockerfile").write_bytes(b"\xef\xbb\xbfFROM a\n")
    build(engine)
    assert len(builds(engine)) == 1


def test_a_dockerfile_that_is_no_text(engine):
    (engine / "context" / "Other").write_bytes(b"FROM a\xff")
    with pytest.raises(WorkshopError, match="not a text in UTF-8"):
        build(engine, words=["docker", "build", "-f", "context/Other", "context"])


@pytest.mark.parametrize(
    ("typed", "tags", "file", "arguments"),
    [
        ("docker build .", [], "./Dockerfile", {}),
        ("docker build", [], "./Dockerfile", {}),
        ("docker buildx build -t a:1 --tag=b:2 src", ["a:1", "b:2"], "src/Dockerfile", {}),
        ("docker image build -f x/D --target final -ta:1 src", ["a:1"], "x/D", {}),
        ("docker build --no-cache --pull --secret id=a,src=b . -t a", ["a"], "./Dockerfile", {}),
        (
            "docker build --build-arg A=b=c --build-arg=D=e --build-arg HTTP_PROXY .",
            [],
            "./Dockerfile",
            {"A": "b=c", "D": "e"},
        ),
    ],
)
def test_what_the_options_of_a_build_mean(typed, tags, file, arguments):
    words = typed.split()
    assert buildx.is_build(words)
    found = buildx.options(words)
    assert (found.tags, found.file, found.arguments) == (tags, file, arguments)
    assert found.words == words[words.index("build") + 1 :]


@pytest.mark.parametrize(
    "typed",
    ["docker run build", "docker", "build .", "docker builder prune", "docker build --check ."],
)
def test_what_is_no_build(typed):
    assert not buildx.is_build(typed.split())


def test_a_build_that_cannot_be_read_is_said_in_a_line():
    with pytest.raises(WorkshopError, match="expected one argument"):
        buildx.options(["docker", "build", ".", "-t"])


@NO_SHELL
def test_labels_and_proxies_are_added_and_not_shown(engine, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    built = build(engine)
    (command,) = builds(engine)
    assert "--label whose=mine" in command
    assert "--build-arg HTTPS_PROXY" in command
    assert built.text().splitlines()[0] == "$ docker build -t t context"


@NO_SHELL
def test_without_a_dockerfile_the_builder_says_it(engine):
    (engine / "answers" / "1").write_text("ERROR: failed to read dockerfile: open Other: no\n")
    with pytest.raises(buildx.BuildFailed, match="failed to read dockerfile"):
        build(engine, words=["docker", "build", "-f", "Other", "context"])


# Failures


def test_a_failing_run_is_told_with_its_step_last_lines_and_status():
    name = "[3/3] RUN make all"
    error = failure_of(
        vertex(name, begun=1),
        log(name, "".join(f"line {n}\n" for n in range(40))),
        log(name, "make: *** [all] "),
        log(name, "Error 1\r\n\n"),
        vertex(name, begun=1, ended=2, error="process did not complete successfully: exit code: 2"),
        "------",
        " > [3/3] RUN make all:",
        "0.1 make: *** [all] Error 1",
        "------",
        "ERROR: failed to solve: process did not complete successfully: exit code: 2",
    )
    assert (error.step, error.status) == (name, 2)
    assert len(error.log) == progress.LOG_LINES
    assert error.log[-2:] == ["line 39", "make: *** [all] Error 1"]
    text = str(error)
    assert text.startswith(f"The build failed.\n  step: {name}\n")
    assert "  │ make: *** [all] Error 1\n  exit status: 2\n" in text
    assert "What was built before is still there" in error.fix


def test_what_was_cancelled_beside_it_is_not_what_failed():
    error = failure_of(
        vertex("[1/3] FROM a", begun=1, ended=2, error="context canceled"),
        vertex("[3/3] RUN make all", begun=1, ended=2, error='"/a": not found'),
        "ERROR: failed to solve: not found",
    )
    assert error.step == "[3/3] RUN make all"


@pytest.mark.parametrize("form", [one_line, pretty])
def test_a_syntax_error_is_told_with_the_line(form):
    error = failure_of(
        vertex("[internal] load build definition from Dockerfile", begun=1, ended=1),
        "Dockerfile:3",
        "--------------------",
        "   1 |     FROM a",
        "   3 | >>> RUNN echo",
        "--------------------",
        "ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN",
        form=form,
    )
    assert (error.step, error.status, error.log) == ("RUNN echo", None, [])
    assert "step: RUNN echo" in error.what
    assert "  dockerfile parse error on line 3: unknown instruction: RUNN" in error.what
    assert "ERROR:" not in error.what


def test_a_failure_without_a_word_still_says_that_it_failed():
    error = failure_of()
    assert error.what == "The build failed.\n  no reason was given"


@pytest.mark.parametrize(
    ("said", "cause", "fix"),
    [
        (
            "cp: error writing '/b': No space left on device",
            "The disk of the engine is full.",
            "workshop clean",
        ),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))",
            "A TLS certificate was not trusted",
            "Behind a proxy",
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "A TLS certificate was not trusted",
            "Behind a proxy",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'",
            "The package index is out of reach",
            "workshop doctor",
        ),
        (
            "W: Failed to fetch http://mirror.invalid/InRelease  Temporary failure resolving",
            "The package index is out of reach",
            "workshop doctor",
        ),
        (
            "error: error sending request for url: dns error: failed to lookup address",
            "The package index is out of reach",
            "workshop doctor",
        ),
    ],
)
def test_what_is_wrong_outside_the_dockerfile_is_said_in_words(said, cause, fix):
    error = failure_of(
        vertex("[2/2] RUN it", begun=1),
        log("[2/2] RUN it", f"{said}\n"),
        vertex("[2/2] RUN it", begun=1, ended=2, error="exit code: 1"),
        "ERROR: failed to solve: exit code: 1",
    )
    assert error.what.startswith(f"The build failed: {cause}")
    assert fix in error.fix
    assert f"  │ {said}" in error.what
    assert "exit status: 1" in error.what


def test_a_registry_out_of_reach():
    error = failure_of(
        "   1 | >>> FROM registry.invalid/x:1",
        "ERROR: failed to solve: registry.invalid/x:1: failed to resolve source metadata for "
        "registry.invalid/x:1: failed to do request: dial tcp: no such host",
    )
    assert error.what.startswith("The build failed: The registry is out of reach")
    assert "workshop images" in error.fix
    assert error.step == "FROM registry.invalid/x:1"


@pytest.mark.parametrize("asked", [["--progress=plain"], ["--progress", "plain"]])
def test_how_to_tell_of_the_steps_is_not_for_the_reader(asked):
    found = buildx.options(["docker", "build", *asked, "-t", "a", "src"])
    assert (found.words, found.file) == (["-t", "a", "src"], "src/Dockerfile")


def test_quiet_is_for_the_reader_and_not_for_the_builder():
    found = buildx.options(["docker", "build", "-q", "-t", "a", "."])
    assert found.is_quiet
    assert found.words == ["-t", "a", "."]
    assert buildx.options(["docker", "build", "-qt", "a", "."]).words == ["-t", "a", "."]
    assert not buildx.options(["docker", "build", "."]).is_quiet
