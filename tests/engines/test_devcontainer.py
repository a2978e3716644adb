""".devcontainer: its commands, run as an editor runs them, end in a machine that is ready."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys

import pytest

from workshop.bases import images
from workshop.engine import client, session
from workshop.paths import ROOT, state_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FOLDER = "/workspaces/tutorial"


def test_its_commands_make_a_machine_that_is_ready() -> None:
    if sys.platform != "linux" or not client.host().startswith("unix:"):
        pytest.skip("an engine in an engine, on Linux")
    images.ensure()
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    name = f"{session.prefix()}-{secrets.token_hex(4)}"
    mounts = [mount.replace("${devcontainerId}", name) for mount in settings["mounts"]]
    labels = [f"--label={key}={value}" for key, value in session.labels().items()]

    def docker(*words: str, given: bytes | None = None) -> str:
        done = subprocess.run(
            [client.cli(), *words], env=client.environment(), input=given,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1500,
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, said[-5000:]
        return said

    def inside(command: str) -> str:
        return docker("exec", "--workdir", FOLDER, name, "sh", "-c", command)

    # The slim image in place of the full one, which has git and make and can't be had everywhere;
    # and the stand-ins that were made here, where there are any, so that none is compiled again.
    assert settings["image"].startswith("python:3.13")
    assert settings["init"]
    kept = f"{state_folder() / 'stand-ins'}:/root/.local/state/dockerfile-workshop/stand-ins"
    try:
        docker(
            "run", "--detach", "--name", name, *labels, *settings["runArgs"], "--init",
            *(f"--mount={mount}" for mount in mounts), "--volume", kept,
            "python:3.13-slim", "sleep", "infinity",
        )  # fmt: skip
        docker("exec", name, "mkdir", "-p", FOLDER)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        tar = subprocess.run(
            ["tar", "--create", "--null", "--files-from=-", "--ignore-failed-read"],
            cwd=ROOT, input=listed.stdout, capture_output=True,
        )  # fmt: skip
        docker("cp", "-", f"{name}:{FOLDER}", given=tar.stdout)
        docker("exec", name, "sh", "-c", "apt-get update -qq && apt-get install -y -qq git make")
        for command in ("onCreateCommand", "updateContentCommand", "postStartCommand"):
            inside(settings[command])
        told = json.loads(inside(".tools/bin/uv run --quiet workshop doctor --json 2> /dev/null"))
        assert told["ok"], told
        inside(".tools/bin/uv run workshop engine stop")
    finally:
        docker("rm", "--force", "--volumes", name)
        for mount in mounts:
            docker("volume", "rm", mount.partition("source=")[2].partition(",")[0])
