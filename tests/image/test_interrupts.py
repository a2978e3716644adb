"""A kernel that is interrupted stops what it had going, and its next cell works."""

import os
import queue
import secrets
import signal
import sys
import time

import psutil
import pytest
from jupyter_client.manager import KernelManager

from workshop.engine import client, session

pytestmark = [
    pytest.mark.usefixtures("left_clean"),
    pytest.mark.skipif(os.name == "nt", reason="processes are looked for as on Unix"),
]

IDLE_S = 15


class Kernel:
    """A real kernel of this Python, spoken to as a notebook does."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        # As where a person is watching: the line of progress tells when a step runs.
        self.manager.start_kernel(env={**os.environ, "WORKSHOP_PROGRESS": "1"})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.cell = ""

    def start(self, source):
        self.cell = self.client.execute(source)

    def messages(self, timeout):
        """What the running cell tells within ``timeout`` seconds, up to its end."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.client.get_iopub_msg(timeout=left)
            except queue.Empty:
                break
            if message["parent_header"].get("msg_id") != self.cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return
            yield kind, content
        raise AssertionError(f"The cell was still running after {timeout} seconds.")

    def run(self, source):
        """Run a cell to its end; returns what it printed."""
        self.start(source)
        printed = ""
        for kind, content in self.messages(60):
            assert kind != "error", content["traceback"]
            printed += content["text"] if kind == "stream" else ""
        return printed

    def interrupt(self, alone=False):
        """Interrupt the running cell; returns the names of its errors once it is idle.

        The signal goes to the kernel and its child processes, or to the kernel alone.
        """
        if alone:
            os.kill(self.manager.provisioner.pid, signal.SIGINT)
        else:
            self.manager.interrupt_kernel()
        return [c["ename"] for kind, c in self.messages(IDLE_S) if kind == "error"]

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(left_clean):
    made = Kernel()
    made.run(
        "from workshop.workspace import Workspace\n"
        "ws = Workspace('test-interrupts', ['FROM python:3.13-slim'])\n"
        "build = ws.build()"
    )
    yield made
    made.close()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def commands_with(text):
    """The command lines of this machine's processes that hold ``text``."""
    lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
    return [line for line in lines if text in line]


def my_containers():
    mine = {"label": f"{session.LABEL}={session.ident()}"}
    return client.connect().containers.list(all=True, filters=mine, ignore_removed=True)


def someone_runs():
    return any(container.status == "running" for container in my_containers())


@pytest.mark.parametrize("alone", [False, True])
def test_a_build(kernel, alone):
    tag = f"{session.prefix()}/test-interrupts"
    nap = f"sleep 120.{secrets.randbelow(10**8):08}"
    before = kernel.run("print(ws.put('start', 'ENV START=1').build.tag); print(ws.text)")
    kernel.start(f"ws.put('nap', 'RUN echo good night; {nap}')")
    for kind, content in kernel.messages(30):
        assert kind != "error", content["traceback"]
        if kind == "update_display_data" and "good night" in str(content["data"]):
            break
    assert commands_with(f"--tag {tag}")
    # An engine in a virtual machine has its processes there.
    if sys.platform == "linux":
        wait_for(lambda: commands_with(nap), 10)
    assert kernel.interrupt(alone) == ["KeyboardInterrupt"]
    assert commands_with(f"--tag {tag}") == []
    wait_for(lambda: commands_with(nap) == [], 10)
    assert my_containers() == []
    assert kernel.run("print(ws.build().tag); print(ws.text)") == before
    assert kernel.run("print(ws.put('next', 'ENV NEXT=1').added)") == (
        "Added no layer.\nSet ENV NEXT=1\n"
    )


def test_a_command_in_a_container(kernel):
    kernel.start("ws.run('sleep', '120', image='python:3.13-slim')")
    wait_for(someone_runs)
    assert kernel.interrupt() == ["KeyboardInterrupt"]
    wait_for(lambda: my_containers() == [], 5)
    assert kernel.run("print(ws.run('echo', 'still here').stdout)") == "still here\n\n"


@pytest.mark.parametrize("waiting", ["port=8000", "ready='never said'"])
def test_a_container_that_is_not_ready_yet(kernel, waiting):
    kernel.start(f"ws.start('sleep', '120', image='python:3.13-slim', {waiting})")
    wait_for(someone_runs)
    time.sleep(1)  # `docker run` has returned: the wait for readiness is on
    assert kernel.interrupt() == ["KeyboardInterrupt"]
    assert my_containers() == []
    assert kernel.run("print(ws.run('echo', 'still here').stdout)") == "still here\n\n"


def test_a_kernel_that_is_shut_down_takes_its_containers_along(left_clean):
    other = Kernel()
    try:
        other.run(
            "from workshop import containers\n"
            "kept = containers.start('python:3.13-slim', ['sleep', '120'])"
        )
        assert someone_runs()
        other.manager.shutdown_kernel(now=False)
        wait_for(lambda: my_containers() == [], IDLE_S)
    finally:
        other.close()
