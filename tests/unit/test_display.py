"""Results read well as text, as HTML, and a printed command can be pasted."""

import re
import shlex
import shutil
import subprocess

import pytest

from workshop.show import display
from workshop.show.display import (
    Command,
    Listing,
    Stack,
    Table,
    command_line,
    printable,
    shorten,
    size,
)

TABLE = Table("Two <rows>", ("step", "size"), [("RUN a && b", "5 B"), ("x", "10 B")], ("size",))


def test_a_table_as_text():
    assert TABLE.text() == (
        "Two <rows>\nstep        size\n──────────  ────\nRUN a && b   5 B\nx           10 B"
    )


def test_a_table_as_html_has_a_caption_and_scoped_headers_and_is_escaped():
    html = TABLE.html()
    assert html.startswith("<table><caption>Two &lt;rows&gt;</caption>")
    left, right = (f'align="{side}" style="text-align: {side}"' for side in ("left", "right"))
    assert f'<th scope="col" {left}>step</th><th scope="col" {right}>size</th>' in html
    assert f"<td {left}>RUN a &amp;&amp; b</td><td {right}>5 B</td>" in html
    assert html.count("<tr>") == 3
    assert "<rows>" not in html


def test_a_column_without_a_name_has_no_header_cell():
    html = Table("t", ("", "to"), [("bytes", "1")]).html()
    assert '<td align="left" style="text-align: left"></td><th scope="col"' in html
    assert html.count("<th") == len(["to"]) + html.count("<thead")


def test_a_column_keeps_its_least_width():
    table = Table("t", ("a", "b"), [("x", "y")], least={"a": 6})
    assert table.text().splitlines()[1:] == ["a       b", "──────  ─", "x       y"]


def test_jupyter_gets_both_forms():
    bundle = TABLE._repr_mimebundle_()
    assert bundle == {"text/plain": TABLE.text(), "text/html": f" \n{TABLE.html()}"}
    assert repr(TABLE) == TABLE.text()


def test_a_listing_numbers_its_lines_and_marks_the_new_ones():
    listing = Listing("Dockerfile", ["FROM a", "", "RUN <b>"], frozenset({3}))
    assert listing.text() == "Dockerfile\n    1  FROM a\n    2\n+   3  RUN <b>"
    assert "+   3  RUN &lt;b&gt;</code></pre>" in listing.html()


def test_what_a_terminal_would_obey_is_shown_as_an_escape():
    assert printable("a\x1b[31m\u202e\udcff\n é−") == "a\\x1b[31m\\u202e\\udcff\\n é−"
    table = Table("\x1b", ("\x07",), [("\x9b<",)])
    assert table.text() == "\\x1b\n\\x07\n─────\n\\x9b<"
    assert ">\\x9b&lt;</td>" in table.html()
    assert (Stack(["\x1b"]).text(), Stack(["\x1b"]).html()) == ("\\x1b", "<p>\\x1b</p>")


def test_a_stack_escapes_its_strings():
    stack = Stack(["1 < 2", Command(["true"])])
    assert stack.text() == "1 < 2\n$ true"
    assert stack.html() == "<p>1 &lt; 2</p><pre><code>$ true</code></pre>"


def test_a_command_shows_what_it_printed_and_escapes_it():
    command = Command(["echo", "<a b>"], "<a b>")
    assert command.text() == "$ echo '<a b>'\n<a b>"
    assert command.html() == "<pre><code>$ echo &#x27;&lt;a b&gt;&#x27;\n&lt;a b&gt;</code></pre>"


WORDS = [
    ["docker", "build", "."],
    ["docker", "run", "--env", "A=it's", "image", ""],
    ["sh", "-c", "echo one; " * 30],
    ["docker", "run", *(f"--env=NAME_{n}=a value with spaces" for n in range(12)), "image"],
    ["sh", "-c", "printf 'two\nlines'  \\\n    && true"],
    ["x" * 200, "y" * 200],
]


@pytest.mark.parametrize("words", WORDS)
def test_a_command_line_survives_being_split(words):
    assert shlex.split(command_line(words).replace(" \\\n    ", " ")) == [
        # A quoted word with the same break in it is no break of ours.
        word.replace(" \\\n    ", " ")
        for word in words
    ]


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
@pytest.mark.parametrize("words", WORDS)
def test_a_shell_reads_the_same_words(words):
    script = f"printf '%s\\0' {command_line(words)}"
    printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert printed.stdout.split("\0")[:-1] == words


def test_a_long_command_line_is_broken_between_words_only():
    lines = command_line(WORDS[3]).split(" \\\n    ")
    assert len(lines) > 3
    assert all(len(line) <= display.WIDTH for line in lines)
    assert [word for line in lines for word in shlex.split(line)] == WORDS[3]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (115_600_000, "115.6 MB"),
        (2_500_000_000, "2500.0 MB"),
        (-5_000, "-5.0 kB"),
    ],
)
def test_size(count, expected):
    assert size(count) == expected


def test_shorten():
    assert shorten("a \n  b", 10) == "a b"
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_a_long_listing_is_folded_around_what_is_marked():
    lines = [f"line {number}" for number in range(1, 101)]
    shown = Listing("Dockerfile", lines, frozenset({59, 60})).html()
    _, before, middle, after, _ = re.split(r"</?details>", shown)
    assert "<summary>37 more lines</summary>" in before
    assert "+  60  line 60" in middle
    assert "<summary>38 more lines</summary>" in after
    assert re.findall(r"line (\d+)", shown) == [str(number) for number in range(1, 101)]


def test_a_short_listing_is_not_folded():
    assert "<details>" not in Listing("Dockerfile", ["FROM a"] * 30).html()
