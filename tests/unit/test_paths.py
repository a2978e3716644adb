"""Programs are found in the tutorial's own environment first."""

import sys
from pathlib import Path

from workshop import paths


def test_a_program_of_the_environment_comes_before_that_of_the_path(tmp_path, monkeypatch):
    other = tmp_path / "ruff"
    other.write_text("")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(paths.program("ruff")).parent == Path(sys.executable).parent


def test_a_program_that_is_nowhere_is_none(monkeypatch):
    monkeypatch.delenv("PATH")
    assert paths.program("no-such-program") is None
