"""What SIGTERM and Ctrl-C leave behind of a headless run and of JupyterLab: no process."""

import json
import os
import signal
import subprocess
import sys

import nbformat
import psutil
import pytest
import requests
from waiting import wait_for

from workshop.paths import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the signals are Unix's")

RUN = """
import sys
from pathlib import Path
from workshop import cli
from workshop.lesson import notebooks
cli.prepare = lambda: None
notebooks.chapters = lambda names: [Path(sys.argv[1])]
cli.EXECUTED = Path(sys.argv[1]).parent / "executed"
sys.exit(cli.main(["run"]))
"""
# Only what hangs takes so long.
LIMIT_S = 60
LAB = "import sys; from workshop.lesson import notebooks; sys.exit(notebooks.lab(browser=False))"
# A cell that is busy as one that builds: its child has to be ended, and so it is, if asked.
BUSY = """
import pathlib, subprocess
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path({ready!r}).write_text("")
try:
    child.wait()
finally:
    child.terminate()
    child.wait()
    pathlib.Path({orderly!r}).write_text("")
"""


def started(script, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background lets them inherit a deaf ear.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=LIMIT_S)
    for left in alive:
        left.kill()
    return [left for left in alive if left.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_headless_run_that_is_stopped_while_its_kernel_starts(tmp_path, number):
    path = tmp_path / "empty.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    process = started(RUN, str(path))
    children = wait_for(lambda: family(process), LIMIT_S, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert all_gone(children)
    assert process.returncode == 130
    # A kernel may still say where it was interrupted.
    assert said.endswith("✘ Stopped.\n")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_headless_run_ends_its_kernel_and_what_that_runs(tmp_path, number):
    ready, orderly = tmp_path / "ready", tmp_path / "orderly"
    cell = nbformat.v4.new_code_cell(BUSY.format(ready=str(ready), orderly=str(orderly)))
    path = tmp_path / "busy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    process = started(RUN, str(path))
    wait_for(ready.exists, LIMIT_S, process)
    children = family(process)
    assert len(children) == 2
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert all_gone(children)
    assert orderly.exists()
    assert process.returncode == 130
    # A kernel may still say where it was interrupted.
    assert said.endswith("✘ Stopped.\n")


@pytest.mark.slow
def test_sigterm_ends_jupyterlab_and_its_kernels(tmp_path):
    process = started(LAB, JUPYTER_RUNTIME_DIR=str(tmp_path))
    (file,) = wait_for(lambda: list(tmp_path.glob("jpserver-*[0-9].json")), LIMIT_S, process)
    told = wait_for(lambda: file.read_text() and json.loads(file.read_text()), LIMIT_S, process)
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"token {told['token']}"

    def kernel():
        try:
            return session.post(f"{told['url']}api/kernels", json={}, timeout=20)
        except requests.ConnectionError:
            return None

    assert wait_for(kernel, LIMIT_S, process).status_code == 201
    children = family(process)
    assert len(children) >= 2
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert all_gone(children)
    assert process.returncode == 0
    assert 'File "' + str(ROOT / "src") not in said
