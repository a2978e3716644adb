"""Two readers on one engine, in the same chapter at the same time, never meet."""

import json
import os
import secrets
import shutil
import subprocess
import sys

import docker
import pytest

from workshop.engine import client, session
from workshop.paths import WORKSPACES

# One reader's kernel: a word on standard input runs the next cell.
READER = """
import json, sys
from workshop.engine import session
from workshop.lesson.workspace import Workspace

def tell(**what):
    print(json.dumps(what), flush=True)
    sys.stdin.readline()

ws = Workspace("test-side-by-side")
ws.put("base", "FROM python:3.13-slim")
ws.put("page", f"RUN mkdir /page && echo page of {session.ident()} > /page/index.html")
server = ["python", "-m", "http.server", "8000", "--directory", "/page"]
site = ws.start(*server, port=8000, name="site")
tell(name=site.name, tag=ws.tag, port=site.port, path=str(ws.path), page=site.get("/").text)
tell(**session.leftovers())
tell(page=site.get("/").text)
tell(removed=session.remove_leftovers(), left=session.leftovers())
"""


class Reader:
    """A process with a session of its own."""

    def __init__(self):
        self.id = secrets.token_hex(4)
        self.environment = {**os.environ, "WORKSHOP_SESSION": self.id}
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self):
        """What the newest cell told."""
        return json.loads(self.process.stdout.readline())

    def go_on(self):
        """Run the next cell; returns what it tells."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        clean = "from workshop import session; session.remove_leftovers()"
        subprocess.run([sys.executable, "-c", clean], env=self.environment, check=True)
        shutil.rmtree(WORKSPACES / self.id, ignore_errors=True)


@pytest.fixture
def readers():
    both = [Reader(), Reader()]
    yield both
    for reader in both:
        reader.close()


def on_the_engine(ident):
    engine = client.connect()
    mine = {"label": f"{session.LABEL}={ident}"}
    return {
        "containers": [c.name for c in engine.containers.list(all=True, filters=mine)],
        "images": [t for i in engine.images.list(filters=mine) for t in i.tags],
    }


def test_two_readers_in_the_same_chapter(readers):
    one, two = readers
    told = [one.answer(), two.answer()]

    for reader, seen in zip(readers, told, strict=True):
        assert seen["name"] == f"workshop-{reader.id}-test-side-by-side-site"
        assert seen["tag"] == f"workshop-{reader.id}/test-side-by-side"
        assert seen["page"] == f"page of {reader.id}\n"
    assert told[0]["port"] != told[1]["port"]
    assert told[0]["path"] != told[1]["path"]

    for reader, seen in zip(readers, told, strict=True):
        assert reader.go_on() == {
            "containers": [seen["name"]],
            "images": [f"{seen['tag']}:latest"],
            "networks": [],
            "volumes": [],
        }

    assert one.go_on()["page"] == f"page of {one.id}\n"
    ended = one.go_on()
    assert ended["removed"]["containers"] == [told[0]["name"]]
    assert not any(ended["left"].values())
    assert on_the_engine(one.id) == {"containers": [], "images": []}

    assert two.go_on()["page"] == f"page of {two.id}\n"
    assert on_the_engine(two.id) == {
        "containers": [told[1]["name"]],
        "images": [f"{told[1]['tag']}:latest"],
    }
    assert not any(two.go_on()["left"].values())
    assert on_the_engine(two.id) == {"containers": [], "images": []}
    with pytest.raises(docker.errors.ImageNotFound):
        client.connect().images.get(told[1]["tag"])
