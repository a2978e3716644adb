"""A Dockerfile that grows step by step, whatever the order: no engine is asked."""

import pytest

from workshop.build import grammar
from workshop.errors import WorkshopError
from workshop.lesson.draft import Draft

BASE = "FROM python:3.13-slim"
A = "RUN make a"


@pytest.fixture
def draft():
    """A draft that begins with two steps and has two more planned."""
    return Draft((BASE, A), ("b", "c"))


def text_of(*steps):
    return grammar.join([BASE, *steps])


# Put


def test_a_step_that_is_put_twice_is_replaced(draft):
    first = draft.put("b", "ENV B=1")
    assert first.text == text_of(A, "ENV B=1")
    assert first.put("b", "ENV B=2\n").text == text_of(A, "ENV B=2")


def test_a_draft_never_changes(draft):
    draft.put("b", "ENV B=1").put("c", "ENV C=1")
    draft.replace("x", "ENV X=1", "make a")
    assert draft == Draft((BASE, A), ("b", "c"))


def test_the_dockerfile_ends_with_a_step_that_is_put_again_and_the_next_one_still_works(draft):
    whole = draft.put("b", "RUN b").put("c", "RUN c")
    again = whole.put("b", "RUN b")
    assert again.text == text_of(A, "RUN b")
    assert again.put("c", "RUN c") == whole


def test_a_planned_step_out_of_order_names_the_cell_to_run_first(draft):
    with pytest.raises(WorkshopError) as caught:
        draft.put("c", "ENV C=1")
    assert "'c' comes after 'b'" in caught.value.what
    assert caught.value.fix == "Run the cell `%%dockerfile b` first."


def test_a_step_that_no_plan_knows_goes_after_the_newest(draft):
    tried = draft.put("tried", "ENV TRIED=1")
    both = tried.put("b", "ENV B=1")
    assert both.text == text_of(A, "ENV TRIED=1", "ENV B=1")
    again = both.put("tried", "ENV TRIED=2")
    assert again.text == text_of(A, "ENV TRIED=2")
    assert again.put("b", "ENV B=1").text == text_of(A, "ENV TRIED=2", "ENV B=1")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("", "holds no instruction"),
        ("\n  \n", "holds no instruction"),
        ("# only a comment", "holds no instruction"),
        ("ENV B=1\n\nENV C=1", "holds a blank line"),
    ],
)
def test_a_step_is_one_paragraph_with_an_instruction(draft, step, said):
    with pytest.raises(WorkshopError, match=said) as caught:
        draft.put("b", step)
    assert caught.value.fix


def test_a_heredoc_may_hold_a_blank_line(draft):
    script = "RUN <<EOF\necho one\n\necho two\nEOF"
    assert draft.put("b", script).steps[-1] == script


def test_an_argument_for_from_may_be_a_step_of_its_own():
    draft = Draft(plan=("argument", "base"))
    draft = draft.put("argument", "ARG IMAGE=python:3.13-slim").put("base", "FROM ${IMAGE}")
    assert grammar.base_image(draft.text) == "python:3.13-slim"


# Replace


def test_steps_are_replaced_from_the_first_to_the_last_that_is_named(draft):
    change = draft.put("b", "ENV B=1").replace("smaller", "RUN less\n\nENV C=1", "make a", "ENV B")
    assert change.text == text_of("RUN less", "ENV C=1")
    assert change.above == (BASE, A, "ENV B=1")


def test_a_step_can_be_put_after_steps_were_replaced(draft):
    change = draft.put("b", "ENV B=1").replace("other", "RUN other", "make a")
    assert change.put("c", "ENV C=1").text == text_of("RUN other", "ENV B=1", "ENV C=1")


def test_a_step_that_is_put_again_undoes_what_replaced_it(draft):
    change = draft.put("b", "ENV B=1").replace("other", "ENV OTHER=1", "ENV B")
    assert change.put("b", "ENV B=2").text == text_of(A, "ENV B=2")


def test_a_change_made_once_more_undoes_the_later_ones(draft):
    two = draft.replace("one", "ENV ONE=1", "make a").replace("two", "ENV TWO=1", "ONE")
    again = two.replace("one", "ENV ONE=2", "make a")
    assert again.text == text_of("ENV ONE=2")
    assert again.replace("two", "ENV TWO=1", "ONE").above == (BASE, "ENV ONE=2")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["no such text"], "No steps"),
        (["make"], "2 steps"),
        (["make a", "FROM"], "comes before"),
    ],
)
def test_what_is_replaced_must_be_one_step(draft, parts, said):
    with pytest.raises(WorkshopError, match=said) as caught:
        Draft((BASE, A, "RUN make b")).replace("x", "ENV X=1", *parts)
    assert caught.value.fix


# What is asked of it


def test_the_text_of_a_step(draft):
    both = draft.put("b", "# why\nENV B=1").put("c", "ENV C=1")
    assert both.step() == "ENV C=1"
    assert both.step("b") == "# why\nENV B=1"
    assert both.step("no-such-step") == ""
    assert both.replace("x", "ENV X=1", "make a").step() == ""
    assert draft.step() == ""


def test_an_empty_draft_is_an_empty_dockerfile():
    assert Draft().text == ""
    assert Draft().above == ()
