"""Find the docker command line and the engine, and talk to them.

Builds go through the command line, because only BuildKit's own client speaks to
BuildKit. Containers, history and archives go through the Engine API.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess

import docker

from ..errors import WorkshopError

EMBEDDED_HOST = "unix:///run/dockerfile-workshop/docker.sock"
DEFAULT_HOST = (
    "npipe:////./pipe/docker_engine" if os.name == "nt" else "unix:///var/run/docker.sock"
)
OLDEST_ENGINE = 23
ANSWER_S = 10.0

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

USUAL_PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/Applications/Docker.app/Contents/Resources/bin",
    r"C:\Program Files\Docker\Docker\resources\bin",
)

INSTALL_DOCKER = (
    "Install Docker Desktop, or Docker Engine with the buildx plugin "
    "(https://docs.docker.com/engine/install/), start it, and try again."
)


def clis() -> list[str]:
    """Every docker command line on this machine, in the order of PATH."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *USUAL_PLACES]
    found = (shutil.which("docker", path=folder) for folder in folders if folder)
    return list(dict.fromkeys(path for path in found if path))


@functools.cache
def cli() -> str:
    """Path of the first docker command line that can build with buildx.

    The first ``docker`` on PATH may be a bare client. Raises WorkshopError when
    none has the plugin.
    """
    candidates = clis()
    for path in candidates:
        try:
            probe = subprocess.run(
                [path, "buildx", "version"], capture_output=True, stdin=subprocess.DEVNULL
            )
        except OSError:  # a file of that name that is no program for this machine
            continue
        if probe.returncode == 0:
            return path
    if candidates:
        raise WorkshopError(
            f"{candidates[0]} has no buildx plugin, so it can't build with BuildKit.",
            "Install the package docker-buildx (Debian, Ubuntu) or docker-buildx-plugin "
            "(Docker's own packages), or Docker Desktop, which brings it along.",
        )
    raise WorkshopError("There is no docker command line on this machine.", INSTALL_DOCKER)


def answers(host: str) -> bool:
    """True when an engine answers at ``host`` (the DOCKER_HOST form, as unix://…)."""
    try:
        engine = docker.DockerClient(base_url=host, timeout=ANSWER_S)
    except (docker.errors.DockerException, ValueError):
        return False
    try:
        return bool(engine.ping())
    except Exception:  # the transports raise a dozen kinds, all mean "no"
        return False
    finally:
        engine.close()


def candidates() -> list[str]:
    """Where an engine may be listening: DOCKER_HOST, the context, the default, ours."""
    hosts = [os.environ.get("DOCKER_HOST", "")]
    if not hosts[0]:
        for path in clis()[:1]:
            shown = subprocess.run(
                [path, "context", "inspect"],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            if shown.returncode == 0:
                hosts += [c["Endpoints"]["docker"]["Host"] for c in json.loads(shown.stdout)]
        hosts.append(DEFAULT_HOST)
        hosts.append(EMBEDDED_HOST)
    return list(dict.fromkeys(host for host in hosts if host))


def find() -> str | None:
    """The host of the first engine that answers, or None."""
    return next((host for host in candidates() if answers(host)), None)


@functools.cache
def host() -> str:
    """The engine in use, in the DOCKER_HOST form. Raises WorkshopError without one."""
    found = find()
    if found is None:
        raise WorkshopError(
            "No Docker engine answers. Tried: " + ", ".join(candidates()) + ".",
            "Start Docker Desktop or the docker service; on Debian or Ubuntu "
            "`uv run workshop engine start` starts one of the tutorial's own.",
        )
    return found


def environment() -> dict[str, str]:
    """The environment for a docker command line: this process's, with the engine."""
    return {
        **os.environ,
        "DOCKER_HOST": host(),
        "DOCKER_CLI_HINTS": "false",
        # The default builder sees the engine's own images; a builder in a container does not.
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }


@functools.cache
def connect() -> docker.DockerClient:
    """The Engine API client of the engine in use."""
    return docker.DockerClient(base_url=host(), timeout=120)


def forget() -> None:
    """Look for the command line and the engine anew (after one was started)."""
    for cached in (cli, host, connect):
        cached.cache_clear()


def proxy_options(flag: str) -> list[str]:
    """``flag NAME`` for each proxy variable that is set here; docker reads the value itself."""
    return [word for name in PROXIES if name in os.environ for word in (flag, name)]


def run_cli(*arguments: str, timeout: float | None = None) -> str:
    """Run ``docker ARGUMENTS`` and return its standard output.

    Raises WorkshopError with the command and its standard error, also when it takes
    longer than ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            [cli(), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(),
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise WorkshopError(
            f"docker {' '.join(arguments)} did not end within {timeout:.0f} seconds.",
            "Check the network, then try again.",
        ) from None
    if done.returncode:
        raise WorkshopError(
            f"docker {' '.join(arguments)} failed: {done.stderr.strip()}",
            "Run the same command in a terminal to look closer.",
        )
    return done.stdout
