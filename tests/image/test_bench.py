"""One round of the benchmark, with the one Dockerfile that everything else is compared with."""

import pytest

from workshop.bench import dockerfiles

pytestmark = pytest.mark.usefixtures("left_clean")


def test_one_round_measures_every_column_and_says_what_it_does(capfd):
    found = dockerfiles.run(1, ["production"])
    row = found.rows["production"]
    assert list(row) == list(dockerfiles.COLUMNS)
    assert 20e6 < row["compressed_bytes"] < row["bytes_over_base"] < 100e6
    # What a build without any cache takes, and what is left of it after small edits.
    assert row["noop_s"] < row["edit_s"] < row["dependency_s"] < row["cold_s"]
    assert 0.05 < row["check_s"] < 10
    assert 0.1 < row["start_s"] < 30
    assert 10e6 < row["memory_bytes"] < 1e9
    assert row["requests_per_s"] > 5
    assert row["lost_requests"] == 0
    said = capfd.readouterr().err
    assert "Round 1 of 1, production" in said
    assert "added package" in said
    assert "other containers ran" in found.busy
    assert "Times as much as production, one round" in found.text()
