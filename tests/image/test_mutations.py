"""Claims that were seen failing: chapters run with something wrong in them."""

import mutated
import pytest

pytestmark = pytest.mark.slow

FILES = sorted(mutated.MUTATIONS.glob("*.toml"))
RUNS = [run for file in FILES for run in mutated.runs(file)]


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_claims_that_it_makes_false_fail(run, tmp_path):
    failed = mutated.failing(run, tmp_path)
    assert [claim for claim in run.fails if claim not in failed] == []
