"""``check`` prints a proven claim, and a false one says what was expected and seen."""

import json
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from workshop import check
from workshop.errors import WorkshopError
from workshop.lesson import claims
from workshop.lesson.claims import ClaimFailed


def failure_of(call):
    with pytest.raises(ClaimFailed) as caught:
        call()
    return caught.value.what.splitlines()


def test_a_true_claim_is_printed_with_a_tick(capsys):
    check("two is more than one", 2 > 1)
    check("a list that holds something is true", ["x"])
    assert capsys.readouterr().out == (
        "✔ two is more than one\n✔ a list that holds something is true\n"
    )


def test_a_false_claim_prints_no_tick(capsys):
    failure_of(lambda: check("one is more than two", 1 > 2))
    assert "✔" not in capsys.readouterr().out


def test_a_comparison_names_both_sides():
    size, limit = 300, 200

    def call():
        check("the image is small", size < limit)

    assert failure_of(call) == [
        "the image is small",
        "  expected: size < limit",
        "  seen:     size = 300, limit = 200",
    ]


def test_a_method_call_names_what_it_was_made_on_and_with():
    text, start = "hello", "x"

    def call():
        check("it begins so", text.startswith(start))

    assert failure_of(call)[1:] == [
        "  expected: text.startswith(start)",
        "  seen:     text = 'hello', start = 'x'",
    ]


def test_a_function_call_names_its_arguments_not_the_function():
    steps = ["a"]

    def call():
        check("there are two", len(steps) == 2)

    assert failure_of(call)[1:] == [
        "  expected: len(steps) == 2",
        "  seen:     len(steps) = 1, steps = ['a']",
    ]


def test_a_comparison_names_the_numbers_of_calls_that_change_nothing():
    costs = SimpleNamespace(ratio=lambda name: {"bytes": 2 / 3}[name])

    def ratio():
        check("it is half", costs.ratio("bytes") < 0.5)

    def difference():
        check("they are equal", len("ab") - len("a") == 0)

    assert failure_of(ratio)[2].startswith("  seen:     costs.ratio('bytes') = 0.667, costs = ")
    assert failure_of(difference)[2] == "  seen:     len('ab') = 2, len('a') = 1"


def test_any_other_call_is_made_once():
    made = []

    def post(number):
        made.append(number)
        return number

    failure_of(lambda: check("it is two", post(1) == 2))
    failure_of(lambda: check("it is two", abs(post(1)) == 2))
    failure_of(lambda: check("it is two", made.pop() == 2))
    assert made == [1]


def test_an_attribute_chain_is_one_value():
    result = SimpleNamespace(added=SimpleNamespace(layers=0, sizes=[7]))

    def chain():
        check("it added a layer", result.added.layers == 1)

    def item():
        check("it is eight", result.added.sizes[0] == 8)

    assert failure_of(chain)[2] == "  seen:     result.added.layers = 0"
    assert failure_of(item)[2] == "  seen:     result.added.sizes[0] = 7"


def test_a_name_of_a_comprehension_is_left_out():
    names = ["a", "b"]

    def call():
        check("all are a", all(name == "a" for name in names))

    assert failure_of(call)[2] == "  seen:     names = ['a', 'b']"


def test_a_condition_without_names_shows_its_value():
    assert failure_of(lambda: check("something is there", []))[1:] == [
        "  expected: []",
        "  seen:     []",
    ]


def test_a_long_value_is_cut():
    text = "x" * 5000

    def call():
        check("it is short", len(text) < 10)

    assert len(failure_of(call)[2]) < claims.EXPLAINED + 50


def test_a_notebook_shows_an_error_without_a_traceback():
    assert WorkshopError("It broke.", "Correct it.")._render_traceback_() == [
        "✘ It broke.",
        "→ Correct it.",
    ]


def test_what_a_claim_has_seen_is_kept_when_outputs_are_stored(tmp_path, monkeypatch):
    kept, stored = tmp_path / "kept", tmp_path / "claims.json"
    monkeypatch.setenv(claims.KEEP, str(kept))
    monkeypatch.setattr(claims, "KEPT", stored)
    size, place = 300, f"{claims.ROOT}/Dockerfile"
    check("the image is large", size > 200)
    check("the file is there", place)
    claims.remember("01-first", kept, "linux")
    claims.remember("00-before", kept, "linux")
    told = json.loads(stored.read_text())
    assert list(told) == ["00-before", "01-first"]
    assert told["01-first"]["machine"] == "linux"
    assert told["01-first"]["claims"] == [
        {"cell": 0, "claim": "the image is large", "asked": "size > 200", "seen": "size = 300"},
        {"cell": 0, "claim": "the file is there", "asked": "place", "seen": "place = 'Dockerfile'"},
    ]


def test_a_claim_has_the_number_of_its_cell(tmp_path, monkeypatch):
    monkeypatch.setenv(claims.KEEP, str(tmp_path / "kept"))
    shell = InteractiveShell()
    monkeypatch.setattr(claims, "get_ipython", lambda: shell)
    shell.run_cell("from workshop import check", store_history=True)
    ran = shell.run_cell("check('two is more than one', 2 > 1)", store_history=True)
    assert json.loads((tmp_path / "kept").read_text())["cell"] == ran.execution_count == 2


def test_of_a_long_collection_the_size_is_kept_and_of_a_long_text_the_beginning(
    tmp_path, monkeypatch
):
    monkeypatch.setenv(claims.KEEP, str(tmp_path / "kept"))
    many, text = list(range(100)), "x" * 300
    check("there are many", many)
    check("it is long", text)
    first, second = map(json.loads, (tmp_path / "kept").read_text().splitlines())
    assert first["seen"] == "many = list of 100"
    assert second["seen"].startswith("text = 'xxx")
    assert second["seen"].endswith("x…")


def test_of_what_is_shown_in_several_lines_the_first_is_kept(tmp_path, monkeypatch):
    class Shown:
        def __repr__(self):
            return "one\ntwo"

    monkeypatch.setenv(claims.KEEP, str(tmp_path / "kept"))
    lines = Shown()
    check("it is there", lines)
    assert json.loads((tmp_path / "kept").read_text())["seen"] == "lines = one …"


def test_nothing_is_kept_otherwise(monkeypatch):
    monkeypatch.delenv(claims.KEEP, raising=False)
    monkeypatch.setattr(claims, "_keep", None)
    check("one is one", 1 == 1)
