"""Run containers that never stay behind.

Every container carries the session's label and a name of its own, and is removed when its
cell or its kernel ends. What a kernel left that was killed is removed when its chapter
starts again. Its port is one that the engine picks, published on 127.0.0.1 only; a remote
engine publishes it on all its addresses.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker
import requests

from ..engine import children, client, session
from ..errors import WorkshopError
from ..show.display import Command, Composed, Shown
from .site import Site

READY_S = 60.0
GIVE_UP_S = 30.0
START_S = 300.0


@dataclass(repr=False)
class Output(Composed):
    """What a command in a container printed, and its exit status; ``seconds`` in all."""

    words: list[str]
    status: int
    stdout: str
    stderr: str
    seconds: float

    def parts(self) -> Command:
        printed = [part.rstrip() for part in (self.stdout, self.stderr) if part.strip()]
        ending = [f"(exit status {self.status})"] if self.status else []
        return Command(self.words, "\n".join(printed + ending))

    @property
    def lines(self) -> list[str]:
        """The lines of standard output that are not blank."""
        return [line for line in self.stdout.splitlines() if line.strip()]


def run(
    image: str,
    command: Sequence[str] = (),
    *,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
    chapter: str = "",
) -> Output:
    """Run ``command`` in a new container of ``image`` and wait for it, like `docker run --rm`.

    A failing command is no error: look at ``status``. Raises WorkshopError when the
    container could not be started or took longer than ``timeout`` seconds. ``chapter``
    says whose container it is.
    """
    words = ["docker", "run", "--rm", *options, *_env_words(env), image, *command]
    name = new_name(chapter)
    output = _output(words, ["run", *_ours(name, image, chapter), *words[2:]], timeout, name)
    # 125: docker itself failed. The command's own statuses are passed through.
    if output.status == 125:
        raise _not_started(image, output.stderr)
    return output


def _output(words: list[str], real: list[str], timeout: float, container: str = "") -> Output:
    """Run ``docker REAL``, shown as ``words``; see ``complete``."""
    command = [client.cli(), *real]
    named = [container] if container else []
    return complete(words, command, timeout=timeout, named=named, env=client.environment())


def complete(
    words: list[str],
    command: Sequence[str],
    *,
    timeout: float,
    named: Sequence[str] = (),
    fix: str = "Give a larger timeout, or start it in the background.",
    **settings: Any,
) -> Output:
    """Run ``command``, shown as ``words``, to its end; ``settings`` as of subprocess.Popen.

    ``named`` are the names that the container which the command makes may have: when the command
    does not end by itself, what is this session's of them is removed. Raises WorkshopError, with
    ``fix``, after ``timeout`` seconds.
    """
    start = time.monotonic()
    process = children.start(
        command,
        at_death="SIGKILL",  # any other one would be passed on to the container
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _give_up(process, named)
        raise WorkshopError(
            f"The command was still running after {timeout:.0f} seconds.", fix
        ) from None
    except BaseException:
        _give_up(process, named)
        raise
    return Output(words, process.returncode, stdout, stderr, time.monotonic() - start)


def _give_up(process: subprocess.Popen[str], named: Sequence[str]) -> None:
    """End a docker command, and remove the container that it makes.

    The engine finishes a container that it has begun to make. So the command is not ended
    before its container was there and is gone, which ends it. A name that the reader gave may
    be one that somebody else's container has.
    """
    deadline = time.monotonic() + GIVE_UP_S
    while named and process.poll() is None and time.monotonic() < deadline:
        _remove_mine(named)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=0.1)
    process.kill()
    process.communicate()
    if named:
        _remove_mine(named)


def _remove_mine(named: Sequence[str]) -> None:
    with contextlib.suppress(docker.errors.APIError):
        for name in set(named) & set(session.containers()):
            _remove(name)


def not_there(image: str) -> WorkshopError:
    """What to say of an image of this session that the engine does not have."""
    return WorkshopError(
        f"The image {image} is not there yet, or not any more.",
        "Run the cells above that build it, from the chapter's first cell on.",
    )


def _not_started(image: str, said: str) -> WorkshopError:
    if "No such image" in said and is_ours(image):
        return not_there(image)
    return WorkshopError(
        f"The container could not be started. {said.strip()}",
        "Run the same command in a terminal to look closer.",
    )


@dataclass(repr=False)
class Stopped(Composed):
    """How a container ended: its exit status, and the seconds that stopping it took."""

    words: list[str]
    status: int
    seconds: float

    def parts(self) -> Command:
        ending = f"stopped after {self.seconds:.1f} s, exit status {self.status}"
        return Command(self.words, ending)


@dataclass(repr=False)
class Container(Shown):
    """A running container. Use it in a ``with`` block, or call ``stop`` at the end."""

    words: list[str]
    name: str
    port: int | None
    last_logs: str = ""

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @functools.cached_property
    def site(self) -> Site:
        """What the container serves on the port that it publishes."""
        if self.port is None:
            raise WorkshopError("This container publishes no port.", "Start it with port=….")
        return Site(self.port)

    @property
    def url(self) -> str:
        """The address, as seen from here, of the port that the container publishes."""
        return self.site.url

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        """Fetch ``path`` from the container. ``options`` as of requests.get."""
        return self.site.get(path, **options)

    def post(self, path: str, data: Mapping[str, str], **options: Any) -> requests.Response:
        """Send a Django form; see Site.post."""
        return self.site.post(path, data, **options)

    def exec(self, *command: str, user: str = "", timeout: float = 120) -> Output:
        """Run ``command`` inside the running container, like `docker exec`, for so many seconds."""
        words = ["docker", "exec", *(["--user", user] if user else []), self.name, *command]
        return _output(words, words[1:], timeout=timeout)

    def logs(self) -> str:
        """What the container printed so far, both streams in order."""
        printed: bytes = self._container().logs()
        return printed.decode("utf-8", errors="replace")

    def is_running(self) -> bool:
        """False once the first process has ended."""
        return bool(self._container().status == "running")

    def wait_for(self, text: str, timeout: float = READY_S) -> None:
        """Wait until ``text`` is in the logs. Raises WorkshopError after ``timeout`` seconds."""
        poll(lambda: text in self.logs(), self, f"printed {text!r}", timeout)

    def wait_until(self, *command: str, timeout: float = READY_S) -> None:
        """Repeat ``command`` inside until it exits with 0; WorkshopError after ``timeout`` s."""
        poll(lambda: self.exec(*command).status == 0, self, f"passed {command[0]}", timeout)

    def stop(self, timeout: int = 10) -> Stopped:
        """Stop it as `docker stop` does: SIGTERM, then SIGKILL after ``timeout`` seconds.

        The container is removed afterwards; its logs stay readable in ``last_logs``.
        """
        container = self._container()
        start = time.monotonic()
        container.stop(timeout=timeout)
        seconds = time.monotonic() - start
        container.reload()
        status = container.attrs["State"]["ExitCode"]
        self.last_logs = self.logs()
        self.remove()
        return Stopped(["docker", "stop", "-t", str(timeout), self.name], status, seconds)

    def remove(self) -> None:
        """Remove the container, running or not; once is enough, twice does no harm."""
        _remove(self.name)
        _running.pop(self.name, None)

    def text(self) -> str:
        where = f"\nready at {self.url}" if self.port else ""
        return Command(self.words).text() + where

    def html(self) -> str:
        link = f'<p>ready at <a href="{self.url}">{self.url}</a></p>' if self.port else ""
        return Command(self.words).html() + link

    def _container(self) -> Any:
        try:
            return client.connect().containers.get(self.name)
        except docker.errors.NotFound:
            raise WorkshopError(
                "This container is gone.", "Run the cell that started it again."
            ) from None


def start(
    image: str,
    command: Sequence[str] = (),
    *,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    port: int | None = None,
    name: str = "",
    ready: str = "",
    wait: bool = True,
    chapter: str = "",
) -> Container:
    """Start a container in the background and wait until it is ready.

    With ``port`` it is published, on 127.0.0.1 where the engine is local, and ready means
    that it answers HTTP at all; with ``ready`` that this text is in its logs; else, or
    without ``wait``, that it runs. ``name`` makes the container's name: starting it again
    replaces the one of that name. ``chapter`` says whose container it is. Raises
    WorkshopError with its logs when it ends before it is ready.
    """
    local = f"{client.LOOPBACK}::" if client.address() == client.LOOPBACK else ""
    publish = ["--publish", f"{local}{port}"] if port else []
    full_name = _name(chapter, name) if name else new_name(chapter)
    _remove(full_name)
    words = [*publish, *options, *_env_words(env), image, *command]
    try:
        real = ["run", "--detach", *_ours(full_name, image, chapter), *words]
        output = _output([], real, START_S, full_name)
        if output.status:
            raise _not_started(image, output.stderr)
        found = client.connect().containers.get(full_name)
        mapped = (found.ports or {}).get(f"{port}/tcp") if port else None
        container = Container(
            ["docker", "run", "--detach", "--name", full_name, *words],
            full_name,
            int(mapped[0]["HostPort"]) if mapped else None,
        )
        _running[full_name] = container
        if port and not mapped:
            _raise_ended(container)
        if port and wait:
            poll(container.site.answers, container, "answered")
        if ready:
            container.wait_for(ready)
    except BaseException:
        _remove(full_name)
        _running.pop(full_name, None)
        raise
    return container


_running: dict[str, Container] = {}


@atexit.register
def remove_all() -> None:
    """Remove every container that this process started."""
    for container in list(_running.values()):
        container.remove()


def remove_of(chapter: str) -> None:
    """Remove the containers, networks and volumes of a chapter, whoever made them."""
    for name in session.containers(chapter):
        _remove(name)
    for name in session.networks(chapter):
        remove_network(name)
    for name in session.volumes(chapter):
        with contextlib.suppress(docker.errors.APIError):
            client.connect().api.remove_volume(name)


def remove_if_of(chapter: str, name: str) -> None:
    """Remove the container ``name`` if it is one of the chapter's."""
    if name in session.containers(chapter):
        _remove(name)


def remove_network(name: str) -> None:
    """Remove a network with the containers in it."""
    with contextlib.suppress(docker.errors.NotFound):
        found = client.connect().networks.get(name)
        for container in found.containers:
            container.remove(force=True, v=True)
        found.remove()


def poll(
    condition: Callable[[], bool],
    container: Container,
    what: str,
    timeout: float = READY_S,
    every: float = 0.1,
) -> None:
    """Ask ``every`` so many seconds until ``condition`` holds: the container has ``what``.

    Raises WorkshopError with its logs when it ends before, or after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        # It may have done so, and ended, since it was asked.
        if not container.is_running() and not condition():
            _raise_ended(container)
        if time.monotonic() > deadline:
            raise WorkshopError(
                f"The container has not {what} within {timeout:.0f} seconds. "
                f"Its log:\n{container.logs()}"
            )
        time.sleep(every)


def _raise_ended(container: Container) -> None:
    found = container._container()
    raise WorkshopError(
        f"The container ended with exit status {found.attrs['State']['ExitCode']}. "
        f"Its log:\n{container.logs().rstrip()}",
        "The last line of the log usually names the cause.",
    )


def _env_words(env: Mapping[str, str] | None) -> list[str]:
    return [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]


def _ours(name: str, image: str, chapter: str) -> list[str]:
    """Options of `docker run` that are not shown: whose it is, and what not to ask a registry."""
    found = session.labels(chapter).items()
    options = [word for key, value in found for word in ("--label", f"{key}={value}")]
    return ["--name", name, *options, *(["--pull", "never"] if is_ours(image) else [])]


def is_ours(image: str) -> bool:
    """True for an image of this session, which no registry has."""
    return image.startswith(f"{session.prefix()}/")


def new_name(chapter: str) -> str:
    """A name for a container of a chapter that nobody has."""
    return _name(chapter, secrets.token_hex(4))


def _name(chapter: str, name: str) -> str:
    return "-".join(part for part in (session.prefix(), chapter, name) if part)


def _remove(name: str) -> None:
    with contextlib.suppress(docker.errors.APIError):
        client.connect().api.remove_container(name, force=True, v=True)
