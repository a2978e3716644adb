"""What the workspace, the session and the magic do before an engine is asked."""

import json

import pytest

from workshop.engine import session
from workshop.errors import WorkshopError
from workshop.lesson import magic, workspace
from workshop.lesson.workspace import Added, Diff
from workshop.show import live
from workshop.show.display import Listing


@pytest.fixture
def new_ident():
    """Forget the session's id before and after."""
    session.ident.cache_clear()
    yield
    session.ident.cache_clear()


# The plan of a chapter


def test_planned_steps_are_the_names_of_the_dockerfile_cells_in_order(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "%%dockerfile not-first-line"]},
        {"cell_type": "code", "source": ["ws = checkpoint('x')"]},
        {"cell_type": "code", "source": []},
        {"cell_type": "code", "source": ["%%dockerfile base\n", "FROM a"]},
        {"cell_type": "code", "source": "%%dockerfile  env \nENV A=1"},
        {"cell_type": "code", "source": ["%%dockerfile\n", "RUN no name"]},
        {"cell_type": "code", "source": ["%%dockerfile base\n", "FROM b"]},
        {"cell_type": "code", "source": ["%%time\n", "x"]},
    ]
    (tmp_path / "07-x.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path)
    assert workspace.planned_steps("07-x") == ["base", "env"]


def test_a_chapter_without_a_notebook_has_no_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path)
    assert workspace.planned_steps("no-such-chapter") == []


def test_a_cell_before_the_checkpoint_names_the_cell_to_run_first(monkeypatch):
    monkeypatch.setattr(workspace, "_current", None)
    with pytest.raises(WorkshopError) as caught:
        magic.dockerfile("base", "FROM a")
    assert "no workspace yet" in caught.value.what
    assert "checkpoint(…)" in caught.value.fix


@pytest.mark.parametrize(
    "line", ["", "  ", "two names", "x --replace", "x --replace a b c", 'x --replace "a']
)
def test_the_magic_wants_one_name(line):
    with pytest.raises(WorkshopError, match="needs one name"):
        magic.dockerfile(line, "FROM a")


# What a step changed


def test_changed_settings():
    before = {"Env": ["PATH=/bin", "A=1"], "Cmd": ["python3"], "User": "", "Labels": {"x": "1"}}
    now = {
        "Env": ["PATH=/bin", "A=2", "B=3"],
        "Cmd": ["server"],
        "User": "appuser",
        "WorkingDir": "/app",
        "Labels": {"x": "2"},
    }
    assert workspace._changed_settings(before, now) == [
        "ENV A=2",
        "ENV B=3",
        "WORKDIR /app",
        "USER appuser",
        'CMD ["server"]',
    ]


def test_nothing_changed():
    assert workspace._changed_settings({"Env": None}, {"Env": ["A=1"]}) == ["ENV A=1"]
    assert workspace._changed_settings({"Env": ["A=1"]}, {"Env": ["A=1"], "Cmd": None}) == []


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (Added(0, 0, 0, ["ENV A=1"]), "Added no layer.\nSet ENV A=1"),
        (Added(1, 1, 5000, []), "Added 1 layer: 5.0 kB in 1 file."),
        (Added(2, 1234, 0, []), "Added 2 layers: 0 B in 1,234 files."),
        (Added(0, 0, 2_000_000, [], base="x:1"), "Starts from x:1: 2.0 MB."),
    ],
)
def test_what_a_step_added_in_words(added, text):
    assert added.text() == text
    assert added.html() == "".join(f"<p>{line}</p>" for line in text.splitlines())


def test_a_difference_has_no_line_numbers():
    assert Diff("x, edited", ["-a", "+b"]).text() == "x, edited\n-a\n+b"
    assert isinstance(Diff("x", []), Listing)


# Whose things these are


def test_the_session_is_the_one_of_the_environment(new_ident, monkeypatch):
    monkeypatch.setenv("WORKSHOP_SESSION", "0123abcd")
    assert session.ident() == "0123abcd"
    assert session.prefix() == "workshop-0123abcd"
    assert session.labels() == {"dockerfile-workshop.session": "0123abcd"}


def test_without_one_a_clone_makes_its_own_and_keeps_it(new_ident, monkeypatch, tmp_path):
    monkeypatch.delenv("WORKSHOP_SESSION", raising=False)
    monkeypatch.setattr(session, "WORKSPACES", tmp_path / "new")
    first = session.ident()
    session.ident.cache_clear()
    assert session.ident() == first
    assert len(bytes.fromhex(first)) == 4


# Live progress


def test_nobody_watches_outside_a_notebook(monkeypatch):
    monkeypatch.delenv("WORKSHOP_PROGRESS", raising=False)
    assert live.somebody_is_watching() is False


def test_progress_shows_nothing_when_nobody_watches(capsys):
    with live.Live() as line:
        line.line("working")
    assert capsys.readouterr().out == ""
