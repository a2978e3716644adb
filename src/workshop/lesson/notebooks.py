"""Execute the notebooks without a browser, and open JupyterLab.

Runs are headless: progress goes to standard error, a cell a line.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from ..engine import client
from ..errors import WorkshopError
from ..paths import FIRST, NOTEBOOKS, ROOT
from ..show.console import say
from . import claims, minutes, workspace

# JupyterLab's own settings for the tutorial: it asks nothing and fetches no news.
SETTINGS = Path(__file__).with_name("lab")
CELL_TIMEOUT_S = 900


def chapters(names: Iterable[str] = ()) -> list[Path]:
    """The notebooks in reading order, or those named: a path, a file name, or its beginning."""
    everything = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    chosen = []
    for name in names:
        found = [p for p in everything if p.name.startswith(Path(name).name)]
        if len(found) != 1:
            listed = ", ".join(p.stem for p in everything)
            raise WorkshopError(f"{len(found)} notebooks match {name!r}.", f"There are: {listed}.")
        chosen += found
    return chosen or everything


class _KernelManager(AsyncKernelManager):
    """Remembers whether it was told to end its kernel, and gives it time for that."""

    # Seconds in which the kernel may end what it runs, as a build, before it is killed.
    shutdown_wait_time = 30.0
    told_to_stop = False

    async def shutdown_kernel(  # type: ignore[override]
        self, now: bool = False, restart: bool = False
    ) -> None:
        self.told_to_stop = True
        await super().shutdown_kernel(now=now, restart=restart)


def execute(path: Path, variables: Mapping[str, str]) -> nbformat.NotebookNode:
    """Run all cells of a notebook in a new kernel and return it with its outputs.

    ``variables`` are added to the kernel's environment.

    Raises WorkshopError with the failed cell's number, source and error, and
    KeyboardInterrupt when SIGTERM or SIGINT came; the kernel and what it ran are then gone.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    start = time.monotonic()
    number = 0

    def announce(cell: nbformat.NotebookNode, **_: object) -> None:
        nonlocal number
        if cell.cell_type == "code":
            number += 1
            say(f"  {path.stem}  cell {number}/{len(code)}  {first_line(cell.source)}")

    runner = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_execute=announce,
        record_timing=False,
        kernel_manager_class=_KernelManager,
    )
    manager = cast(_KernelManager, runner.create_kernel_manager())
    try:
        runner.execute(env={**os.environ, "WORKSHOP_PROGRESS": "0", **variables})
    except (Exception, asyncio.CancelledError) as error:
        # At SIGTERM and SIGINT nbclient interrupts the cell and ends the kernel, and then fails
        # in one of several ways.
        failed = isinstance(error, (CellExecutionError, CellTimeoutError))
        if getattr(error, "ename", "") == "KeyboardInterrupt" or (
            manager.told_to_stop and not failed
        ):
            # What it left half done, asyncio would report at the very end.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
            raise KeyboardInterrupt from None
        if not failed and not isinstance(error, DeadKernelError):
            raise
        source = code[number - 1].source if number else ""
        raise WorkshopError(
            f"{path.name}: code cell {number} failed.\n{source}\n{error}",
            f"Open the notebook with `uv run workshop lab` and run it up to cell {number}.",
        ) from None
    say(f"✔ {path.stem} ({time.monotonic() - start:.0f} s)")
    return nbformat.NotebookNode(notebook)


def first_line(source: str) -> str:
    """What to call a cell on the terminal."""
    return source.strip().partition("\n")[0][:60]


def run(names: Iterable[str], folder: Path, in_place: bool = False) -> list[Path]:
    """Execute notebooks into ``folder``; returns what it wrote.

    With ``in_place`` the notebooks themselves get the new outputs, and how long they ran and
    what their claims have seen is kept.
    """
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for path in chapters(names):
        # Not in ``folder``, because two runs of one clone may write into it at once.
        with tempfile.TemporaryDirectory() as mine:
            kept = Path(mine, "claims.jsonl")
            kept.touch()
            start = time.monotonic()
            executed = execute(path, {claims.KEEP: str(kept)} if in_place else {})
            if in_place:
                write(executed, path)
                minutes.remember(path.stem, time.monotonic() - start)
                claims.remember(path.stem, kept, client.machine())
        write(executed, folder / path.name)
        written.append(folder / path.name)
    return written


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook without what differs from run to run and from machine to machine."""
    # How a stream is cut into pieces depends on timing alone.
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    nbformat.write(notebook, path)


def is_of_a_hub() -> bool:
    """True when a JupyterHub started this process."""
    return "JUPYTERHUB_API_TOKEN" in os.environ


def lab(browser: bool) -> int:
    """Serve JupyterLab on 127.0.0.1 with a token until Ctrl-C or SIGTERM; its exit status.

    Where a JupyterHub started this, the server is one of the hub's, at the address that it gave.
    """
    serve = (
        ["jupyterhub.singleuser"] if is_of_a_hub() else ["jupyterlab", "--ServerApp.ip=127.0.0.1"]
    )
    command = [
        sys.executable, "-m", *serve,
        "--ServerApp.answer_yes=True",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.app_settings_dir={SETTINGS}",
        f"--LabApp.extra_labextensions_path={SETTINGS / 'extensions'}",
        f"--LabApp.default_url=/lab/tree/notebooks/{FIRST}",
    ]  # fmt: skip
    if shell := shutil.which("bash"):
        start = [shell, "--rcfile", str(SETTINGS / "terminal.bashrc"), "-i"]
        command.append(f"--ServerApp.terminado_settings={ {'shell_command': start} }")
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    environment = {**os.environ, "WORKSHOP_TERMINAL": str(workspace.terminal_file())}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Ctrl-C reached JupyterLab too, SIGTERM did not. It ends its kernels before it ends.
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
