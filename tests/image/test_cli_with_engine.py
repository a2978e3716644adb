"""The command line against a real engine: contracts, exit statuses, what stays and what goes."""

import json
import os
import secrets
import subprocess
import sys

import pytest

from workshop.engine import client, session
from workshop.paths import EXECUTED, ROOT


@pytest.fixture(scope="module")
def workshop():
    """Run ``workshop …`` as a reader of its own, whose things are removed at the end."""
    environment = {**os.environ, "WORKSHOP_SESSION": secrets.token_hex(4)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workshop.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)

    run.ident = environment["WORKSHOP_SESSION"]
    yield run
    assert run("clean").returncode == 0


def test_doctor_json_has_the_documented_form(workshop):
    done = workshop("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"] is True
    assert [set(check) for check in report["checks"]] == [{"name", "ok", "detail", "fix"}] * 7


def test_doctor_prints_one_line_a_check(workshop):
    done = workshop("doctor")
    assert [line[:7] for line in done.stdout.splitlines()] == ["[ OK ] "] * 7
    assert "the build cache holds" in done.stdout
    assert f"a container's port answers at {client.address()}" in done.stdout


def test_engine_status_names_the_engine(workshop):
    done = workshop("engine", "status")
    assert done.returncode == 0
    assert client.connect().version()["Version"] in done.stdout


def test_images_says_where_each_one_came_from(workshop):
    done = workshop("images")
    assert done.returncode == 0
    said = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert said == ["✔ python", "✔ postgres", "✔ redis", "✔ registry", "✔ docker"]


def test_build_tags_the_target_that_was_asked_for(workshop):
    tag = f"workshop-{workshop.ident}/by-hand"
    done = workshop("build", "--target", "builder", "--tag", tag)
    assert done.returncode == 0, done.stderr
    assert "[builder 6/6] RUN pip wheel" in done.stdout
    assert client.connect().images.get(tag).labels[session.LABEL] == workshop.ident


def test_build_of_a_broken_file_is_one_message(workshop, tmp_path):
    broken = tmp_path / "Dockerfile"
    broken.write_text("FROM python:3.13-slim\nRUN exit 7\n")
    done = workshop("build", "--file", str(broken))
    assert done.returncode == 1
    assert "exit status: 7" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_run_writes_the_notebook_with_its_outputs(workshop):
    done = workshop("run", "99")
    assert done.returncode == 0, done.stderr
    executed = json.loads((EXECUTED / "99-clean-up.ipynb").read_text(encoding="utf-8"))
    counts = [c["execution_count"] for c in executed["cells"] if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1)) != []
    assert "no container, image, network or volume of the tutorial is left" in json.dumps(executed)


def test_clean_removes_what_is_labelled_and_nothing_else(workshop):
    mine, other = f"workshop-{workshop.ident}/mine", f"workshop-{session.ident()}/other"
    for tag, ident in ((mine, workshop.ident), (other, session.ident())):
        subprocess.run(
            [client.cli(), "build", "-q", "-t", tag, "--label", f"{session.LABEL}={ident}", "-"],
            input="FROM python:3.13-slim\n", text=True, check=True, env=client.environment(),
            capture_output=True,
        )  # fmt: skip
    done = workshop("clean")
    assert done.returncode == 0
    # Each by its name, those of the tests before as well.
    removed = done.stdout.partition(" images:\n")[2].splitlines()
    assert f"  {mine}:latest" in removed
    assert [line for line in removed if session.ident() in line] == []
    left = {tag for image in client.connect().api.images() for tag in image["RepoTags"] or []}
    assert f"{mine}:latest" not in left
    assert {f"{other}:latest", "python:3.13-slim"} <= left
    client.connect().api.remove_image(other)
