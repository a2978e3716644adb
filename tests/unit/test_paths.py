"""Where programs and the reader's state are."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

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


def test_a_copy_that_is_made_again_keeps_what_the_reader_changed(tmp_path, monkeypatch):
    carried, copy = tmp_path / "carried", tmp_path / "copy"
    for name in (paths.FIRST, "02.ipynb"):
        (carried / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        (carried / "notebooks" / name).write_text("new")
    monkeypatch.setattr(paths, "CARRIED", carried)
    monkeypatch.setattr(paths, "ROOT", copy)
    monkeypatch.setattr(paths, "NOTEBOOKS", copy / "notebooks")
    (copy / "notebooks").mkdir(parents=True)
    (copy / "notebooks" / "02.ipynb").write_text("mine")
    assert paths.copy_carried()
    found = {path.name: path.read_text() for path in (copy / "notebooks").iterdir()}
    assert found == {paths.FIRST: "new", "02.ipynb": "mine"}
    assert not paths.copy_carried()


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """A folder for temporary files of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path / "temporary"


def test_state_goes_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert paths.state_folder() == tmp_path / "state" / "dockerfile-workshop"
    assert paths.state_folder().is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system has another place")
def test_state_goes_below_the_home_otherwise(monkeypatch, tmp_path, temporary):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.state_folder() == tmp_path / ".local/state/dockerfile-workshop"


@pytest.mark.skipif(os.name == "nt", reason="homes are looked up in another way")
@pytest.mark.parametrize("home", ["none", "file"])
def test_a_home_that_cannot_be_used_is_no_obstacle(monkeypatch, tmp_path, temporary, home):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    folder = paths.state_folder()
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.name == "nt", reason="homes are looked up in another way")
def test_somebody_elses_folder_among_the_temporary_files_is_not_used(
    monkeypatch, tmp_path, temporary
):
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    (tmp_path / "theirs").mkdir()
    (temporary / f"dockerfile-workshop-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(PermissionError):
        paths.state_folder()
