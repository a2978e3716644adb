"""Terminal cells are cut into words as a shell cuts them."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop.errors import WorkshopError
from workshop.lesson.commands import parse

VARIABLES = {"IMAGE": "books:1", "EMPTY": "", "PLACE": "a folder"}


def words(cell):
    return [command.words(VARIABLES) for command in parse(cell)]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("docker ps", [["docker", "ps"]]),
        ("  docker ps  \n\n\ndocker images\n", [["docker", "ps"], ["docker", "images"]]),
        ("docker run \\\n    --rm $IMAGE", [["docker", "run", "--rm", "books:1"]]),
        ("# a comment\ndocker ps # why\n# done", [["docker", "ps"]]),
        ("docker ps '#5' a#b", [["docker", "ps", "#5", "a#b"]]),
        ("sh -c 'ls | wc -l > $IMAGE'", [["sh", "-c", "ls | wc -l > $IMAGE"]]),
        ('echo "$IMAGE ${IMAGE}s \\$IMAGE \\"x\\""', [["echo", 'books:1 books:1s $IMAGE "x"']]),
        ("echo a'b'\"c\"d \\$IMAGE", [["echo", "abcd", "$IMAGE"]]),
        ("echo '' \"\" $EMPTY end", [["echo", "", "", "", "end"]]),
        ("echo $PLACE", [["echo", "a folder"]]),
        ("python -c '\nprint(1)\n'", [["python", "-c", "\nprint(1)\n"]]),
        ("find / -exec ls {} +", [["find", "/", "-exec", "ls", "{}", "+"]]),
        ("", []),
    ],
)
def test_words(cell, found):
    assert words(cell) == found


def test_an_exported_variable_may_be_the_output_of_a_command():
    (typed,) = parse("export PORT=a$(docker port $ME 80)b\n")
    assert typed.words({}, str.upper) == ["export", "PORT=aDOCKER PORT $ME 80b"]
    (typed,) = parse("export A=$(docker \\\n  ps)")
    assert typed.words({}, lambda text: parse(text)[0].words({})[1]) == ["export", "A=ps"]


def test_the_text_is_kept_as_typed():
    typed = parse("  docker run \\\n    $IMAGE  \n# no\ndocker ps")
    assert [command.text for command in typed] == ["docker run \\\n    $IMAGE", "docker ps"]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("ls | wc", "'|' is for a shell"),
        ("ls && ls", "'&' is for a shell"),
        ("echo $(ls)", "The output of `ls` can become a variable"),
        ("export A=$(ls | wc)", "'|' is for a shell"),
        ("export A=$(# nothing)", "can become a variable"),
        ('echo "$(ls)"', "can become a variable"),
        ('export A="$(ls $(ls))"', "'$(' is for a shell"),
        ("A=1 docker ps", "`A=1 docker ps` sets a variable as a shell does"),
        ("ls ~/x", "'~' is for a shell"),
        ("docker\N{NO-BREAK SPACE}ps", "separates no words"),
        ("cat < file", "'<' is for a shell"),
        ("ls *.py", "'*' is for a shell"),
        ("echo 'open", "is opened and not closed"),
        ('echo "open', "is opened and not closed"),
        ("docker run $IMGE", "$IMGE is not set in this chapter. Set are: $EMPTY, $IMAGE, $PLACE."),
    ],
)
def test_what_is_refused_says_why(cell, says):
    with pytest.raises(WorkshopError) as error:
        words(cell)
    assert says in error.value.what
    assert error.value.fix


@settings(deadline=None)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))))
def test_what_shlex_quotes_comes_back(found):
    assert parse(shlex.join(["docker", *found]))[0].words({}) == ["docker", *found]


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("sh"), reason="needs a shell")
@settings(deadline=None)
@given(st.text("ab '\"\\\n$#{}IMAGE", max_size=12))
def test_a_shell_gives_the_same_words(text):
    try:
        mine = words(f"printf %s\\\\n {text}")
    except WorkshopError:
        return  # refused is never wrong
    if len(mine) != 1 or "$EMPTY" in text or "$PLACE" in text:
        return
    line = f"set -u; printf '%s\\0' {text}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, env={**os.environ, **VARIABLES})
    theirs = done.stdout.decode().split("\0")[:-1]
    assert mine[0][2:] == (theirs if mine[0][2:] else [])
