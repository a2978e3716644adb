"""Drawings are valid, say the same in words, and are made from what they are given."""

import base64
import re
import xml.dom.minidom

import pytest

from workshop.show.drawing import Stage, Stages, Timeline

STAGES = Stages(
    [
        Stage("builder", "python:3.13-slim", ["WORKDIR /app", "RUN make > /app/wheels"]),
        Stage(
            "final",
            "python:3.13-slim",
            ["ENV A=1", "COPY --from=builder /app/wheels /wheels", 'RUN echo "<&>"'],
            [("builder", "/app/wheels")],
        ),
    ]
)
TIMELINE = Timeline({"exec": [(0, "SIGTERM"), (0.5, "ended")], "no exec": [(5.0, "SIGKILL")]})


@pytest.mark.parametrize("drawing", [STAGES, TIMELINE, Stages([]), Timeline({})])
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


def test_what_is_drawn_is_escaped():
    assert "<&>" not in STAGES.svg
    assert "&lt;&amp;&gt;" in STAGES.svg


def test_a_timeline_in_words_and_one_dot_an_event():
    assert TIMELINE.text() == (
        "exec: SIGTERM after 0.0 s; ended after 0.5 s.\nno exec: SIGKILL after 5.0 s."
    )
    assert TIMELINE.svg.count("<circle") == 3
