"""The archive of a stand-in is named by what the stand-in is made from."""

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
