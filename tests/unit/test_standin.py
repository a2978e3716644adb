"""The archive of a stand-in is named by what the stand-in is made from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from workshop.bases import standin

PYTHON, POSTGRES = "python:3.13-slim", "postgres:17"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes and certificates of a machine that has Debian's mirrors."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(standin, "_RECIPES", tmp_path)
    monkeypatch.setattr(standin, "_CERTIFICATES", tmp_path / "certificates")
    monkeypatch.setattr(standin, "_mirrors", lambda: ("http://mirror.example/debian", ""))
    (tmp_path / "debian").mkdir()
    (tmp_path / "certificates").mkdir()
    for file in ("python.Dockerfile", "postgres.Dockerfile", "debian/finish.sh"):
        (tmp_path / file).write_text("some text\n")
    return tmp_path


def changed(before: dict[str, Path]) -> list[str]:
    return [name for name in before if standin.archive(name) != before[name]]


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("python.Dockerfile", [PYTHON]),
        ("postgres.Dockerfile", [POSTGRES]),
        ("postgres-entrypoint.sh", [POSTGRES]),
        ("debian/finish.sh", [PYTHON, POSTGRES]),
        ("certificates/company.crt", [PYTHON, POSTGRES]),
        ("README", []),
    ],
)
def test_a_change_of_the_recipe_is_another_archive(
    machine: Path, file: str, names: list[str]
) -> None:
    before = {name: standin.archive(name) for name in (PYTHON, POSTGRES)}
    assert changed(before) == []
    (machine / file).write_text("another text\n")
    assert changed(before) == names


def test_other_mirrors_are_another_archive(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: standin.archive(name) for name in (PYTHON, POSTGRES)}
    monkeypatch.setattr(standin, "_mirrors", lambda: ("http://other.example/debian", ""))
    assert changed(before) == [PYTHON, POSTGRES]


def test_every_stand_in_has_a_recipe() -> None:
    from workshop.bases.images import BASE_IMAGES

    assert set(BASE_IMAGES) <= set(standin.BUILDS)
    for name in standin.BUILDS:
        assert (standin._RECIPES / f"{name.partition(':')[0]}.Dockerfile").is_file()


@pytest.mark.skipif(shutil.which("bash") is None, reason="the entrypoint is a script for bash")
def test_scripts_of_a_new_database_see_what_came_by_file(tmp_path: Path) -> None:
    """The entrypoint itself, with programs in PostgreSQL's place that do nothing."""
    programs, scripts, data = (tmp_path / name for name in ("bin", "scripts", "data"))
    for folder in (programs, scripts, data):
        folder.mkdir()
    for name in ("initdb", "pg_ctl", "createdb", "postgres", "id"):
        (programs / name).write_text("#!/bin/sh\necho 999\n")
        (programs / name).chmod(0o755)
    words = 'echo "$POSTGRES_USER $POSTGRES_DB $POSTGRES_PASSWORD" >> "$PGDATA/seen"\n'
    (scripts / "1.sh").write_text(f"#!/bin/sh\n{words}")
    (scripts / "1.sh").chmod(0o755)
    # Not executable, so it is sourced: what it sets stays for the next one.
    (scripts / "2.sh").write_text(f"{words}export SET_BY=2.sh\n")
    (scripts / "3.sh").write_text('echo "$SET_BY $NOT_SET" >> "$PGDATA/seen"\n')
    (tmp_path / "password").write_text("secret\n")
    script = (standin._RECIPES / "postgres-entrypoint.sh").read_text()
    (tmp_path / "start.sh").write_text(script.replace("/docker-entrypoint-initdb.d", str(scripts)))
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGDATA": str(data),
        "POSTGRES_USER": "reading",
        "POSTGRES_PASSWORD_FILE": str(tmp_path / "password"),
    }
    command = ["bash", str(tmp_path / "start.sh"), "postgres"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    seen = (data / "seen").read_text().splitlines()
    assert seen == ["reading reading secret", "reading reading secret", "2.sh "]
