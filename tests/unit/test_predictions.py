"""A prediction of what the build cache will do is compared with what it did."""

import pytest

from workshop.build.buildx import Build
from workshop.build.progress import Step
from workshop.lesson.predictions import ran, score


@pytest.fixture
def build():
    """Two steps ran, one came from the cache."""
    names = {"RUN apt-get": True, "COPY . .": False, "RUN collectstatic": False}
    steps = [Step("", n, 3, name, cached, 0.0) for n, (name, cached) in enumerate(names.items(), 1)]
    return Build("docker build .", "tag", steps, 1.0)


@pytest.mark.parametrize(
    ("parts", "right"),
    [
        (["COPY", "collectstatic"], True),
        (["collectstatic", "COPY"], False),
        (["COPY"], False),
        (["COPY", "collectstatic", "apt"], False),
        ([], False),
    ],
)
def test_ran_names_every_step_that_ran_in_order(build, parts, right):
    assert ran(build, *parts) is right


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        ([], ["You predicted nothing. Fill in the list above, and run the cells again."]),
        (["COPY", "collectstatic"], ["You were right."]),
        ([""], ["You predicted nothing. Fill in the list above, and run the cells again."]),
        ("apt", [
            "Not quite.",
            "  it ran, and you did not say so: COPY . .",
            "  it ran, and you did not say so: RUN collectstatic",
            "  you said so, and it did not run: apt",
        ]),
        (["nothing"], [
            "Not quite.",
            "  it ran, and you did not say so: COPY . .",
            "  it ran, and you did not say so: RUN collectstatic",
        ]),
        (["COPY", "apt"], [
            "Not quite.",
            "  it ran, and you did not say so: RUN collectstatic",
            "  you said so, and it did not run: apt",
        ]),
        (["collectstatic", "COPY"], [
            "Not quite.",
            "  these steps ran, each of them once, in the order above",
        ]),
    ],
)  # fmt: skip
def test_the_score_says_what_was_missed(build, capsys, prediction, said):
    score(prediction, build)
    assert capsys.readouterr().out.splitlines() == [
        "ran: COPY . .", "ran: RUN collectstatic", *said
    ]  # fmt: skip


def test_nothing_can_be_predicted_and_be_right(capsys):
    score(["nothing"], Build("docker build .", "tag", [Step("", 1, 1, "RUN a", True, 0.0)], 1.0))
    assert capsys.readouterr().out == "ran: nothing\nYou were right.\n"
