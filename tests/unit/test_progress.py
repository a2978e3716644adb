"""What is read out of a builder's progress, and under which names its steps are shown."""

import builder_output
import pytest
from builder_output import log, vertex

from workshop.build import progress

EVENTS = [
    {"vertexes": [{"digest": "sha256:a", "name": "[1/2] FROM docker.io/library/x"}]},
    {"logs": [{"vertex": "sha256:a", "data": "e30=", "nested": {"deep": [{}]}}]},
    {"statuses": []},
]
# The stream of events


@pytest.mark.parametrize("form", [builder_output.one_line, builder_output.pretty])
def test_events_are_read_in_both_forms(form):
    stray = []
    assert list(progress.decode(builder_output.lines_of(*EVENTS, form=form), stray)) == EVENTS
    assert stray == []


@pytest.mark.parametrize("form", [builder_output.one_line, builder_output.pretty])
def test_text_between_events_is_kept_apart(form):
    lines = builder_output.lines_of(
        "------", EVENTS[0], "Dockerfile:3", "ERROR: no", EVENTS[1], form=form
    )
    stray = []
    assert list(progress.decode(lines, stray)) == EVENTS[:2]
    assert stray == ["------", "Dockerfile:3", "ERROR: no"]


@pytest.mark.parametrize("form", [builder_output.one_line, builder_output.pretty])
def test_text_that_begins_like_an_object_costs_no_event(form):
    lines = builder_output.lines_of(
        "{ this is no JSON", EVENTS[0], "{nor this", "ERROR: no", form=form
    )
    stray = []
    assert list(progress.decode(lines, stray)) == EVENTS[:1]
    assert stray == ["{ this is no JSON", "{nor this", "ERROR: no"]


# Steps


ARTICLE = """\
FROM python:3.13-slim AS builder
ENV VERSION=1.2
RUN a \\
    && pip install "uv==$VERSION"
WORKDIR /app
FROM python:3.13-slim AS final
COPY --from=builder /a /b
RUN c
"""


def steps_of(dockerfile, *events, arguments=None):
    vertices, _ = progress.follow(builder_output.lines_of(*events))
    return progress.steps(vertices, dockerfile, arguments)


def one(text, *events):
    """The one step besides FROM of a stage called x."""
    _, *found = steps_of(f"FROM a AS x\n{text}\n", vertex("[1/2] FROM a"), *events)
    (step,) = found
    return step


def test_an_instruction_that_ran():
    step = one(
        "RUN a",
        vertex("[2/2] RUN  a"),
        vertex("[2/2] RUN  a", begun=1),
        vertex("[2/2] RUN  a", begun=1, ended=3),
    )
    assert step == progress.Step("", 2, 2, "RUN a", False, 2.0)
    assert step.state == "ran"
    assert str(step) == "[2/2] RUN a"


def test_cached_stays_cached_when_a_later_event_does_not_repeat_it():
    step = one(
        "RUN a",
        vertex("[2/2] RUN a", begun=1, ended=1, cached=True),
        vertex("[2/2] RUN a", begun=1),
    )
    assert (step.cached, step.state) == (True, "cached")


def test_a_step_that_the_builder_never_began_did_not_run():
    assert one("RUN a", vertex("[2/2] RUN a")).state == "cached"


def test_the_time_of_a_step_is_the_sum_of_its_intervals():
    step = one(
        "RUN a",
        vertex("[2/2] RUN a", begun=1, ended=3),
        vertex("[2/2] RUN a", begun=10),
        vertex("[2/2] RUN a", begun=10, ended=14),
        vertex("[2/2] RUN a", begun=10),
    )
    assert step.seconds == 6.0


@pytest.mark.parametrize(
    "name",
    [
        "docker.io/library/python:3.13-slim",
        "docker.io/library/python:3.13-slim@sha256:0123456789abcdef",
        "python:3.13-slim",
    ],
)
def test_from_is_named_as_the_dockerfile_has_it(name):
    (step,) = steps_of("FROM python:3.13-slim AS x", vertex(f"[1/1] FROM {name}", cached=True))
    assert (step.instruction, step.cached, step.state) == ("FROM python:3.13-slim", None, "base")
    assert str(step) == "FROM python:3.13-slim"


def test_an_image_without_a_tag_and_one_of_another_registry():
    text = "FROM node\nFROM registry.test:5000/a/b@sha256:0123 AS b\nCOPY --from=0 / /"
    steps = steps_of(
        text,
        vertex("[stage-0 1/1] FROM docker.io/library/node:latest@sha256:abcd"),
        vertex("[b 1/2] FROM registry.test:5000/a/b@sha256:0123"),
        vertex("[b 2/2] COPY --from=0 / /", cached=True),
    )
    assert [str(step) for step in steps] == [
        "FROM node",
        "FROM registry.test:5000/a/b@sha256:0123",
        "[b 2/2] COPY --from=0 / /",
    ]


def test_a_build_argument_names_the_base():
    text = "ARG IMAGE=a:1\nFROM ${IMAGE} AS one\nFROM $IMAGE AS two"
    shared = vertex("[two 1/1] FROM docker.io/library/b:2")
    (step,) = steps_of(text, shared, arguments={"IMAGE": "b:2"})
    assert step.instruction == "FROM b:2"


def test_steps_are_in_the_order_of_the_dockerfile_and_the_builders_own_business_is_left_out():
    steps = steps_of(
        ARTICLE,
        vertex("[final 3/3] RUN c", cached=True),
        vertex("[final 2/3] COPY --from=builder /a /b", cached=True),
        vertex("[internal] load build definition from Dockerfile"),
        vertex("[final 1/3] FROM docker.io/library/python:3.13-slim"),
        vertex('[builder 2/3] RUN a     && pip install "uv==1.2"', cached=True),
        vertex("[builder 3/3] WORKDIR /app", cached=True),
        vertex("exporting to image"),
    )
    assert [str(step) for step in steps] == [
        "FROM python:3.13-slim",
        '[builder 2/3] RUN a && pip install "uv==$VERSION"',
        "[builder 3/3] WORKDIR /app",
        "[final 2/3] COPY --from=builder /a /b",
        "[final 3/3] RUN c",
    ]


def test_a_stage_that_the_target_does_not_need_is_not_listed():
    steps = steps_of(ARTICLE, vertex("[builder 1/3] FROM x"), vertex("[builder 3/3] WORKDIR /app"))
    assert "[final 3/3] RUN c" not in map(str, steps)


def test_a_stage_with_ten_steps_or_more():
    text = "FROM a\n" + "".join(f"RUN {n}\n" for n in range(2, 13))
    names = [f"[{n:2}/12] RUN {n}" for n in range(2, 13)]
    steps = steps_of(text, *(vertex(name, begun=1, ended=2) for name in names))
    assert [(s.number, s.total, s.instruction) for s in steps] == [
        (n, 12, f"RUN {n}") for n in range(2, 13)
    ]


def test_a_stage_has_its_name_where_there_are_several():
    text = "FROM a AS one\nRUN b\n"
    steps = steps_of(text, vertex("[2/2] RUN b"))
    both = steps_of(
        f"{text}FROM a\nRUN c", vertex("[one 2/2] RUN b"), vertex("[stage-1 2/2] RUN c")
    )
    assert [str(step) for step in steps] == ["[2/2] RUN b"]
    assert [str(step) for step in both] == ["[one 2/2] RUN b", "[stage-1 2/2] RUN c"]


def test_a_heredoc_is_one_step():
    text = "FROM a\nRUN <<EOF\n\nset -e\nCOPY no . instruction\nEOF\nCOPY <<EOF /x\nRUN\nEOF\n"
    steps = steps_of(
        text,
        vertex("[2/3] RUN <<EOF (set -e...)", begun=1, ended=2),
        vertex("[3/3] COPY <<EOF /x", cached=True),
    )
    assert [str(step) for step in steps] == ["[2/3] RUN <<EOF (set -e...)", "[3/3] COPY <<EOF /x"]


# Two clients that build the same at once


def test_a_step_under_two_digests_is_listed_once():
    step = one(
        "RUN a",
        vertex("[2/2] RUN a", digest="sha256:1", begun=1, ended=5),
        vertex("[2/2] RUN a", digest="sha256:2", begun=2, ended=8),
        vertex("[2/2] RUN a", digest="sha256:3", begun=20, ended=21),
    )
    assert (step.ran, step.seconds) == (True, 8.0)


def test_a_step_is_cached_when_one_of_its_digests_is():
    step = one(
        "RUN a",
        vertex("[2/2] RUN a", digest="sha256:1", begun=1, ended=5),
        vertex("[2/2] RUN a", digest="sha256:2", cached=True),
    )
    assert step.cached


def test_a_step_never_has_the_name_of_somebody_elses_stage():
    steps = steps_of(
        ARTICLE,
        vertex("[other 1/9] FROM docker.io/library/python:3.13-slim"),
        vertex('[other 2/9] RUN a     && pip install "uv==1.2"', begun=1, ended=2),
        vertex("[builder 3/3] WORKDIR /app", begun=2, ended=3),
        vertex("[other 5/9] WORKDIR /app", digest="sha256:2", begun=2, ended=3),
    )
    assert [str(step) for step in steps] == [
        "FROM python:3.13-slim",
        '[builder 2/3] RUN a && pip install "uv==$VERSION"',
        "[builder 3/3] WORKDIR /app",
    ]
    assert steps[2].seconds == 1.0


def test_a_base_never_has_the_name_of_somebody_elses_base():
    steps = steps_of(
        ARTICLE,
        vertex("[one 1/9] FROM docker.io/library/its-own:my-base"),
        vertex("[builder 3/3] WORKDIR /app", begun=2, ended=3),
    )
    assert [str(step) for step in steps] == ["FROM python:3.13-slim", "[builder 3/3] WORKDIR /app"]


def test_equal_instructions_keep_their_places_under_somebody_elses_name():
    steps = steps_of(
        "FROM a AS x\nRUN same\nRUN same\n",
        vertex("[y 3/3] RUN same", digest="sha256:2", begun=2, ended=4),
        vertex("[y 2/3] RUN same", digest="sha256:1", cached=True),
    )
    assert [(step.number, step.state) for step in steps] == [(2, "cached"), (3, "ran")]


def test_steps_of_the_base_image_come_before_those_of_the_dockerfile():
    steps = steps_of(
        "FROM a\nRUN mine &&\\\n    go on",
        vertex("[1/4] FROM a"),
        vertex("[2/4] ONBUILD RUN b", digest="sha256:2", begun=1, ended=2),
        vertex("[3/4] ONBUILD RUN c", digest="sha256:3", begun=2, ended=3),
        vertex("[4/4] RUN mine &&    go on", digest="sha256:4", begun=3, ended=4),
    )
    assert [step.instruction for step in steps] == [
        "FROM a", "ONBUILD RUN b", "ONBUILD RUN c", "RUN mine && go on"
    ]  # fmt: skip


def test_a_step_that_is_not_in_the_dockerfile_is_shown_as_the_builder_names_it():
    (_, step) = steps_of(
        "FROM a AS x",
        vertex("[1/2] FROM a"),
        vertex("[2/2] ONBUILD RUN b", begun=1, ended=2),
    )
    assert str(step) == "[2/2] ONBUILD RUN b"


def test_progress_names_the_step_and_the_newest_line():
    said = []
    progress.follow(
        builder_output.lines_of(
            vertex("[2/2] RUN make", begun=1), log("[2/2] RUN make", "Collecting django\n")
        ),
        said.append,
    )
    assert said == ["[2/2] RUN make", "[2/2] RUN make  Collecting django"]
