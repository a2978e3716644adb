"""The little grammar that cuts a Dockerfile into steps and puts it together again."""

import pytest

from workshop.build import grammar
from workshop.errors import WorkshopError
from workshop.paths import DOCKERFILE

TWO_STAGES = """\
# syntax of the shell
FROM python:3.13-slim AS builder

ENV A=1

RUN make \\
    # half way
    && make install

FROM --platform=linux/amd64 python:3.13-slim as final
ENV B=2

CMD ["server"]
"""


@pytest.mark.parametrize(
    "parts",
    [
        ["FROM a"],
        ["FROM a", "RUN b"],
        ["# why\nFROM a AS b", "RUN c \\\n    && d", "COPY . ."],
    ],
)
def test_steps_is_the_inverse_of_join(parts):
    assert grammar.steps(grammar.join(parts)) == parts


@pytest.mark.parametrize("text", [TWO_STAGES, DOCKERFILE.read_text(encoding="utf-8")])
def test_join_is_the_inverse_of_steps(text):
    assert grammar.join(grammar.steps(text)) == text


def test_blank_lines_of_any_kind_end_a_step():
    assert grammar.steps("\n\nFROM a\n\n\n\nRUN b\n \t \nRUN c\n\n") == [
        "FROM a",
        "RUN b",
        "RUN c",
    ]


def test_an_empty_dockerfile_has_no_steps():
    assert grammar.steps("\n \n\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# only a comment\n", []),
        ("RUN a", ["RUN a"]),
        ("RUN a \\\n    && b \\\n    && c\nENV X=1", ["RUN a && b && c", "ENV X=1"]),
        ("RUN a &&\\\n    b \\\n\n  c", ["RUN a && b c"]),
        ("FROM a\\\n  AS b", ["FROM a AS b"]),
        ("RUN a\\\nb", ["RUN ab"]),
        ("RUN two \\\\\\\\\nRUN b", ["RUN two \\\\\\\\", "RUN b"]),
        ("RUN a \\\n# inside\n\n    && b\n# after", ["RUN a && b"]),
        ("RUN ends in a backslash \\", ["RUN ends in a backslash "]),
        ("ENV X=1 # not a comment", ["ENV X=1 # not a comment"]),
    ],
)
def test_instructions(text, expected):
    assert grammar.instructions(text) == expected


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("FROM a", grammar.Stage("", "a")),
        ("FROM a:1 AS b", grammar.Stage("b", "a:1")),
        ("from a as b", grammar.Stage("b", "a")),
        ("FROM --platform=$BUILDPLATFORM a AS b", grammar.Stage("b", "a")),
        ("RUN echo FROM a", None),
        ("COPY --from=builder /a /b", None),
    ],
)
def test_stage_of(instruction, expected):
    assert grammar.stage_of(instruction) == expected


def test_stages_in_order():
    assert [(s.name, s.base) for s in grammar.stages(TWO_STAGES)] == [
        ("builder", "python:3.13-slim"),
        ("final", "python:3.13-slim"),
    ]


def test_upto_stage_ends_before_the_next_from():
    assert grammar.upto_stage(TWO_STAGES, "builder") == grammar.steps(TWO_STAGES)[:3]


def test_upto_the_last_stage_is_everything():
    assert grammar.upto_stage(TWO_STAGES, "final") == grammar.steps(TWO_STAGES)


def test_an_unknown_stage_is_an_error_that_lists_the_stages():
    with pytest.raises(WorkshopError) as caught:
        grammar.upto_stage(TWO_STAGES, "runtime")
    assert "no stage 'runtime'" in caught.value.what
    assert "builder, final" in caught.value.fix


def test_a_dockerfile_without_named_stages_says_so():
    with pytest.raises(WorkshopError, match="none with a name"):
        grammar.upto_stage("FROM a\n", "builder")


def test_a_build_argument_in_from_has_its_default():
    text = "ARG BASE=python:3.13-slim\nFROM ${BASE} AS one\nFROM $BASE AS two\nFROM ${OTHER}\n"
    assert [s.base for s in grammar.stages(text)] == ["python:3.13-slim"] * 2 + ["${OTHER}"]


def test_an_argument_inside_a_stage_is_none_of_froms():
    text = "FROM a AS one\nARG BASE=b\nFROM ${BASE} AS two\n"
    assert [s.base for s in grammar.stages(text)] == ["a", "${BASE}"]


# Heredocs

HEREDOC = """\
FROM a

RUN <<EOF
echo one

# no comment of the Dockerfile's
echo two
EOF

COPY <<-"ONE" <<TWO /etc/
\tfirst

\tONE
second
TWO
CMD ["x"]
"""


def test_a_blank_line_in_a_heredoc_ends_no_step():
    first, run, copy = grammar.steps(HEREDOC)
    assert first == "FROM a"
    assert run.splitlines()[0] == "RUN <<EOF"
    assert run.splitlines()[-1] == "EOF"
    assert copy.splitlines()[-1] == 'CMD ["x"]'
    assert grammar.join([first, run, copy]) == HEREDOC


def test_the_body_of_a_heredoc_holds_no_instructions():
    found = grammar.instructions(HEREDOC)
    assert [text.split("\n")[0] for text in found] == [
        "FROM a",
        "RUN <<EOF",
        'COPY <<-"ONE" <<TWO /etc/',
        'CMD ["x"]',
    ]
    assert "echo two" in found[1]


def test_from_in_a_heredoc_opens_no_stage():
    text = "FROM a\nCOPY <<EOF /Dockerfile\nFROM b AS c\nEOF\n"
    assert grammar.stages(text) == [grammar.Stage("", "a")]


@pytest.mark.parametrize(
    "line",
    ['RUN echo "a <<EOF b"', "RUN echo $((1 << 2))", "RUN cat <<< word", "ENV A=<<EOF", "RUN a<<"],
)
def test_what_only_looks_like_a_heredoc(line):
    assert grammar.instructions(f"{line}\nENV B=1") == [line, "ENV B=1"]


# What a stage starts from


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM a AS one\nFROM one AS two\nFROM two", "a"),
        ("FROM node AS node\nRUN x", "node"),
        ("FROM a AS node\nFROM node AS node\nFROM node", "a"),
        ("FROM a AS One\nFROM one", "a"),
        ("FROM scratch\nCOPY . /", ""),
        ("FROM scratch AS empty\nFROM empty", ""),
        ("ARG X=a\n\nFROM ${X}", "a"),
        ("ARG X=a Y=${X}:1\nFROM $Y", "a:1"),
        ('ARG X="a"\nFROM ${X:-b}', "a"),
        ("ARG X\nFROM ${X:-b}", "b"),
        ("", ""),
    ],
)
def test_the_image_that_the_last_stage_starts_from(text, base):
    assert grammar.base_image(text) == base


def test_a_build_argument_that_is_given_counts_more_than_its_default():
    text = "ARG X=a\nARG Y\nFROM $X AS x\nFROM $Y"
    assert [s.base for s in grammar.stages(text, {"X": "c", "Y": "d"})] == ["c", "d"]
