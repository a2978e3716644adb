"""What the cells of chapter 05 hold works letter for letter in a shell that knows nothing of us.

A reader's own folder, their own docker command, and `sh`: build, run against PostgreSQL, migrate,
upload, read the log and the history, stop, start again, clean up.
"""

import os
import re
import subprocess

import nbformat
import pytest
from waiting import wait_for

from workshop.engine import client, session
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE, NOTEBOOKS
from workshop.run.site import Site

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.slow]

PATIENCE_S = 120
# One white pixel.
PICTURE = bytes.fromhex(
    "474946383961010001008000000000ffffff21f90400000000002c00000000010001000002024401003b"
)


class Shell:
    """A shell in ``folder``: each cell is a script; what it exports stays for the next one."""

    def __init__(self, folder, variables):
        self.folder = folder
        self.environment = {"HOME": os.environ["HOME"], **variables}
        self.exports = ""

    def run(self, commands):
        """Run the text of a cell; returns what it printed, and its exit status."""
        done = subprocess.run(
            ["sh", "-c", self.exports + commands],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        self.exports += "".join(f"{line}\n" for line in re.findall(r"(?m)^export .*$", commands))
        return done.stdout, done.returncode


@pytest.fixture
def shell(tmp_path):
    """The finished Dockerfile in a project, in a folder that the tutorial has no part in."""
    space = Workspace("bare-terminal")
    space.use(DOCKERFILE)
    space.path.rename(tmp_path / "project")
    (tmp_path / "docker").symlink_to(client.cli())
    names = {**space.terminal.variables, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    made = Shell(tmp_path / "project", {**names, "DOCKER_HOST": client.host()})
    yield made
    made.run("docker rm --force --volumes $ME-web $ME-db; docker network rm $ME")
    made.run("docker volume rm $ME-media; docker image rm --force $IMAGE")


@pytest.fixture
def type_in(shell):
    """Type the commands of the chapter that hold a text; they have to succeed."""
    notebook = nbformat.read(NOTEBOOKS / "05-run-the-container.ipynb", as_version=4)
    typed = [
        cell.source.partition("\n")[2]
        for cell in notebook.cells
        if cell.source.startswith("%%terminal") and not cell.metadata.get("tags")
    ]

    def one(part, patience_s=0):
        (commands,) = {cell for cell in typed if part in cell}
        told = []

        def succeeds():
            answer, status = shell.run(commands)
            told.append(answer)
            return status == 0

        assert succeeds() or (patience_s and wait_for(succeeds, patience_s)), told[-1]
        return told[-1]

    return one


def test_a_reader_needs_nothing_but_docker(shell, type_in):
    built, status = shell.run("docker build -t $IMAGE .")
    assert status == 0, built
    type_in("docker network create")
    type_in("pg_isready", PATIENCE_S)
    assert "Applying reading.0001_initial... OK" in type_in("$IMAGE manage.py migrate")
    assert "reading_book" in type_in("reading_*")

    type_in("docker ps --filter name=$ME --format")
    site = Site(shell.environment["PORT"]).wait()
    book = {"title": "A typed book", "author": "Nobody", "note": "", "status": "want"}
    sent = site.post("/add/", book, files={"cover": ("cover.gif", PICTURE, "image/gif")})
    assert sent.ok
    assert "A typed book" in site.get("/").text
    assert "appuser:appuser" in type_in("%u:%g %s bytes")
    assert "A typed book" in type_in("SELECT title, author")
    assert '"POST /add/ HTTP/1.1" 302' in type_in("docker logs")

    assert 'ENTRYPOINT ["/app/entrypoint.sh"]' in type_in("{{.Config.Env}}")
    assert "exit status 0" in type_in("exit status {{.State.ExitCode}}")
    type_in("docker volume create")
    type_in("docker stop $ME-web $ME-db")
    assert session.leftovers()["volumes"] == []
