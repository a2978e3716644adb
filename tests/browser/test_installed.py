"""The wheel in an empty environment: `workshop lab` starts there, and a chapter runs."""

import os
import re
import subprocess
import sys
import urllib.request

import pytest
import waiting

from workshop.engine import client
from workshop.paths import ROOT

UV = os.environ.get("UV", "uv")
START_S = 180

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The programs of an environment that has the wheel, and an environment variable's home."""
    folder = tmp_path_factory.mktemp("installed")
    call = {"cwd": ROOT, "check": True, "capture_output": True, "text": True}
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder], **call)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], **call)
    (wheel,) = folder.glob("*.whl")
    target = ["--python", folder / "venv"]
    subprocess.run([UV, "pip", "install", "--quiet", *target, wheel], **call)
    home = folder / "home"
    home.mkdir()
    return folder / "venv" / ("Scripts" if os.name == "nt" else "bin"), home


def run(installed, folder, *command):
    """Start a program of that environment in ``folder``, as somebody whose home is empty.

    Gives the process, and the file with what it prints.
    """
    programs, home = installed
    log = home.with_name("log")
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "DOCKER_HOST": client.host()}
    with log.open("w") as output:
        process = subprocess.Popen(
            [programs / command[0], *command[1:]], cwd=folder, env=environment,
            stdout=output, stderr=output,
        )  # fmt: skip
    return process, log


def test_without_the_notebooks_a_command_says_where_they_come_from(installed, tmp_path):
    process, log = run(installed, tmp_path, "workshop", "minutes")
    assert process.wait(timeout=60) == 1
    said = log.read_text()
    assert "The notebooks are not in" in said
    assert "`workshop lab` puts them there" in said
    assert list(tmp_path.iterdir()) == []


def test_the_lab_starts_in_an_empty_folder(installed, tmp_path):
    process, log = run(installed, tmp_path, "workshop", "lab", "--no-browser")
    try:
        address = waiting.wait_for(
            lambda: re.search(r"(http://127\.0\.0\.1:\d+)/lab\S*token=(\w+)", log.read_text()),
            START_S,
        )
        base, token = address.groups()
        listed = f"{base}/api/contents/notebooks/00-start-here.ipynb?token={token}"
        with urllib.request.urlopen(listed, timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_chapter_runs_in_the_copy(installed):
    _, home = installed
    copy = home / "dockerfile-for-django-devs"
    process, log = run(installed, copy / "variants", "workshop", "run", "00")
    assert process.wait(timeout=600) == 0, log.read_text()
    assert (copy / "_executed" / "00-start-here.ipynb").is_file()
    process, log = run(installed, copy, "workshop", "clean")
    assert process.wait(timeout=600) == 0, log.read_text()
