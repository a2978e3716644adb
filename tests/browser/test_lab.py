"""JupyterLab in a real browser: `workshop lab` serves, chapter 00 runs from the menu."""

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import reloading
import turns
from playwright.sync_api import TimeoutError, expect
from waiting import wait_for

from workshop.engine import client, session
from workshop.lesson import exercises, notebooks
from workshop.paths import NOTEBOOKS, ROOT, WORKSPACES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as on Unix")

START_S = 120
RUN_MS = 180_000  # also until a kernel has started, on a busy machine

# What the server says of a request that the browser gave up, as in a page that is reloaded.
GIVEN_UP = re.compile(
    r"Traceback \(most recent call last\):\n(?: {6}.*\n)+"
    r" {4}tornado\.iostream\.StreamClosedError: Stream is closed\n"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """`workshop lab` as a reader starts it; gives the process and its address with the token.

    The last test of this file ends it.
    """
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "lab.log"
    # What a test types stays out of the notebooks.
    saving = folder / "settings" / "@jupyterlab" / "docmanager-extension"
    saving.mkdir(parents=True)
    (saving / "plugin.jupyterlab-settings").write_text('{"autosave": false}')
    environment = {
        **os.environ,
        "WORKSHOP_PROGRESS": "1",
        # JupyterLab as at its first start: no open tabs, no settings of the reader's.
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "workshop.cli", "lab", "--no-browser"],
            cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True,
            # A shell that runs the tests in the background lets them inherit a deaf ear.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        address = wait_for(
            lambda: (
                re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", log.read_text())
                or process.poll() is not None
            ),
            START_S,
        )
        assert process.poll() is None, log.read_text()
        yield process, address[0], log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # A build that was typed took its name from the image of before.
        mine = {"label": f"{session.LABEL}={session.ident()}", "dangling": True}
        client.connect().images.prune(filters=mine)


def run(page, cell, number, text=""):
    """Run a cell, with ``text`` as its lines if there is any; it becomes number ``number``."""
    cell.locator(".cm-content").click()
    if text:
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")
    # The number comes with the answer: what is stored in the file has another one.
    expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{number}]:", timeout=60_000)


def open_chapter(page, address, name, log):
    """Open a notebook and wait for its kernel; a cell that is run before is not run at all."""
    # Where a request was given up later, JupyterLab says so, and goes on by itself.
    page.add_locator_handler(
        page.locator(".jp-Dialog", has_text="Server Connection Error"),
        lambda dialog: dialog.locator("button.jp-mod-reject").click(),
    )
    # A workspace of JupyterLab's of its own, because the tabs of another test would be there.
    own = address.replace("/lab/tree", f"/lab/workspaces/{secrets.token_hex(4)}/tree")
    try:
        with reloading.until(page.get_by_text("Python 3 (ipykernel) | Idle"), RUN_MS):
            page.goto(own.replace(notebooks.FIRST, name))
    except TimeoutError:
        state = page.locator("#jp-bottom-panel").inner_text()
        asks = page.locator(".jp-Dialog").all_inner_texts()
        said = log.read_text()[-3000:]
        pytest.fail(f"No kernel. JupyterLab shows {state!r}, asks {asks} and said:\n{said}")


def stored(name):
    """The commands of the cell of chapter 02 that keeps its answer as ``name``, and that answer."""
    cells = nbformat.read(NOTEBOOKS / "02-builder-stage.ipynb", as_version=4).cells
    head = f"%%terminal --out {name}\n"
    (cell,) = [cell for cell in cells if cell.source.startswith(head)]
    commands = cell.source.removeprefix(head).splitlines()
    # The tutorial puts a command above what it printed; a terminal has it where it was typed.
    printed = cell.outputs[0].data["text/plain"].splitlines()
    return "; ".join(commands), "".join(f"{line}\n" for line in printed if line[:2] != "$ ")


def test_what_a_cell_holds_can_be_typed_in_the_terminal(lab, browser):
    """Three cells of chapter 02 give what is stored below them in JupyterLab's own terminal."""
    _, address, log = lab
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    open_chapter(page, address, "02-builder-stage.ipynb", log)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    made = {
        "ws = checkpoint": "A fresh copy of the sample project",
        "%%dockerfile builder": "Starts from python",
        "%%dockerfile unbuffered": "Set ENV PYTHONUNBUFFERED=1",
        "%%dockerfile bytecode": "Set ENV PYTHONDONTWRITEBYTECODE=1",
    }
    for number, (source, says) in enumerate(made.items(), 1):
        cell = cells.filter(has_text=source).first
        run(page, cell, number)
        expect(cell.locator(".jp-OutputArea-output").last).to_contain_text(says)

    # Each kind of cell in the colours of its own language, also when the kernel has said its own.
    languages = cells.locator(".cm-content")
    expect(languages.nth(0)).to_have_attribute("data-language", "python")
    expect(languages.nth(1)).not_to_have_attribute("data-language", re.compile(""))
    expect(languages.nth(2)).to_have_attribute("data-language", "shell")

    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_text("New", exact=True).first.hover()
    page.get_by_role("menuitem", name="Terminal", exact=True).click()
    terminal = page.locator(".jp-Terminal .xterm")
    terminal.wait_for(timeout=30_000)
    terminal.click()

    folder = WORKSPACES / session.ident() / "02-builder-stage"
    commands = [stored("tools"), stored("counted"), stored("stale")]
    same_image = (
        "docker build -q -t $IMAGE . > id && docker images -q --no-trunc $IMAGE | diff id -"
    )
    for number, (command, answer) in enumerate([*commands, (same_image, "")]):
        # In one piece, as pasted: single keys were lost when the machine was busy.
        page.keyboard.insert_text(f"({command}) > {number}.txt 2>&1; echo $? > {number}.status")
        page.keyboard.press("Enter")
        status = folder / f"{number}.status"
        wait_for(lambda status=status: status.exists() and status.read_text(), START_S)
        assert (status.read_text(), (folder / f"{number}.txt").read_text()) == ("0\n", answer)
    picture = Path(os.environ.get("WORKSHOP_PICTURES", log.parent)) / "terminal.png"
    page.screenshot(path=picture)
    page.close()


def test_an_exercise_is_solved_and_counted(lab, browser):
    """Wrong at first; then a hint is unfolded, and the solution typed."""
    _, address, log = lab
    (turn,) = [turn for turn in turns.ALL if turn.name == "own-the-volume"]
    wrong, says = turn.wrong[0]
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    open_chapter(page, address, turn.chapter.name, log)

    def cell(source):
        # A line that no other cell has.
        return page.locator(".jp-CodeCell", has_text=source).last

    start, tried, verdict = (
        cell(part) for part in ("%%file Dockerfile.volume", "--out owned", '"own-the-volume"')
    )
    run(page, page.locator(".jp-Notebook .jp-CodeCell").first, 1)
    run(page, start, 2, turn.answered(wrong).strip())
    run(page, tried, 3)
    run(page, verdict, 4)
    expect(verdict.locator(".jp-OutputArea-output")).to_contain_text(says)

    hint = page.locator("details", has_text="A new volume takes owner").last
    expect(hint.get_by_text("A new volume takes owner")).to_be_hidden()
    hint.locator("summary").click()
    expect(hint.get_by_text("A new volume takes owner")).to_be_visible()
    picture = Path(os.environ.get("WORKSHOP_PICTURES", log.parent)) / "exercise.png"
    page.screenshot(path=picture)

    run(page, start, 5, turn.answered(turn.solution).strip())
    run(page, tried, 6)
    run(page, verdict, 7)
    expect(verdict.locator(".jp-OutputArea-output")).to_contain_text("Solved. That makes 1 of 2")

    open_chapter(page, address, notebooks.FIRST, log)
    shown = cell("from workshop import progress")
    run(page, shown, 1)
    expect(shown.locator("tr", has_text=turn.chapter.stem)).to_contain_text("1 of 2")
    page.close()
    exercises.forget(turn.chapter.stem)


def test_chapter_00_runs_from_the_menu_and_ctrl_c_ends_lab(lab, browser):
    process, address, log = lab
    file = NOTEBOOKS / notebooks.FIRST
    before = file.read_bytes()

    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    with reloading.until(page.get_by_role("heading", name="Start here"), RUN_MS):
        page.goto(address)
    assert "token=" in address

    # What is stored in the file would pass for an answer: clear it first.
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_text("Clear Outputs of All Cells", exact=True).click()
    expect(page.locator(".jp-OutputArea-output")).to_have_count(0)

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    last = page.get_by_text("✔ the image is still the one of before")
    last.wait_for(timeout=RUN_MS)
    expect(last).to_be_visible()
    # Nothing of the live progress line stays.
    assert page.get_by_text(re.compile(r"^\s*\d+ s  \[")).count() == 0
    page.locator("caption", has_text="Exercises").wait_for(timeout=RUN_MS)

    table = page.locator(".jp-RenderedHTMLCommon table", has_text="Steps of this build").last
    table.scroll_into_view_if_needed()
    expect(table.locator("caption")).to_have_text("Steps of this build")
    picture = Path(os.environ.get("WORKSHOP_PICTURES", log.parent)) / "lab.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000
    page.close()
    assert file.read_bytes() == before

    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=180) == 0
    assert "Traceback" not in GIVEN_UP.sub("", log.read_text())
    assert session.leftovers()["containers"] == []
