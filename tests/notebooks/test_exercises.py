"""What holds for every exercise, read as a file. tests/image/test_exercises.py solves them."""

import turns

from workshop.lesson import exercises, notebooks

CHAPTERS = [path for path in notebooks.chapters() if "02" <= path.name[:2] < "99"]


def test_every_chapter_from_02_on_has_two_or_three():
    counted = {path.stem: len(turns.turns(path)) for path in CHAPTERS}
    assert {stem: count for stem, count in counted.items() if count not in (2, 3)} == {}


def test_each_has_a_task_a_cell_to_change_a_verdict_hints_and_a_solution():
    for turn in turns.ALL:
        assert turn.name, turn.cells["check"][-1]
        assert len(turn.cells["exercise"]) >= 2, turn.name
        assert "def missing():" in turn.cells["check"][-1], turn.name
        for folded in [*turn.cells["hint"], *turn.cells["solution"]]:
            assert folded.startswith("<details>\n<summary>"), turn.name
            assert folded.endswith("</details>"), turn.name
        assert turn.cells["hint"], turn.name
        assert len(turn.cells["solution"]) == 1, turn.name


def test_each_was_tried_with_three_wrong_answers_and_two_other_right_ones():
    for turn in turns.ALL:
        assert len(turn.wrong) >= 3, turn.name
        assert len(turn.right) >= 2, turn.name
        assert turn.solution.strip() not in [answer.strip() for answer in turn.right], turn.name


def test_no_answer_lies_about_that_no_exercise_asks_for():
    named = {f"{turn.chapter.name[:2]}.toml" for turn in turns.ALL}
    assert {path.name for path in turns.ANSWERS.iterdir()} == named
    assert all(turn.wrong for turn in turns.ALL)


def test_their_names_differ_and_progress_knows_them():
    names = [turn.name for turn in turns.ALL]
    assert len(set(names)) == len(names)
    assert names == [n for path in notebooks.chapters() for n in exercises.names(path.stem)]


def test_the_stored_outputs_are_those_of_nothing_solved():
    import nbformat

    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        verdicts = [c for c in cells if c.cell_type == "code" and "\nexercise(" in c.source]
        for cell in verdicts:
            assert cell.outputs[0].text.startswith("Not yet: "), cell.source
