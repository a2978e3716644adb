"""docs/room: a JupyterHub beside the engine, as its compose.yaml starts it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import clones
import pytest
import reloading
import requests
import waiting
from playwright.sync_api import Browser, Page

from workshop.bases import images
from workshop.engine import client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PASSWORD = "only-for-this-test"
Hub = tuple[str, dict[str, str], Path]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """The hub's address, the environment of its `docker compose`, and the room's folder."""
    if sys.platform != "linux" or not client.host().startswith("unix:"):
        pytest.skip("the hub and the engine share a Linux machine")
    images.ensure()
    # A copy, because the password lies in the clone.
    copy = Path(tempfile.mkdtemp(prefix="workshop-room-"))
    clones.make(copy / "clone")
    (copy / "clone/room-password").write_text(PASSWORD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    room = copy / "room"
    room.mkdir()
    environment = {
        **client.environment(),
        "DOCKER_SOCKET": client.host().removeprefix("unix://"),
        "ROOM_FOLDER": str(room),
        "ROOM_PORT": str(port),
    }
    try:
        compose(copy, environment, "up", "--build", "--detach")
        yield f"http://127.0.0.1:{port}", environment, copy
    finally:
        compose(copy, environment, "down", "--rmi", "local")
        shutil.rmtree(copy)


def compose(copy: Path, environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [client.cli(), "compose", *words],
        cwd=copy / "clone/docs/room",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def enter(browser: Browser, address: str, name: str, password: str, shows: str) -> Page:
    """Log in, as a participant does; gives the page that comes then, which ``shows`` this."""
    waiting.wait_for(lambda: _answers(f"{address}/hub/login"), 120)
    page = browser.new_context().new_page()
    with reloading.until(page.get_by_label("Username"), 120_000):
        page.goto(address)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    with reloading.until(page.locator(shows).first, 300_000):
        page.get_by_role("button", name="Sign in").click()
    return page


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=10).ok
    except requests.RequestException:
        return False


def test_with_another_password_nobody_gets_in(browser: Browser, hub: Hub) -> None:
    enter(browser, hub[0], "eve", "another one", "text=Invalid username or password")
    assert not (hub[2] / "room/eve").exists()


def test_each_participant_has_notebooks_of_their_own(browser: Browser, hub: Hub) -> None:
    address, environment, copy = hub
    for name in ("ada", "grace"):
        page = enter(browser, address, name, PASSWORD, ".jp-Notebook .jp-CodeCell")
        assert f"/user/{name}/lab/tree/notebooks/00-start-here.ipynb" in page.url
        assert (copy / "room" / name / "dockerfile-for-django-devs/notebooks").is_dir()
        page.context.close()
    home = f"{copy}/room/ada"
    words = ["exec", "-T", "--env", f"HOME={home}", "--workdir", home, "hub", "workshop"]
    assert "Wrote 1 file" in compose(copy, environment, *words, "run", "00")
    compose(copy, environment, *words, "clean")


def test_the_password_is_not_in_the_image(hub: Hub) -> None:
    _, environment, copy = hub
    found = compose(
        copy, environment, "run", "--rm", "--no-deps", "hub",
        "sh", "-c", f"grep -rl {PASSWORD} /tutorial /etc/jupyterhub || echo none",
    )  # fmt: skip
    assert found.strip() == "none"
