"""What compose.yaml needs and no repository may hold."""

import shutil
import subprocess
import sys

import pytest

from workshop.paths import VARIANTS


@pytest.fixture
def make(tmp_path):
    (tmp_path / "container").mkdir()
    script = tmp_path / "container" / "make_secrets.py"
    shutil.copy(VARIANTS / "stack" / "container" / script.name, script)
    return lambda: (
        subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout
    )


def test_settings_that_are_there_stay(tmp_path, make):
    settings = tmp_path / ".env"
    settings.write_text("MY_SECRETS=./secrets\nFOO=bar")
    make()
    made = settings.read_text()
    assert made.splitlines()[:3] == ["MY_SECRETS=./secrets", "FOO=bar", "SECRETS=./secrets"]
    make()
    assert settings.read_text() == made


def test_what_was_made_stays_and_nobody_else_gets_into_the_folder(tmp_path, make):
    (tmp_path / "secrets").mkdir(mode=0o755)
    make()
    key = (tmp_path / "secrets" / "secret_key").read_text()
    make()
    assert (tmp_path / "secrets" / "secret_key").read_text() == key
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_database_that_is_older_than_its_password_is_spoken_of(tmp_path, make):
    told = 'psql -U reading -c "\\password"'
    assert told not in make()  # no database can be there yet
    assert told not in make()
    shutil.rmtree(tmp_path / "secrets")
    assert told in make()
