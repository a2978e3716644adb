"""The table of the benchmark, and what it refuses; tests/image/test_bench.py measures."""

import gzip
import io
import json

import pytest

from workshop.bench import dockerfiles
from workshop.errors import WorkshopError


@pytest.fixture
def result():
    rows = {
        name: dict.fromkeys(dockerfiles.COLUMNS, factor * 1000.0)
        for name, factor in ((dockerfiles.COMPARED_WITH, 2), ("production", 1))
    }
    return dockerfiles.Benchmark(rows, 3, "Nothing else.")


def test_ratios_come_first_and_a_picture_last(result):
    first, second, busy, picture = result.parts().parts
    assert "medians of 3 rounds" in first.caption
    assert first.rows[1] == ("production", *["0.50"] * len(dockerfiles.COLUMNS))
    assert second.rows[1][:4] == ("production", "1.0 kB", "1.0 kB", "1000.0 s")
    assert busy == "Nothing else."
    assert result.ratio("cold_s") == 0.5
    assert picture.png.startswith(b"\x89PNG")
    assert f"cold build: {dockerfiles.COMPARED_WITH} 2000.0 s, production 1000.0 s" in picture.alt
    whole, half = [line for line in picture.text().splitlines() if "000.0 s" in line][:2]
    assert whole.count("█") == 2 * half.count("█") > 0


def test_what_was_left_out_has_no_column(result):
    for values in result.rows.values():
        del values["cold_s"]
    assert "cold build" not in result.text()
    assert "edited line" in result.text()


def test_a_page_that_is_an_error_is_named(result):
    result.rows["production"]["requests_per_s"] = 0
    assert "production: / is answered with an error." in result.text()


def test_the_json_is_as_the_contract_says(result):
    told = json.loads(json.dumps(result.as_json()))
    keys = [
        "dockerfile",
        "bytes_over_base",
        "cold_s",
        "edit_s",
        "dependency_s",
        "noop_s",
        "start_s",
    ]
    assert all(set(keys) <= row.keys() for row in told["rows"])


def test_a_dockerfile_that_is_not_there_is_refused():
    with pytest.raises(WorkshopError, match="no Dockerfile 'podman'") as caught:
        dockerfiles.run(1, ["podman"])
    assert "production" in caught.value.fix


def test_no_round_is_refused():
    with pytest.raises(WorkshopError, match="No round"):
        dockerfiles.run(0)


def test_every_dockerfile_is_there():
    assert all(path.is_file() for path in dockerfiles.DOCKERFILES.values())


def test_packed_bytes_are_those_of_gzip():
    data = bytes(range(256)) * 5000
    assert abs(dockerfiles._packed(io.BytesIO(data)) - len(gzip.compress(data, 6))) < 100
