"""The proxy of a kit, in a container: it records what containers fetch, or answers from that.

Docker's command line tells containers and builds of a proxy that its configuration names. So
the tutorial's commands get a configuration of their own, and what they do stays as it is. A
proxy that is named in this way does not count in the keys of the build cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker

from ..engine import client
from ..errors import WorkshopError
from ..paths import write_whole

IMAGE = "dockerfile-workshop/kit:latest"
RECORDER = "dockerfile-workshop/kit:recorder"
CONTAINER = "dockerfile-workshop-kit"
LABEL = "dockerfile-workshop.kit"
RECIPES = Path(__file__).parent
PORT = "8080/tcp"
# Of the host: the same again after the engine was restarted, while a JupyterLab is open.
HOST_PORT = 28127
# What containers call each other, and themselves. These names go past the proxy.
NOT_FETCHED = (
    "localhost", "127.0.0.1", "::1", "balancer", "db", "files", "new", "old", "redis", "servers",
    "web",
)  # fmt: skip
ANSWERS_S = 60.0


def build(target: str, tag: str, files: Mapping[str, bytes], labels: Mapping[str, str]) -> None:
    """Build a stage of image/Dockerfile with ``files`` beside it. Raises WorkshopError."""
    with tempfile.TemporaryDirectory(prefix="dockerfile-workshop-") as temporary:
        context = Path(temporary, "context")
        shutil.copytree(RECIPES / "image", context)
        for name, content in files.items():
            (context / name).write_bytes(content)
        client.run_cli(
            "buildx", "build", "--quiet", "--target", target, "--tag", tag,
            *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
            *client.proxy_options("--build-arg"), str(context),
        )  # fmt: skip


def start(image: str, *command: str) -> None:
    """Start the proxy from ``image``, and lead the tutorial's containers to it.

    It starts again with its engine. Raises WorkshopError when it does not answer.
    """
    remove()
    client.run_cli(
        "run", "--detach", "--restart", "unless-stopped", "--name", CONTAINER,
        "--label", f"{LABEL}=true", "--publish", f"{_listens_at()}:{HOST_PORT}:8080",
        image, *command,
    )  # fmt: skip
    lead_to_it()


def lead_to_it() -> None:
    """Write down where the proxy is, as soon as it answers.

    Raises WorkshopError when it is gone, or does not answer.
    """
    deadline = time.monotonic() + ANSWERS_S
    while not (port := _port()):
        if time.monotonic() > deadline:
            raise WorkshopError(
                "The kit's proxy, which answers in place of the network, is not there.",
                "Unpack the kit again, or go back to the network: `workshop unpack --undo`.",
            )
        time.sleep(0.2)
    address = f"http://{_seen_at()}:{port}"
    configuration = _users_own()
    configuration.pop("currentContext", None)  # the engine is named by DOCKER_HOST
    configuration["proxies"] = {
        "default": {
            "httpProxy": address,
            "httpsProxy": address,
            "noProxy": ",".join(NOT_FETCHED),
        }
    }
    plugins = configuration.setdefault("cliPluginsExtraDirs", [])
    plugins.append(str(_folder() / "cli-plugins"))
    made = client.kit_configuration()
    made.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(configuration, indent=2)
    if not made.exists() or made.read_text(encoding="utf-8") != text:
        # Other commands read it at this moment, so it appears at once. It is for this user alone,
        # because the user's own may hold passwords of registries.
        write_whole(made, text, mode=0o600)


def stop_leading() -> None:
    """From now on, containers fetch from the network again."""
    shutil.rmtree(client.kit_configuration().parent, ignore_errors=True)


def remove() -> None:
    """Remove the proxy's container, if there is one."""
    with contextlib.suppress(docker.errors.NotFound):
        client.connect().api.remove_container(CONTAINER, force=True, v=True)


def copy_out(path: str, target: Path) -> None:
    """Copy a file out of the proxy's container."""
    client.run_cli("cp", f"{CONTAINER}:{path}", str(target))


def _folder() -> Path:
    """Where the user's own docker command has its configuration and plugins."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def _users_own() -> dict[str, Any]:
    path = _folder() / "config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise WorkshopError(f"{path} is not JSON.", "Mend it, or move it away.") from None


def _listens_at() -> str:
    """The host's address under which containers of every network reach it, and few others do."""
    if client.is_desktop():
        return client.LOOPBACK
    bridge = client.connect().networks.get("bridge").attrs
    return str(bridge["IPAM"]["Config"][0]["Gateway"])


def _seen_at() -> str:
    return "host.docker.internal" if client.is_desktop() else _listens_at()


def _port() -> str:
    """The port of the host at which the proxy answers; empty while it does not."""
    try:
        found = client.connect().containers.get(CONTAINER)
    except docker.errors.NotFound:
        return ""
    # The engine accepts connections before the proxy does.
    listens = ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080))"]
    if found.status != "running" or found.exec_run(listens).exit_code:
        return ""
    ports = found.attrs["NetworkSettings"]["Ports"].get(PORT) or [{}]
    return str(ports[0].get("HostPort", ""))
