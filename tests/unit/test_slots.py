"""How many builds run at once, and what a larger room would need, without an engine."""

import subprocess
import sys

import pytest

from workshop.bench import room as bench
from workshop.build import slots
from workshop.engine import client
from workshop.paths import ROOT

HOLD = """
import sys
from pathlib import Path
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def room(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_ROOM", str(tmp_path))
    monkeypatch.setattr(client, "host", lambda: "unix:///an/engine.sock")
    monkeypatch.setattr(slots, "_count", lambda: 2)
    monkeypatch.setattr(slots, "LOOK_S", 0.01)


def test_two_build_at_once_and_the_third_is_told_that_it_waits():
    told = []
    with slots.slot(told.append):
        others = slots._files()
        # The second slot is another process's, which is then killed.
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, others[1]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout.readline() == "held\n"
        assert told == []

        def tell(line):
            told.append(line)
            if len(told) == 3:
                holder.kill()
                holder.wait()

        with slots.slot(tell):
            assert len(told) >= 3
            assert told[0].startswith("waiting for 2 other builds on this engine")


def test_a_slot_is_free_again_after_a_build_that_failed():
    told = []
    for _ in range(3):
        with pytest.raises(ValueError, match="failed"), slots.slot(told.append):
            raise ValueError("failed")
    assert told == []


def test_another_engine_has_slots_of_its_own(monkeypatch):
    here = slots._files()
    monkeypatch.setattr(client, "host", lambda: "tcp://192.0.2.1:2376")
    assert not set(here) & set(slots._files())


def test_a_larger_room_needs_processors_for_the_work_that_it_adds():
    rounds = [
        bench.Round(4, [160.0] * 4, [200_000] * 4, [5] * 4),
        bench.Round(8, [200.0] * 8, [200_000] * 8, [5] * 8),
    ]
    # 420 s with 4 processors, and 200 s with 2.1 times as many.
    assert bench.Room(rounds, ["02"], "2026-01-31", "linux, 4 processors").processors() == 9


def test_the_guide_tells_how_many_processors_thirty_need():
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    assert f"take a machine with {bench.stored().processors()} processors" in guide
