"""How long a chapter takes is counted, and what a chapter says of itself is that count."""

import json

import pytest

from workshop.lesson import minutes


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    monkeypatch.setattr(minutes, "RAN", tmp_path / "seconds.json")
    path = tmp_path / "77-counted.ipynb"

    def cell(kind, words, tag=""):
        tags = {"tags": [tag]} if tag else {}
        return {"cell_type": kind, "metadata": tags, "source": ["word "] * words}

    cells = [
        cell("markdown", 400),
        cell("code", 300),
        cell("markdown", 1000, "exercise"),
        cell("code", 1000, "check"),
    ]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def test_text_and_code_are_counted_without_the_exercises(chapter):
    found = minutes.of_chapter(chapter)
    assert (found.text, found.code, found.running) == (2.0, 3.0, 0.0)
    assert found.chapter == 5


def test_running_counts_as_it_was_kept(chapter):
    minutes.remember("77-counted", 60.4)
    minutes.remember("78-other", 10)
    assert minutes.of_chapter(chapter).running == 1.0
    assert minutes.of_chapter(chapter).chapter == 10


def test_the_table_has_the_sum_of_both(chapter):
    rows = minutes.as_table([chapter, chapter]).rows
    assert rows[0] == ("77-counted", "2.0", "3.0", "0.0", 5, 0)
    assert rows[-1] == ("all", "", "", "", 10, 0)
