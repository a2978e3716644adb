"""How many claims are seen failing by tests/image/test_mutations.py, counted without running it."""

import mutated
import pytest

from workshop.paths import ROOT

FILES = sorted(mutated.MUTATIONS.glob("*.toml"))

KINDS = ("run", "cluster")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_claim_is_seen_failing_or_has_a_reason(file, kind):
    claims = mutated.claims(mutated.chapter_of(file), kind)
    seen = {claim for run in mutated.runs(file, kind) for claim in run.fails}
    reasons = mutated.unseen(file) if kind == "run" else {}
    # Of two with one text, a run could not tell which one failed.
    assert len(set(claims)) == len(claims)
    assert seen <= set(claims)
    assert set(reasons) <= set(claims) - seen
    assert [claim for claim in claims if claim not in seen and claim not in reasons] == []
    assert len(seen) >= 0.9 * len(claims) or len(claims) - len(seen) == 1


@pytest.mark.parametrize(
    "run", [run for kind in KINDS for file in FILES for run in mutated.runs(file, kind)], ids=str
)
def test_each_text_that_is_changed_is_in_one_place(run):
    for source in mutated.changed(run):
        # A cell that is not valid Python any more would fail nothing: it would not run.
        mutated.checks(source)
    for path, old, _ in run.files:
        assert old in (ROOT / path).read_text(encoding="utf-8")


def test_the_claims_that_runs_saw_failing_are_counted():
    file, other = FILES[:2]
    one, another = mutated.runs(file)[0], mutated.runs(other)[0]
    held, all_ = mutated.counted({str(one): True, str(another): False})
    assert held == len(one.fails)
    assert all_ == sum(len(mutated.claims(run.chapter)) for run in (one, another))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_thing_is_changed_and_not_what_is_asked_of_it(file):
    sources = mutated.changed(mutated.Run(mutated.chapter_of(file), 0))
    calls = "\n".join(call for source in sources for _, call in mutated.checks(source))
    told = [old for kind in KINDS for run in mutated.runs(file, kind) for old, _ in run.changes]
    assert [old for old in told if "\n".join(sources).count(old) == calls.count(old)] == []
