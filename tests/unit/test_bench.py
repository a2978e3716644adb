"""The table of the benchmark, and what it refuses; tests/image/test_bench.py measures."""

import gzip
import io
import json
import math
import re

import pytest

from workshop.bench import (
    builds,
    machines,
    measure,
    migrators,
    pooler,
    pushes,
    report,
    room,
    workers,
)
from workshop.bench.dockerfiles import COMPARED_WITH, DOCKERFILES, VARIATIONS
from workshop.errors import WorkshopError
from workshop.paths import ROOT, VARIANTS
from workshop.show.display import size


@pytest.fixture
def result():
    rows = {
        name: dict.fromkeys(report.COLUMNS, factor * 1000.0)
        for name, factor in ((COMPARED_WITH, 2), ("production", 1))
    }
    return report.Benchmark(rows, 3, "Nothing else.", "2026-01-31", "linux, 2 processors")


def test_ratios_come_first_and_a_picture_last(result):
    first, second, machine, compared, picture = result.parts().parts
    assert "medians of 3 rounds" in first.caption
    assert first.rows[1] == ("production", *["0.50"] * len(report.COLUMNS))
    assert second.caption == "Measured on 2026-01-31"
    assert second.rows[1][:4] == ("production", "1.0 kB", "1.0 kB", "1000.0 s")
    assert machine == "The machine: linux, 2 processors. Nothing else."
    assert "same settings" in compared
    assert "how a server drains" in compared
    assert result.ratio("cold_s") == 0.5
    assert picture.png.startswith(b"\x89PNG")
    assert f"cold build: {COMPARED_WITH} 2000.0 s, production 1000.0 s" in picture.alt
    whole, half = [line for line in picture.text().splitlines() if "000.0 s" in line][:2]
    assert whole.count("█") == 2 * half.count("█") > 0


def test_what_was_left_out_has_no_column(result):
    for values in result.rows.values():
        del values["cold_s"]
    assert "cold build" not in result.text()
    assert "edited line" in result.text()


def test_the_json_is_as_the_contract_says(result):
    told = json.loads(json.dumps(result.as_json()))
    keys = {"dockerfile", "bytes_over_base", "cold_s", "edit_s", "dependency_s", "noop_s"}
    assert all((keys | {"start_s"}).issubset(row) for row in told["rows"])
    assert report.of_json(told) == result


def test_the_stored_answer_is_dated_and_whole():
    found = report.stored()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)
    assert "processors" in found.machine
    assert list(found.rows) == list(DOCKERFILES)
    assert list(report.stored("variations").rows) == list(VARIATIONS)
    for values in found.rows.values():
        assert list(values) == found.columns
        assert {"bytes_over_base", "edit_s", "check_s", "lost_requests"}.issubset(values)


def test_the_readme_tells_the_stored_answer():
    found = report.stored()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.as_markdown() in readme
    assert found.date in readme
    assert found.machine in readme
    assert found.busy in readme


def test_the_readme_tells_the_stored_answer_of_the_migrators():
    found = migrators.stored()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.as_markdown() in readme
    assert found.date in readme
    assert [len(tries) for tries in found.statuses.values()] == [migrators.TRIES] * 2


def test_the_readme_tells_the_stored_answer_of_the_pushes():
    found = pushes.stored()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.as_markdown() in readme
    assert found.date in readme
    assert list(found.pushes) == list(DOCKERFILES)


def test_the_readme_tells_the_stored_answer_of_the_machines():
    found = machines.stored()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.as_markdown() in readme
    assert found.date in readme
    assert found.events["rolling update"].requests >= machines.LEAST


def with_memory(monkeypatch, gib):
    engine = type("Engine", (), {"info": lambda self: {"MemTotal": int(gib * 2**30)}})
    monkeypatch.setattr(machines.client, "connect", engine)


def test_three_machines_on_an_engine_with_little_memory_are_one_sentence(monkeypatch):
    with_memory(monkeypatch, 3.9)
    with pytest.raises(WorkshopError) as told:
        machines.require()
    assert told.value.what == "Three more engines need 4 GiB of memory, and this one has 3.9."


def test_an_engine_that_runs_no_privileged_container_is_one_sentence(monkeypatch):
    def refuse(*_, **__):
        raise WorkshopError("privileged mode is incompatible.", "Look at its log.")

    with_memory(monkeypatch, 4)
    monkeypatch.setattr(machines.containers, "run", refuse)
    with pytest.raises(WorkshopError) as told:
        machines.require()
    assert told.value.what == (
        "This engine runs no privileged container. privileged mode is incompatible."
    )
    assert "read the stored outputs" in told.value.fix


def test_the_load_goes_on_until_the_load_balancer_has_given_up_a_machine():
    """What still waits when the clients stop is counted nowhere."""
    settings = (VARIANTS / "swarm" / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
    (patience,) = re.findall(r"timeout server (\d+)s", settings)
    assert int(patience) < machines.PATIENCE_S


def needs(answers_per_s, memory):
    """The rows of docs/scaling.md, of one container with two processes of four threads."""
    for rate in (10, 100, 1_000, 10_000):
        containers = max(2, math.ceil(rate / (answers_per_s / 2)))
        connections = containers * 2 * 4
        yield [
            f"{rate:,}",
            f"{containers:,}",
            f"{containers * memory / 1e6:,.0f} MB",
            f"{connections:,}{' (too many)' if connections > 100 else ''}",
        ]


@pytest.mark.parametrize("times", [1, 20])
def test_the_page_on_scaling_reckons_with_what_was_measured(times):
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    seen = report.stored().rows["production"]
    assert f"answered {seen['requests_per_s']:.0f} requests a second" in page
    assert f"held {size(int(seen['memory_bytes']))} of memory" in page
    heads = ["requests a second", "containers", "memory", "connections"]
    rows = needs(seen["requests_per_s"] / times, seen["memory_bytes"])
    assert report.markdown([heads, ["---:"] * 4, *rows]) in page


def test_the_page_on_scaling_tells_the_stored_answer_of_the_pooler():
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    found = pooler.stored()
    assert found.as_markdown() in page
    assert found.date in page
    assert [row.threads for row in found.found] == [
        pooler.PROCESSES * threads for threads in pooler.THREADS for _ in pooler.WAYS
    ]


def test_the_readme_tells_the_stored_answer_of_the_workers():
    found = workers.stored()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found.as_markdown() in readme
    assert found.date in readme
    assert list(found.stops) == list(workers.WAYS)


def test_the_guide_tells_the_stored_answer_of_a_room():
    found = room.stored()
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    assert found.as_markdown() in guide
    assert found.date in guide
    assert [each.readers for each in found.rounds] == list(room.READERS)
    # Everybody gets what one reader gets.
    alone = found.rounds[0].claims[0]
    assert all(each.claims == [alone] * each.readers for each in found.rounds)


def test_a_larger_room_is_on_the_line_through_the_last_two_rounds():
    rounds = [
        room.Round(1, [100.0], [200_000], [5]),
        room.Round(4, [140.0, 160.0, 150.0, 120.0], [200_000] * 4, [5] * 4),
        room.Round(8, [200.0] * 8, [250_000] * 8, [5] * 7 + [4]),
    ]
    rows = room.Room(rounds, ["02"], "2026-01-31", "linux").rows()
    assert rows[1] == ("4", "160 s", "1.6", "20 of 20", "0.8 GB")
    assert rows[2] == ("8", "200 s", "2.0", "39 of 40", "2.0 GB")
    # 10 s for each reader more, and a quarter of a gigabyte.
    assert rows[3] == ("30, computed", "420 s", "4.2", "", "7.5 GB")


def test_failures_of_migrators_are_counted_by_try_and_by_container():
    statuses = {"a": [[0, 1, 1], [0, 0, 0]], "b": [[0, 0, 0], [0, 0, 0]]}
    found = migrators.Migrators(statuses, "2026-01-31", "linux")
    assert found.rows() == [("a", "1 of 2", "2 of 6"), ("b", "0 of 2", "0 of 6")]


def test_a_dockerfile_that_is_not_there_is_refused():
    with pytest.raises(WorkshopError, match="no Dockerfile 'podman'") as caught:
        measure.run(1, ["podman"])
    assert "production" in caught.value.fix


def test_no_round_is_refused():
    with pytest.raises(WorkshopError, match="No round"):
        measure.run(0)


def test_every_dockerfile_is_there():
    assert all(path.is_file() for path in [*DOCKERFILES.values(), *VARIATIONS.values()])


def test_packed_bytes_are_those_of_gzip():
    data = bytes(range(256)) * 5000
    assert abs(builds.packed_bytes(io.BytesIO(data)) - len(gzip.compress(data, 6))) < 100


@pytest.mark.parametrize("level", [1, 9])
def test_a_layer_that_was_kept_packed_weighs_the_same(level):
    data = bytes(range(256)) * 5000
    kept = io.BytesIO(gzip.compress(data, level))
    assert builds.packed_bytes(kept) == builds.packed_bytes(io.BytesIO(data))
