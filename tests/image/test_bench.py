"""The benchmark measures, and agrees with the answer that is kept in docs/benchmark.json."""

import secrets

import pytest

from workshop.bench import measure, pushes, report, serving
from workshop.bench.dockerfiles import COMPARED_WITH
from workshop.lesson.workspace import Workspace
from workshop.paths import VARIANTS

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.slow]


def test_one_round_measures_every_column_and_says_what_it_does(capfd):
    found = measure.run(1, ["production"])
    row = found.rows["production"]
    assert list(row) == list(report.COLUMNS)
    assert row["compressed_bytes"] < row["bytes_over_base"]
    assert row["lost_requests"] == 0
    said = capfd.readouterr().err
    assert "Round 1 of 1, production" in said
    assert "added package" in said
    assert "other containers ran" in found.busy
    assert "Times as much as production, one round" in found.text()


def test_an_image_without_static_files_answers_under_load():
    """The one-stage image has none, so that / was an error and its row said 0 answers.

    Now that would be an error of the measurement, which is raised.
    """
    space = Workspace("bench-one-stage")
    space.use(VARIANTS / "one-stage.Dockerfile")
    space.build()
    assert "requests_per_s" in dict(serving.measure(space, serving.build_load_generator(space)))


def test_a_new_run_points_where_the_kept_answer_points():
    """Compared where that one is clear: half as much or less, or twice as much or more."""
    kept = report.stored()
    found = measure.run(3, [COMPARED_WITH, "production"], cold=False)
    clear = [
        column
        for column in found.rows["production"]
        if kept.ratio(column) <= 0.5 or kept.ratio(column) >= 2
    ]
    assert "bytes_over_base" in clear
    assert [c for c in clear if (kept.ratio(c) < 1) != (found.ratio(c) < 1)] == []
    assert found.rows["production"]["lost_requests"] == 0


def test_the_bytes_of_a_push_are_those_that_the_registry_gets():
    """Its network counts them as well: the same, and what HTTP and TCP add."""
    space = Workspace("test-pushes")
    space.write("noise", secrets.token_hex(2_000_000))
    space.write("Dockerfile", "FROM scratch\nCOPY noise /noise\n")
    space.build()
    with pushes.started(space) as registry:

        def received():
            (line,) = [
                line
                for line in registry.container.exec("cat", "/proc/net/dev").stdout.splitlines()
                if line.strip().startswith("eth0:")
            ]
            return int(line.split()[1])

        for _ in range(2):
            before = received()
            told = registry.push(space.tag)
            assert told <= received() - before < 1.1 * told + 100_000
        assert told == 0
