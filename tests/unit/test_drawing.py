"""Drawings are valid, say the same in words, and are made from what they are given."""

import base64
import itertools
import re
import xml.dom.minidom

import pytest

from workshop.build.buildx import Build
from workshop.build.progress import Step
from workshop.lesson import drawings
from workshop.show.drawing import INK, Column, Flow, Stage, Stages, Timeline

STAGES = Stages(
    [
        Stage("builder", "python:3.13-slim", ["WORKDIR /app", "RUN make > /app/wheels"]),
        Stage(
            "final",
            "python:3.13-slim",
            ["ENV A=1", "COPY --from=builder /app/wheels /wheels", 'RUN echo "<&>"'],
            {1: ("builder", "/app/wheels")},
        ),
    ]
)
TIMELINE = Timeline({"exec": [(0, "SIGTERM"), (0.5, "ended")], "no exec": [(5.0, "SIGKILL")]})
FLOW = Flow(
    [
        Column("this machine", ["http://127.0.0.1:8000"]),
        Column("web", ["listens on 8000"], ["listens on 8000"]),
        Column("db", ["<postgres>", "listens on 5432"]),
        Column("cache", []),
    ],
    ["to port 8000", "db:5432", ""],
    "the network reading",
    1,
)


@pytest.mark.parametrize(
    "drawing", [STAGES, TIMELINE, FLOW, Stages([]), Timeline({}), Flow([], [])]
)
def test_it_is_valid_xml_in_an_image_with_an_alternative(drawing):
    html = drawing.html()
    data = re.search(r"data:image/svg\+xml;base64,([^\"]+)", html)[1]
    xml.dom.minidom.parseString(base64.b64decode(data))
    assert 'alt="' in html


def test_stages_in_words():
    assert STAGES.text() == (
        "builder, from python:3.13-slim: 2 instructions.\n"
        "final, from python:3.13-slim: 3 instructions.\n"
        "  takes /app/wheels out of builder"
    )


def test_each_copy_is_an_arrow_with_its_path():
    assert STAGES.svg.count("<line") == 1
    assert STAGES.svg.count(">/app/wheels</text>") == 1


def test_three_stages_stand_side_by_side_and_an_arrow_says_what_it_jumps_over():
    copies = [("builder", "/opt/venv"), ("assets", "/static")]
    own = [f"COPY --from={source} {path} {path}" for source, path in copies]
    final = Stage("final", "c", ["ENV PATH=/opt/venv/bin:$PATH", *own], dict(enumerate(copies, 1)))
    drawing = Stages([Stage("builder", "a", []), Stage("assets", "b", []), final])
    boxes = re.findall(r'<rect x="(\d+)" y="1" width="(\d+)"', drawing.svg)
    ends = [(int(x), int(x) + int(width)) for x, width in boxes]
    assert [left[1] < right[0] for left, right in itertools.pairwise(ends)] == [True, True]
    assert ends[-1][1] <= drawing.width
    assert ">builder: /opt/venv</text>" in drawing.svg
    assert ">/static</text>" in drawing.svg
    assert drawing.svg.count("<line") == 2
    assert f'fill="{INK}" font-weight="normal" text-anchor="start">ENV PATH' in drawing.svg


def test_what_is_drawn_is_escaped():
    assert "<&>" not in STAGES.svg
    assert "&lt;&amp;&gt;" in STAGES.svg


def test_a_timeline_in_words_and_one_dot_an_event():
    assert TIMELINE.text() == (
        "exec: SIGTERM after 0.0 s; ended after 0.5 s.\nno exec: SIGKILL after 5.0 s."
    )
    assert TIMELINE.svg.count("<circle") == 3


def test_columns_in_words_and_an_arrow_where_there_are_words():
    assert FLOW.text() == (
        "this machine: http://127.0.0.1:8000\n"
        "  → to port 8000\n"
        "In the network reading:\n"
        "web: listens on 8000\n"
        "  → db:5432\n"
        "db: <postgres>; listens on 5432\n"
        "cache"
    )
    assert FLOW.svg.count("<path") == 2
    assert FLOW.svg.count("stroke-dasharray") == 1


def test_a_build_is_drawn_from_the_folder_to_the_layers(tmp_path, monkeypatch):
    for name in ("app.py", "uv.lock", ".env", *(f"z{n:02d}" for n in range(20))):
        (tmp_path / name).touch()
    (tmp_path / "static").mkdir()
    steps = [
        Step("", 1, 4, "FROM python:3.13-slim", None, 0),
        Step("", 2, 4, "COPY --chown=app uv.lock static/ /app/", False, 0.1),
        Step("", 3, 4, "COPY --from=builder /app.py /", True, 0),
        Step("", 4, 4, "RUN make", True, 0),
    ]

    class Layer:
        size, created_by = 5, "COPY uv.lock static/ /app/ # buildkit"

    class Look:
        layers, base_layers = [Layer] * 3, 2

    folder, builder, image = drawings.flow(tmp_path, Build("", "", steps, 1), Look).columns
    assert {"uv.lock", "static/"} <= set(folder.lines) & set(folder.marked)
    assert "app.py" not in folder.marked
    assert len(folder.lines) == drawings.MOST_NAMES + 1
    assert folder.lines[-1] == "… and 12 more"
    assert builder.lines[1] == "COPY --chown=app uv.lock static/ /app/"
    assert image.lines == ["10 B  base", "5 B  COPY uv.lock static/ /app/"]


def test_all_of_a_folder_is_marked_where_all_of_it_is_copied(tmp_path):
    (tmp_path / "manage.py").touch()
    steps = [Step("", 1, 1, "COPY . .", False, 0.1)]

    class Look:
        layers, base_layers = [], 0

    folder, *_ = drawings.flow(tmp_path, Build("", "", steps, 1), Look).columns
    assert "manage.py" in folder.marked


@pytest.mark.parametrize(
    "instruction",
    [
        "COPY --from=b /a /c",
        "COPY --link --from=b /a /c",
        "copy --from=b --chown=1:1 /a /c",
    ],
)
def test_what_is_copied_from_another_stage_is_seen(instruction):
    assert drawings._copied(instruction) == ("b", "/a")
