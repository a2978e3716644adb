"""A kernel that is interrupted or killed stops what it had going, and the next cell works."""

import os
import queue
import secrets
import signal
import sys
import time

import psutil
import pytest
from jupyter_client.manager import KernelManager
from waiting import wait_for

from workshop.engine import client, session
from workshop.lesson.workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("left_clean"),
    pytest.mark.skipif(os.name == "nt", reason="processes are looked for as on Unix"),
]

# Naps are much longer than every limit: what ends within one was ended, it did not run out.
NAP_S, LIMIT_S = 3600, 240


START = (
    "import workshop\n"
    "from workshop.lesson.workspace import Workspace\n"
    "ws = Workspace('test-interrupts', ['FROM python:3.13-slim'])\n"
)


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

    def messages(self, timeout=LIMIT_S):
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
        for kind, content in self.messages():
            assert kind != "error", content["traceback"]
            printed += content["text"] if kind == "stream" else ""
        return printed

    def interrupt(self, alone=False):
        """Interrupt the running cell; returns name and traceback of its error once it is idle.

        The signal goes to the kernel and its child processes, or to the kernel alone.
        """
        if alone:
            os.kill(self.manager.provisioner.pid, signal.SIGINT)
        else:
            self.manager.interrupt_kernel()
        (error,) = [c for kind, c in self.messages() if kind == "error"]
        return error["ename"], error["traceback"]

    def wait_for_output(self, text):
        """Wait until the running cell shows ``text``."""
        for kind, content in self.messages():
            assert kind != "error", content["traceback"]
            if text in str(content.get("data", "")) + str(content.get("text", "")):
                return
        raise AssertionError(f"the cell ended without {text!r}")

    def kill(self):
        """End the kernel as the kernel of the machine does when memory runs out."""
        os.kill(self.manager.provisioner.pid, signal.SIGKILL)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(left_clean):
    made = Kernel()
    made.run(START + "build = ws.build()")
    yield made
    made.close()


def commands_with(text):
    """The command lines of this machine's processes that hold ``text``."""
    lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
    return [line for line in lines if text in line]


def my_containers():
    mine = {"label": f"{session.LABEL}={session.ident()}"}
    return client.connect().containers.list(all=True, filters=mine, ignore_removed=True)


def someone_runs():
    return any(container.status == "running" for container in my_containers())


def a_nap():
    """A command that no other process has."""
    return f"sleep {NAP_S}.{secrets.randbelow(10**8):08}"


def no_image_without_a_name():
    mine = {"label": f"{session.LABEL}={session.ident()}"}
    return client.connect().api.images(filters={**mine, "dangling": True}) == []


def begin_a_build(kernel, nap):
    kernel.start(f"ws.put('nap', 'RUN echo good night; {nap}')")
    kernel.wait_for_output("good night")
    assert commands_with(f"-t {TAG}")
    # An engine in a virtual machine has its processes there.
    if sys.platform == "linux":
        wait_for(lambda: commands_with(nap), LIMIT_S)


TAG = f"{session.prefix()}/test-interrupts"
STOPPED = ("KeyboardInterrupt", ["✘ Stopped."])


@pytest.mark.parametrize("alone", [False, True])
def test_a_build(kernel, alone):
    nap = a_nap()
    before = kernel.run("print(ws.put('start', 'ENV START=1').build.tag); print(ws.text)")
    begin_a_build(kernel, nap)
    assert kernel.interrupt(alone) == STOPPED
    assert commands_with(f"-t {TAG}") == []
    wait_for(lambda: commands_with(nap) == [], LIMIT_S)
    assert my_containers() == []
    assert kernel.run("print(ws.build().tag); print(ws.text)") == before
    assert kernel.run("print(ws.put('next', 'ENV NEXT=1').added)") == (
        "Added no layer.\nSet ENV NEXT=1\n"
    )
    assert no_image_without_a_name()


def test_an_image_that_lost_its_name_when_the_cell_was_interrupted(kernel):
    """The builder is done and the cell is not: the replaced image has no name any more."""
    kernel.run(
        "from workshop.build import buildx\n"
        "real = buildx.build_image\n"
        "def then_interrupted(words, **settings):\n"
        "    real(words, **settings)\n"
        "    raise KeyboardInterrupt\n"
        "ws.put('start', 'ENV START=1')\n"
        "buildx.build_image = then_interrupted"
    )
    kernel.start("ws.put('next', 'ENV NEXT=2')")
    assert [c["ename"] for kind, c in kernel.messages() if kind == "error"] == ["KeyboardInterrupt"]
    assert no_image_without_a_name()
    kernel.run("buildx.build_image = real; ws.build()")
    assert no_image_without_a_name()


@pytest.mark.parametrize("alone", [False, True])
def test_a_command_in_a_container(kernel, alone):
    kernel.start(f"ws.run('sleep', '{NAP_S}', image='python:3.13-slim')")
    wait_for(someone_runs, LIMIT_S)
    assert kernel.interrupt(alone) == STOPPED
    assert my_containers() == []
    assert kernel.run("print(ws.run('echo', 'still here').stdout)") == "still here\n\n"


@pytest.mark.parametrize("waiting", ["port=8000", "ready='never said'"])
def test_a_container_that_is_not_ready_yet(kernel, waiting):
    kernel.run(
        "from workshop.run import containers\n"
        "poll = containers.poll\n"
        "def told(*args, **more):\n"
        "    print('it waits', flush=True)\n"
        "    poll(*args, **more)\n"
        "containers.poll = told"
    )
    kernel.start(f"ws.start('sleep', '{NAP_S}', image='python:3.13-slim', {waiting})")
    kernel.wait_for_output("it waits")
    assert kernel.interrupt() == STOPPED
    assert my_containers() == []
    assert kernel.run("print(ws.run('echo', 'still here').stdout)") == "still here\n\n"


def test_a_cell_before_its_turn_names_the_cell_to_run(kernel):
    kernel.run(
        "from workshop.lesson import explain\n"
        "explain.chapter_cells = lambda: ['first = 1', 'second = 2', 'print(first, second)']"
    )
    kernel.start("print(second)")
    (error,) = [c for kind, c in kernel.messages() if kind == "error"]
    assert error["ename"] == "NameError"
    what, fix = error["traceback"]
    assert "'second' is not there yet" in what
    assert "`second = 2`" in fix
    kernel.start("print(third)")
    (error,) = [c for kind, c in kernel.messages() if kind == "error"]
    assert "print(third)" in "".join(error["traceback"])


def test_a_kernel_that_is_shut_down_takes_its_containers_along(left_clean):
    other = Kernel()
    try:
        other.run(
            "from workshop.run import containers\n"
            f"kept = containers.start('python:3.13-slim', ['sleep', '{NAP_S}'])"
        )
        assert someone_runs()
        other.manager.shutdown_kernel(now=False)
        wait_for(lambda: my_containers() == [], LIMIT_S)
    finally:
        other.close()


# A kernel that is killed

KILLED = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child at once")


@pytest.fixture
def doomed(left_clean):
    """A kernel in a chapter with an image, to be killed."""
    made = Kernel()
    made.run(START + "ws.put('start', 'ENV START=1')")
    yield made
    made.close()


@KILLED
def test_a_build_dies_with_its_kernel_and_its_tag_stays(doomed):
    nap = a_nap()
    before = client.connect().images.get(TAG).id
    begin_a_build(doomed, nap)
    doomed.kill()
    wait_for(lambda: commands_with(f"-t {TAG}") == [], LIMIT_S)
    wait_for(lambda: commands_with(nap) == [], LIMIT_S)
    assert client.connect().images.get(TAG).id == before


@KILLED
@pytest.mark.parametrize("call", ["run", "start"])
def test_the_container_of_a_killed_kernel_goes_when_its_chapter_starts_again(doomed, call):
    wait = ", ready='never said'" if call == "start" else ""
    doomed.start(f"ws.{call}('sleep', '{NAP_S}', image='python:3.13-slim'{wait})")
    wait_for(someone_runs, LIMIT_S)
    (left,) = my_containers()
    assert left.name.startswith(f"{session.prefix()}-test-interrupts-")
    doomed.kill()
    wait_for(lambda: commands_with(f"--name {left.name}") == [], LIMIT_S)
    Workspace("test-interrupts")
    assert my_containers() == []
    assert no_image_without_a_name()
