"""What a verdict prints, and what is remembered of it."""

from types import SimpleNamespace

import pytest

from workshop.errors import WorkshopError
from workshop.lesson import exercises, workspace

CHAPTER = "04-entrypoint"


@pytest.fixture(autouse=True)
def reader(monkeypatch, tmp_path):
    monkeypatch.setattr(exercises, "WORKSPACES", tmp_path)
    monkeypatch.setattr(workspace, "_current", SimpleNamespace(chapter=CHAPTER))
    return tmp_path


def rows():
    return {row[0]: row[1:] for row in exercises.progress().rows}


def test_what_is_missing_is_said_and_nothing_is_remembered(capsys):
    exercises.exercise("add-a-worker", lambda: "the worker is missing.")
    assert capsys.readouterr().out == "Not yet: the worker is missing.\n"
    assert exercises.solved(CHAPTER) == []


def test_an_error_of_the_engine_is_what_is_missing(capsys):
    def missing():
        raise WorkshopError("There is no such image.", "Build it.")

    exercises.exercise("add-a-worker", missing)
    assert capsys.readouterr().out == "Not yet: There is no such image.\n→ Build it.\n"


def test_what_is_solved_stays_solved(capsys):
    exercises.exercise("add-a-worker", lambda: None)
    assert capsys.readouterr().out == "Solved. That makes 1 of 2 in this chapter.\n"
    exercises.exercise("add-a-worker", lambda: "now it is broken.")
    assert exercises.solved(CHAPTER) == ["add-a-worker"]


def test_progress_has_a_row_for_every_chapter_with_exercises():
    exercises.exercise("add-a-worker", lambda: None)
    found = rows()
    assert found[CHAPTER] == ("1 of 2", "say-goodbye")
    assert found["02-builder-stage"] == ("0 of 2", "repair-the-install, keep-the-sum")
    assert "00-start-here" not in found


def test_a_chapter_can_be_forgotten():
    exercises.exercise("add-a-worker", lambda: None)
    exercises.forget("02-builder-stage")
    assert exercises.solved(CHAPTER)
    exercises.forget(CHAPTER)
    assert not exercises.solved(CHAPTER)


def test_a_file_that_was_cut_off_counts_as_nothing_solved(reader):
    exercises.exercise("add-a-worker", lambda: None)
    (file,) = reader.rglob("solved.json")
    file.write_text('{"04-entry', encoding="utf-8")
    assert exercises.solved(CHAPTER) == []
    exercises.exercise("add-a-worker", lambda: None)
    assert exercises.solved(CHAPTER) == ["add-a-worker"]


def test_an_exercise_that_is_gone_does_not_count():
    exercises.exercise("no-longer-there", lambda: None)
    assert rows()[CHAPTER] == ("0 of 2", "add-a-worker, say-goodbye")


def test_the_table_of_a_room_is_made_of_the_files_that_were_handed_over(tmp_path):
    exercises.exercise("add-a-worker", lambda: None)
    room = tmp_path / "room"
    room.mkdir()
    exercises.save(room / "ada.json")
    exercises.exercise(exercises.names(CHAPTER)[1], lambda: None)
    exercises.save(room / "bo.json")
    (room / "notes.json").write_text("[1]")
    (room / "list.json").write_text('{"exercises solved in dockerfile-workshop": ["04"]}')
    (room / "cut.json").write_text('{"exercises')
    table, others = exercises.collect(room).parts
    column = table.headers.index("04")
    assert [(row[0], row[column]) for row in table.rows] == [
        ("ada", "1"), ("bo", "2"), ("solved all, of 2", "1")
    ]  # fmt: skip
    assert others == ("Not a file of `workshop progress --save`: cut.json, list.json, notes.json.")


def test_a_folder_without_such_files_is_refused(tmp_path):
    with pytest.raises(WorkshopError, match="holds no file"):
        exercises.collect(tmp_path)
    with pytest.raises(WorkshopError, match="is no folder"):
        exercises.collect(tmp_path / "nothing")
