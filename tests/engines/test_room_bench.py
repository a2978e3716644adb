"""Two readers at once, on an engine of their own whose build cache is empty."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machine

from workshop.bench import room
from workshop.engine import embedded
from workshop.lesson import claims
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

AT_ONCE = """
import sys
from pathlib import Path
from workshop.bench import room
print(room._round(2, Path(sys.argv[1])))
"""


def test_two_readers_at_once_get_the_results_of_one(
    machine: Machine, with_bases: Callable[[embedded.Store], dict[str, str]], tmp_path: Path
) -> None:
    done = subprocess.run(
        machine.inside(sys.executable, "-c", AT_ONCE, str(tmp_path)),
        cwd=ROOT, env=with_bases("classic"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    # What one reader got when the outputs of these chapters were stored.
    alone = [
        (one["cell"], one["claim"])
        for chapter, told in claims.stored().items()
        if chapter[:2] in room.CHAPTERS
        for one in told["claims"]
    ]
    for number in range(2):
        kept = (tmp_path / str(number) / room.KEPT).read_text(encoding="utf-8")
        found = [json.loads(line) for line in kept.splitlines()]
        assert [(one["cell"], one["claim"]) for one in found] == alone
