"""Two readers on one engine, each with a clone, in the same chapter at once, never meet."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import clones
import docker
import pytest

from workshop.engine import client, session
from workshop.lesson.workspace import Workspace
from workshop.paths import ROOT

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
mine = dict(id=session.ident(), path=str(ws.path), tag=ws.tag, name=site.name, port=site.port)
tell(**mine, page=site.get("/").text)
tell(**session.leftovers())
tell(page=site.get("/").text)
done = session.remove_leftovers()
tell(removed=done.removed, stayed=done.stayed, left=session.leftovers())
"""

# Another reader's kernel, which builds the same steps as somebody else at the same moment. The
# stages have other names in each of the two, and one has a step more above.
SAME_STEPS = """
import json, sys
from workshop.lesson.workspace import Workspace

name, rounds = sys.argv[1], int(sys.argv[2])
for number in range(rounds):
    token = sys.stdin.readline().strip()
    ws = Workspace("test-same-steps")
    ws.write("marked.txt", f"{token}\\n")
    above = [f"FROM python:3.13-slim AS {name}-base", "RUN true"] if name == "two" else []
    base = f"{name}-base" if above else "python:3.13-slim"
    steps = [
        f"FROM {base} AS {name}",
        f"RUN sleep 1 && echo {token} > /a",
        "COPY marked.txt /b",
        "RUN cat /b >> /a",
        f"FROM {base} AS {name}-final",
        f"COPY --from={name} /a /a",
    ]
    ws.write("Dockerfile", "\\n".join(above + steps) + "\\n")
    built = ws.build()
    held = ws.run("cat", "/a").lines
    print(json.dumps({"steps": list(map(str, built.steps)), "held": held}), flush=True)
"""


class Reader:
    """A process in a clone of its own, or in this one with a session of its own."""

    def __init__(self, program=READER, *arguments, clone=None):
        self.clone = clone or ROOT
        self.environment = {**os.environ, "PYTHONPATH": str(self.clone / "src")}
        if clone:
            del self.environment["WORKSHOP_SESSION"]
        else:
            self.environment["WORKSHOP_SESSION"] = secrets.token_hex(4)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=self.clone,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self):
        """What the newest cell told."""
        return json.loads(self.process.stdout.readline())

    def tell(self, word=""):
        """Let the next cell run."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def go_on(self):
        """Run the next cell; returns what it tells."""
        self.tell()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=120)
        self.process.stdout.close()
        clean = [sys.executable, "-m", "workshop.cli", "clean"]
        subprocess.run(clean, cwd=self.clone, env=self.environment, check=True)


@pytest.fixture
def readers(tmp_path):
    both = [Reader(clone=clones.make(tmp_path / name)) for name in ("one", "two")]
    yield both
    for reader in both:
        reader.close()


def on_the_engine(ident):
    engine = client.connect()
    mine = {"label": f"{session.LABEL}={ident}"}
    running = engine.containers.list(all=True, filters=mine, ignore_removed=True)
    images = engine.api.images(filters=mine)
    return {
        "containers": [container.name for container in running],
        "images": [tag for image in images for tag in image["RepoTags"]],
    }


def test_two_readers_in_the_same_chapter(readers):
    one, two = readers
    told = [one.answer(), two.answer()]

    for reader, seen in zip(readers, told, strict=True):
        assert seen["name"] == f"workshop-{seen['id']}-test-side-by-side-site"
        assert seen["tag"] == f"workshop-{seen['id']}/test-side-by-side"
        assert seen["page"] == f"page of {seen['id']}\n"
        assert Path(seen["path"]).is_relative_to(reader.clone / ".workspaces" / seen["id"])
    assert told[0]["id"] != told[1]["id"]
    assert told[0]["port"] != told[1]["port"]

    for reader, seen in zip(readers, told, strict=True):
        assert reader.go_on() == {
            "containers": [seen["name"]],
            "images": [f"{seen['tag']}:latest"],
            "networks": [],
            "volumes": [],
        }

    assert one.go_on()["page"] == f"page of {told[0]['id']}\n"
    ended = one.go_on()
    assert ended["removed"]["containers"] == [told[0]["name"]]
    assert ended["stayed"] == {}
    assert not any(ended["left"].values())
    assert on_the_engine(told[0]["id"]) == {"containers": [], "images": []}

    assert two.go_on()["page"] == f"page of {told[1]['id']}\n"
    assert on_the_engine(told[1]["id"]) == {
        "containers": [told[1]["name"]],
        "images": [f"{told[1]['tag']}:latest"],
    }
    assert not any(two.go_on()["left"].values())
    assert on_the_engine(told[1]["id"]) == {"containers": [], "images": []}
    with pytest.raises(docker.errors.ImageNotFound):
        client.connect().images.get(told[1]["tag"])


@pytest.mark.slow
def test_two_readers_build_the_same_steps_at_the_same_moment():
    rounds = 3
    readers = [Reader(SAME_STEPS, name, str(rounds)) for name in ("one", "two")]
    try:
        for _ in range(rounds):
            token = secrets.token_hex(8)
            for reader in readers:
                reader.tell(token)
            for name, reader in zip(("one", "two"), readers, strict=True):
                told = reader.answer()
                above = ["[two-base 2/2] RUN true"] if name == "two" else []
                count, first = (3, 1) if above else (4, 2)
                assert told["steps"] == [
                    "FROM python:3.13-slim",
                    *above,
                    f"[{name} {first}/{count}] RUN sleep 1 && echo {token} > /a",
                    f"[{name} {first + 1}/{count}] COPY marked.txt /b",
                    f"[{name} {first + 2}/{count}] RUN cat /b >> /a",
                    f"[{name}-final {first}/{first}] COPY --from={name} /a /a",
                ]
                assert told["held"] == [token, token]
    finally:
        for reader in readers:
            reader.close()


# Whose an image is


@pytest.fixture
def readers_own():
    """A name that a reader gives to images of their own; they are removed afterwards."""
    name = f"my-own-{secrets.token_hex(4)}"
    yield name
    for image in client.connect().api.images(name):
        client.connect().api.remove_image(image["Id"], force=True)


def test_clean_leaves_what_a_reader_made_of_our_images(left_clean, readers_own):
    ws = Workspace("test-clean", ["FROM python:3.13-slim", "ENV A=1"])
    ws.build()
    client.connect().api.tag(ws.tag, readers_own, "tagged")
    ws.write("Mine", f"FROM {ws.tag}\nENV B=1\n")
    client.run_cli(
        "buildx", "build", "--tag", f"{readers_own}:from", "--file", str(ws.path / "Mine"),
        str(ws.path),
    )  # fmt: skip
    client.run_cli("run", "--detach", "--name", readers_own, f"{readers_own}:from", "sleep", "3600")
    try:
        labels = client.connect().containers.get(readers_own).labels
        assert labels[session.LABEL] == session.ident()  # inherited
        done = session.remove_leftovers()
        assert f"{ws.tag}:latest" in done.removed["images"]
        assert readers_own not in str(done)
        mine = [
            tag for image in client.connect().api.images(readers_own) for tag in image["RepoTags"]
        ]
        assert sorted(mine) == [f"{readers_own}:from", f"{readers_own}:tagged"]
        assert client.connect().containers.get(readers_own).status == "running"
    finally:
        client.connect().api.remove_container(readers_own, force=True)


def test_clean_goes_on_after_what_is_in_use_and_says_why_it_stayed(left_clean, readers_own):
    ws = Workspace("test-clean", ["FROM python:3.13-slim", f"ENV A={readers_own}"])
    ws.build()
    ws.build("--label", "other=1", name="free")
    client.run_cli("run", "--detach", "--name", readers_own, "--label", f"{session.LABEL}=",
                   ws.tag, "sleep", "3600")  # fmt: skip
    try:
        done = session.remove_leftovers()
        assert list(done.stayed) == [f"{ws.tag}:latest"]
        assert f"{ws.tag}:free" in done.removed["images"]
    finally:
        client.connect().api.remove_container(readers_own, force=True)
