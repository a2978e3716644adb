"""The command line says what is wrong in one message, and exits with 1."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import archives
import listeners
import pytest

from workshop import cli, doctor
from workshop.engine import client, embedded, root
from workshop.errors import WorkshopError
from workshop.paths import NOTEBOOKS

COMMANDS = sorted(next(a.choices for a in cli._parser()._actions if a.metavar == "COMMAND"))
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
    shown = capsys.readouterr().out.split("COMMAND\n")[-1].splitlines()
    assert set(COMMANDS) <= {line.split()[0] for line in shown if line.startswith("    ")}


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


def test_doctor_says_where_a_port_does_not_answer_and_what_to_do(monkeypatch):
    def start(*arguments, **settings):
        raise WorkshopError("nothing answers at http://192.0.2.1:32768")

    monkeypatch.setattr(doctor.images, "is_present", lambda name: True)
    monkeypatch.setattr(doctor.client, "address", lambda: "192.0.2.1")
    monkeypatch.setattr(doctor.containers, "start", start)
    ask = dict(doctor.QUESTIONS)["published ports"]
    assert str(doctor._guarded("published ports", ask)) == (
        "[FAIL] published ports: a container's port does not answer at 192.0.2.1: "
        "nothing answers at http://192.0.2.1:32768\n"
        "       → Let this machine reach the ports of the engine's machine from 32768 on."
    )


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
    monkeypatch.setattr(root.shutil, "which", lambda name: None)
    assert cli.main(["engine", "start"]) == 1
    said = capsys.readouterr().err
    assert "Starting one takes root, and there is no sudo here." in said
    assert client.INSTALL_DOCKER in said


# What would be a traceback


def command(*arguments, shell="", **variables):
    """``workshop ARGUMENTS`` as a process of its own, by way of a shell's redirection."""
    words = [sys.executable, "-m", "workshop.cli", *map(str, arguments)]
    if shell:
        words = ["bash", "-c", f'"$@" {shell}; exit ${{PIPESTATUS[0]}}', "-", *words]
    return subprocess.run(
        words, env={**os.environ, **variables}, capture_output=True, timeout=120, check=False
    )


def nested_json():
    return b"[" * 200_000


def archive_with(**changes):
    """An archive of one layer in the form of `docker save`, with some files of it changed."""
    files = {}
    whole = archives.docker_form([archives.tar("a")])
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        for entry in archive.getmembers():
            files[entry.name] = archive.extractfile(entry).read() if entry.isfile() else None
    config = json.loads(files["manifest.json"])[0]["Config"]
    if "manifest" in changes:
        files["manifest.json"] = changes["manifest"]
    if "config" in changes:
        files[config] = changes["config"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content
            if data is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data or b""))
    return buffer.getvalue()


ODD_ARCHIVES = {
    "nested manifest": lambda: archive_with(manifest=nested_json()),
    "nested configuration": lambda: archive_with(config=nested_json()),
    "a deep path": lambda: archives.docker_form([archives.tar("d/" * 20_000 + "f")]),
    "a long name": lambda: archives.docker_form([archives.tar("n" * 100_000)]),
    "cut off": lambda: archives.docker_form([archives.tar("a")])[:700],
    "empty": lambda: b"",
}


@pytest.mark.parametrize("kind", ODD_ARCHIVES)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_odd_archive_is_shown_or_is_one_message(no_engine, tmp_path, capsys, kind, form):
    path = tmp_path / "image.tar"
    path.write_bytes(ODD_ARCHIVES[kind]())
    status = cli.main(["layers", str(path), *form])
    printed = capsys.readouterr()
    if status:
        assert status == 1
        assert printed.err.startswith("✘ ")
        assert printed.out == ""
    else:
        assert printed.err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="these files are Linux's")
@pytest.mark.parametrize("arguments", [["layers"], ["build", "-f"]])
def test_a_file_that_cannot_be_read_is_one_message(no_engine, arguments, capsys):
    # Root may read every file, but not this one.
    assert cli.main([*arguments, "/proc/self/mem"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("✘ ")
    assert "Traceback" not in said


def test_a_dockerfile_that_is_no_text_is_refused_before_anything_is_started(
    no_engine, tmp_path, capsys
):
    path = tmp_path / "Dockerfile"
    path.write_bytes("FROM schön".encode("latin-1"))
    assert cli.main(["build", "-f", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"✘ {path} is not UTF-8 text.\n→ ")


@pytest.mark.parametrize(
    "tag", ["Upper", "a b", "a:b:c", "", "-a", "a/", "a//b", "a:", "a:" + "x" * 129, "a@sha256:1"]
)
def test_a_bad_tag_is_refused_before_anything_is_started(no_engine, tag, capsys):
    assert cli.main(["build", f"--tag={tag}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"✘ {tag!r} is no name for an image." if tag else "✘ No Docker engine")


@pytest.mark.parametrize(
    "tag",
    ["a", "a:1", "my-site:1.0_b", "localhost:5000/a/b__c:x", "[::1]:5000/a", "Host.example/a"],
)
def test_a_good_tag(tag):
    assert cli.IMAGE_NAME.fullmatch(tag)


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_results_that_cannot_be_written_are_known_before_the_run(
    no_engine, monkeypatch, tmp_path, kind, capsys
):
    (tmp_path / "file").write_text("")
    site = tmp_path / "file" / ("" if kind == "a file" else "_executed")
    monkeypatch.setattr(cli, "EXECUTED", site)
    assert cli.main(["run", "99"]) == 1
    assert capsys.readouterr().err.startswith(f"✘ The results go to {site}, which can't be")


def test_a_checkout_that_cannot_be_written_is_one_message(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cli.session, "WORKSPACES", tmp_path / "file" / ".workspaces")
    monkeypatch.delenv("WORKSHOP_SESSION")
    monkeypatch.setattr(cli.client, "find", lambda: None)
    cli.session.ident.cache_clear()
    try:
        assert cli.main(["clean"]) == 1
    finally:
        cli.session.ident.cache_clear()
    assert capsys.readouterr().err == f"✘ {tmp_path / 'file' / '.workspaces'}: Not a directory.\n"


def test_an_engine_that_stops_answering_is_one_message(monkeypatch, capsys):
    """It answers until the first request in the middle of a command, and then is gone."""
    with listeners.listening(listeners.telling(listeners.DOCKER)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        client.forget()
        engine = client.connect()
    assert engine.api.base_url
    assert cli.main(["layers", "some-image"]) == 1
    client.forget()
    said = capsys.readouterr().err
    assert said.startswith("✘ The engine stopped answering: Connection refused.\n→ ")


def test_what_the_engine_refuses_is_one_message(monkeypatch, capsys):
    with listeners.listening(listeners.telling(listeners.DOCKER)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        client.forget()
        assert cli.main(["images"]) == 1
    client.forget()
    assert capsys.readouterr().err.startswith("✘ The engine refused: it is only a test.\n→ ")


def test_a_defect_of_the_tutorial_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli.doctor, "examine", lambda tell: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


@pytest.mark.skipif(os.name == "nt", reason="the shell is a Unix one")
class TestStreams:
    @pytest.fixture
    def image(self, tmp_path):
        path = tmp_path / "image.tar"
        path.write_bytes(archives.docker_form([archives.tar("a")]))
        return path

    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_a_reader_who_has_seen_enough(self, image, form):
        done = command("layers", image, *form, shell="| true")
        assert done.returncode in (0, 1)
        assert done.stderr == b""

    def test_help_for_a_reader_who_has_seen_enough(self):
        assert command("--help", shell="| true").stderr == b""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has that file")
    @pytest.mark.parametrize("arguments", [[], ["--json"]])
    def test_a_full_disk(self, image, arguments):
        done = command("layers", image, *arguments, shell="> /dev/full")
        assert done.returncode == 1
        assert done.stderr.decode() == (
            "✘ No space left on device.\n→ Free some space, then try again.\n"
        )

    def test_a_terminal_that_knows_only_ascii(self, image):
        done = command("layers", image, PYTHONIOENCODING="ascii")
        assert done.returncode == 0
        assert b"# can be seen, . superseded" in done.stdout
        done = command("run", "77", PYTHONIOENCODING="ascii")
        assert done.returncode == 1
        assert done.stderr.startswith(b"x 0 notebooks match '77'.\n-> There are: ")

    def test_a_home_that_does_not_exist(self, image, tmp_path):
        done = command("layers", image, HOME=str(tmp_path / "none"), XDG_STATE_HOME="")
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "none").exists()
