"""The command line says what is wrong in one message, and exits with 1."""

import json
import os
import subprocess
import sys

import archives
import pytest

from workshop import cli
from workshop.engine import client, embedded
from workshop.paths import NOTEBOOKS

COMMANDS = ("doctor", "engine", "images", "lab", "run", "build", "layers", "bench", "clean")
NOWHERE = "unix:///no/such/docker.sock"


@pytest.fixture
def no_engine(monkeypatch):
    """A machine on which no engine answers and none can be started."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(client, "endpoints", lambda: [client.Endpoint(NOWHERE)])
    monkeypatch.setattr(embedded, "_distribution", lambda: "some-other-system")
    client.forget()
    yield
    client.forget()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: workshop {command}" in capsys.readouterr().out


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"\n    {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["engine", "restart"]])
def test_a_wrong_call_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: workshop" in capsys.readouterr().err


def test_an_unknown_notebook_is_an_error_that_lists_the_notebooks(no_engine, capsys):
    assert cli.main(["run", "77"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("✘ 0 notebooks match '77'.\n→ There are: ")
    assert all(path.stem in said for path in NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))


def test_a_missing_dockerfile_is_an_error_before_anything_is_started(no_engine, capsys):
    assert cli.main(["build", "-f", "no-such-file"]) == 1
    said = capsys.readouterr().err
    assert said == "✘ There is no file no-such-file.\n→ Name a Dockerfile with -f.\n"


@pytest.mark.parametrize("command", [["build"], ["images"], ["engine", "start"], ["lab"], ["run"]])
def test_without_an_engine_there_is_one_message_and_a_way_out(command, no_engine, capsys):
    assert cli.main(command) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"✘ No Docker engine answers. Tried: {NOWHERE}. "
        "The tutorial starts an engine of its own on Debian and Ubuntu only.\n"
        f"→ {client.INSTALL_DOCKER}\n"
    )


def test_layers_of_an_archive_need_no_engine(no_engine, tmp_path, capsys):
    path = tmp_path / "image.tar"
    path.write_bytes(archives.docker_form([archives.tar("a"), archives.tar(".wh.a")]))
    assert cli.main(["layers", str(path)]) == 0
    assert "RUN step 0" in capsys.readouterr().out
    assert cli.main(["layers", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image"] == "image.tar"
    assert told["superseded"] == [{"path": "/a", "bytes": 0, "stored_by": 0, "hidden_by": 1}]


def test_what_is_no_image_is_one_message(no_engine, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("not an archive at all\n" * 100)
    assert cli.main(["layers", str(path)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"✘ {path} can't be read as an image: it is no tar archive.")
    assert said.out == ""
    assert cli.main(["layers", "some-image"]) == 1
    assert "No Docker engine answers" in capsys.readouterr().err


def test_a_dead_docker_host_is_named_and_no_other_engine_is_started(monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    client.forget()
    assert cli.main(["engine", "start"]) == 1
    assert capsys.readouterr().err == (
        f"✘ The Docker engine at {NOWHERE} (DOCKER_HOST) does not answer: "
        "No such file or directory.\n"
        "→ Start that engine, or unset DOCKER_HOST.\n"
    )
    client.forget()


def test_engine_status_without_an_engine(no_engine, capsys):
    assert cli.main(["engine", "status"]) == 1
    assert capsys.readouterr().out == f"No Docker engine answers. Tried: {NOWHERE}.\n"


def test_doctor_without_an_engine_as_a_process_of_its_own():
    """The doctor only looks: it starts nothing, and a failed check is no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "workshop.cli", "doctor"],
        env={**os.environ, "DOCKER_HOST": NOWHERE},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("[ OK ] Python: 3.")
    assert f"[FAIL] engine: The Docker engine at {NOWHERE} (DOCKER_HOST) does" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupted(tell):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.doctor, "examine", interrupted)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "✘ Stopped.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no engine is ever started")
def test_without_root_and_sudo_the_reason_is_said(no_engine, monkeypatch, capsys):
    monkeypatch.setattr(embedded, "_distribution", lambda: "debian")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(embedded.shutil, "which", lambda name: None)
    assert cli.main(["engine", "start"]) == 1
    said = capsys.readouterr().err
    assert "Starting one takes root, and there is no sudo here." in said
    assert client.INSTALL_DOCKER in said
