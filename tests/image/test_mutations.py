"""Claims that were seen failing: chapters run with something wrong in them."""

import mutated
import pytest

from workshop.run import containers

pytestmark = pytest.mark.slow

FILES = sorted(mutated.MUTATIONS.glob("*.toml"))
RUNS = [run for file in FILES for run in mutated.runs(file)]


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_claims_that_it_makes_false_fail(run, tmp_path):
    try:
        failed = mutated.failing(run, tmp_path)
    finally:
        # Something wrong may leave something behind.
        containers.remove_of(run.chapter.stem)
    held = [claim for claim in run.fails if claim not in failed]
    assert not held, "These claims held: " + "; ".join(held)
