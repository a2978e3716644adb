"""What is read out of the builder's progress, and how a failed build is put into words."""

import base64
import json

import pytest

from workshop.build import buildx
from workshop.errors import WorkshopError

EVENTS = [
    {"vertexes": [{"digest": "sha256:a", "name": "[1/2] FROM docker.io/library/x"}]},
    {"logs": [{"vertex": "sha256:a", "data": "e30=", "nested": {"deep": [{}]}}]},
    {"statuses": []},
]
MINUTE = "2026-01-01T10:00:{:02d}.500000000Z"


def one_line(event):
    return [json.dumps(event) + "\n"]


def pretty(event):
    return json.dumps(event, indent=2).splitlines(keepends=True)


def vertex(name, digest="", begun=None, ended=None, **more):
    told = {"digest": digest or name, "name": name, **more}
    if begun is not None:
        told["started"] = MINUTE.format(begun)
    if ended is not None:
        told["completed"] = MINUTE.format(ended)
    return {"vertexes": [told]}


def log(digest, text):
    return {"logs": [{"vertex": digest, "data": base64.b64encode(text.encode()).decode()}]}


def lines_of(*parts, form=one_line):
    """A builder's output: events in JSON, and strings as they are."""
    return [
        line for part in parts for line in (form(part) if isinstance(part, dict) else [f"{part}\n"])
    ]


def steps_of(*events):
    vertices, _ = buildx._follow(lines_of(*events), lambda line: None)
    return buildx._steps(vertices)


def failure_of(*parts, form=one_line):
    return buildx._failure(*buildx._follow(lines_of(*parts, form=form), lambda line: None))


# The stream of events


@pytest.mark.parametrize("form", [one_line, pretty])
def test_events_are_read_in_both_forms(form):
    stray = []
    assert list(buildx.events(lines_of(*EVENTS, form=form), stray)) == EVENTS
    assert stray == []


@pytest.mark.parametrize("form", [one_line, pretty])
def test_text_between_events_is_kept_apart(form):
    lines = lines_of("------", EVENTS[0], "Dockerfile:3", "ERROR: no", EVENTS[1], form=form)
    stray = []
    assert list(buildx.events(lines, stray)) == EVENTS[:2]
    assert stray == ["------", "Dockerfile:3", "ERROR: no"]


@pytest.mark.parametrize("form", [one_line, pretty])
def test_text_that_begins_like_an_object_costs_no_event(form):
    lines = lines_of("{ this is no JSON", EVENTS[0], "{nor this", "ERROR: no", form=form)
    stray = []
    assert list(buildx.events(lines, stray)) == EVENTS[:1]
    assert stray == ["{ this is no JSON", "{nor this", "ERROR: no"]


# Steps


def test_an_instruction_that_ran():
    (step,) = steps_of(
        vertex("[builder 2/3] RUN  a"),
        vertex("[builder 2/3] RUN  a", begun=1),
        vertex("[builder 2/3] RUN  a", begun=1, ended=3),
    )
    assert step == buildx.Step("builder", 2, 3, "RUN a", False, 2.0)
    assert step.state == "ran"
    assert str(step) == "[builder 2/3] RUN a"


def test_cached_stays_cached_when_a_later_event_does_not_repeat_it():
    (step,) = steps_of(
        vertex("[2/3] RUN a", begun=1, ended=1, cached=True), vertex("[2/3] RUN a", begun=1)
    )
    assert (step.cached, step.state, step.stage) == (True, "cached", "")


def test_the_time_of_a_step_is_the_sum_of_its_intervals():
    (step,) = steps_of(
        vertex("[2/3] RUN a", begun=1, ended=3),
        vertex("[2/3] RUN a", begun=10),
        vertex("[2/3] RUN a", begun=10, ended=14),
        vertex("[2/3] RUN a", begun=10),
    )
    assert step.seconds == 6.0


def test_vertices_are_told_apart_by_digest():
    steps = steps_of(
        vertex("[2/3] RUN a", digest="sha256:1", begun=1, ended=2),
        vertex("[3/3] RUN a", digest="sha256:2", begun=2, ended=3, cached=True),
    )
    assert [(step.number, step.cached) for step in steps] == [(2, False), (3, True)]


def test_from_neither_ran_nor_was_cached():
    (step,) = steps_of(vertex("[1/3] FROM docker.io/library/python:3.13-slim", cached=True))
    assert (step.instruction, step.cached, step.state) == ("FROM python:3.13-slim", None, "base")


def test_steps_are_sorted_and_the_builders_own_business_is_left_out():
    steps = steps_of(
        vertex("[final 2/2] COPY b b"),
        vertex("[internal] load build definition from Dockerfile"),
        vertex("[builder 10/10] RUN j"),
        vertex("[builder 9/10] RUN i"),
        vertex("exporting to image"),
    )
    assert [str(step) for step in steps] == [
        "[builder 9/10] RUN i",
        "[builder 10/10] RUN j",
        "[final 2/2] COPY b b",
    ]


def test_ran_cached_and_step_of_a_build():
    steps = steps_of(
        vertex("[1/3] FROM a"), vertex("[2/3] RUN b", cached=True), vertex("[3/3] RUN bc")
    )
    built = buildx.Build(["docker", "build", "."], "tag", steps, 1.0)
    assert (built.ran, built.cached) == (["RUN bc"], ["RUN b"])
    assert built.step("bc").number == 3
    with pytest.raises(WorkshopError, match="2 steps contain 'RUN'"):
        built.step("RUN")
    with pytest.raises(WorkshopError, match="0 steps contain 'COPY'"):
        built.step("COPY")
    assert built.text().splitlines()[0] == "$ docker build ."


def test_progress_names_the_step_and_the_newest_line():
    said = []
    buildx._follow(
        lines_of(vertex("[2/2] RUN make", begun=1), log("[2/2] RUN make", "Collecting django\n")),
        said.append,
    )
    assert said == ["[2/2] RUN make", "[2/2] RUN make  Collecting django"]


# Failures


def test_a_failing_run_is_told_with_its_step_last_lines_and_status():
    name = "[builder 3/9] RUN make all"
    error = failure_of(
        vertex(name, begun=1),
        log(name, "".join(f"line {n}\n" for n in range(40))),
        log(name, "make: *** [all] "),
        log(name, "Error 1\r\n\n"),
        vertex(name, begun=1, ended=2, error="process did not complete successfully: exit code: 2"),
        "------",
        " > [builder 3/9] RUN make all:",
        "0.1 make: *** [all] Error 1",
        "------",
        "ERROR: failed to solve: process did not complete successfully: exit code: 2",
    )
    assert (error.step, error.status) == (name, 2)
    assert len(error.log) == buildx.LOG_LINES
    assert error.log[-2:] == ["line 39", "make: *** [all] Error 1"]
    text = str(error)
    assert text.startswith(f"The build failed.\n  step: {name}\n")
    assert "  │ make: *** [all] Error 1\n  exit status: 2\n" in text
    assert "the last good state was kept" in error.fix


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
