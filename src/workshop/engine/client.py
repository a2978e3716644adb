"""Find the docker command line and the engine, and talk to them.

Builds go through the command line, because only BuildKit's own client speaks to
BuildKit. Containers, history and archives go through the Engine API. Both are given
the same address and the same certificates.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import urllib3
from docker.tls import TLSConfig

from ..errors import WorkshopError
from ..paths import state_folder
from . import error_texts

EMBEDDED_HOST = "unix:///run/dockerfile-workshop/docker.sock"
DEFAULT_HOST = (
    "npipe:////./pipe/docker_engine" if os.name == "nt" else "unix:///var/run/docker.sock"
)
# Engine 25, the first one with `HEALTHCHECK --start-interval`, speaks version 1.44 of the API.
OLDEST_ENGINE = 25
OLDEST_API = (1, 44)
# The oldest plugins that do what the chapters need, what that is, and distributions' packages.
PLUGINS = {
    "buildx": ((0, 12), "report progress as JSON", "docker-buildx (Debian, Ubuntu)"),
    "compose": (
        (2, 26),
        "replace a list of another file (!override)",
        "docker-compose (Debian), docker-compose-v2 (Ubuntu)",
    ),
}
ANSWER_S = 10.0
TIMEOUT_S = 120.0
LOOPBACK = "127.0.0.1"

# All that says to a docker command line which engine it is to use.
ENGINE_VARIABLES = (
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY",
)  # fmt: skip
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


# The command line


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
            _install("buildx"),
        )
    raise WorkshopError("There is no docker command line on this machine.", INSTALL_DOCKER)


def plugin_version(plugin: str) -> str:
    """The version of ``cli()``'s "buildx" or "compose", as "0.13.1"; or "of unknown version".

    Raises WorkshopError when it is not there, or too old for what the chapters type.
    """
    shown = subprocess.run(
        [cli(), plugin, "version"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if shown.returncode:
        raise WorkshopError(f"{cli()} has no {plugin} plugin.", _install(plugin))
    oldest, why, _ = PLUGINS[plugin]
    # "github.com/docker/buildx v0.13.1 788433953af1", "Docker Compose version 2.26.1-4"
    found = re.search(r"\bv?((\d+)\.(\d+)(\.\d+)?)", shown.stdout)
    # One that was built without its version calls itself 0.0.0.
    if found is None or found[1].startswith("0.0"):
        return "of unknown version"
    if (int(found[2]), int(found[3])) < oldest:
        raise WorkshopError(
            f"{plugin} {found[1]} of {cli()} is too old to {why}.",
            f"Install {plugin} {oldest[0]}.{oldest[1]} or newer.",
        )
    return found[1]


def _install(plugin: str) -> str:
    """How to get a plugin that is not there."""
    *_, distribution = PLUGINS[plugin]
    return (
        f"Install the package {distribution} or docker-{plugin}-plugin (Docker's own packages), "
        "or Docker Desktop, which brings it along."
    )


# The engine


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens, and how to talk to it.

    ``host`` is in the DOCKER_HOST form. ``chosen_by`` says what names it, as "DOCKER_HOST" or
    "the context work"; it is empty for the usual places, which nobody chose. With ``tls``,
    ``certificates`` is the folder of ca.pem, cert.pem and key.pem (None: the engine's
    certificate is not looked at, and none is shown to it).
    """

    host: str
    chosen_by: str = ""
    tls: bool = False
    certificates: Path | None = None
    verify: bool = True

    def __str__(self) -> str:
        return f"Docker engine at {self.host}" + f" ({self.chosen_by})" * bool(self.chosen_by)

    def tls_config(self) -> TLSConfig | None:
        """What docker-py takes as ``tls``. Raises TLSParameterError for missing files."""
        if not self.tls:
            return None
        if self.certificates is None:
            return TLSConfig(verify=False)
        authority, certificate, key = (
            str(self.certificates / f"{name}.pem") for name in ("ca", "cert", "key")
        )
        # An engine need not ask for a certificate of its client.
        pair = (certificate, key) if Path(certificate).exists() or Path(key).exists() else None
        return TLSConfig(client_cert=pair, ca_cert=authority, verify=self.verify)


EMBEDDED = Endpoint(EMBEDDED_HOST)


def endpoints() -> list[Endpoint]:
    """Where an engine may be listening, in the order in which docker's command line looks.

    What DOCKER_HOST, DOCKER_CONTEXT or the current context names, when one of them is set,
    and nothing else. Otherwise the default socket, and the embedded engine's.
    Raises WorkshopError for a context that does not exist.
    """
    if host := os.environ.get("DOCKER_HOST"):
        verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
        if not host.startswith("tcp:") or not (verify or os.environ.get("DOCKER_TLS")):
            return [Endpoint(host, "DOCKER_HOST")]
        folder = os.environ.get("DOCKER_CERT_PATH") or os.environ.get("DOCKER_CONFIG")
        certificates = Path(folder or os.path.expanduser("~/.docker"))
        return [Endpoint(host, "DOCKER_HOST", True, certificates, verify)]
    context = _current_context()
    return [context] if context else [Endpoint(DEFAULT_HOST), EMBEDDED]


def _current_context() -> Endpoint | None:
    """The engine of the context in use; None for the one that is called default.

    The command line is asked, because docker-py looks beside config.json for contexts: where
    that file is missing, it finds none.
    """
    path = next(iter(clis()), None)
    if path is None:
        return None
    shown = subprocess.run(
        [path, "context", "inspect"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if shown.returncode:
        if "context not found" not in shown.stderr:  # a `docker` that knows no contexts
            return None
        raise WorkshopError(
            f"The Docker context in use is missing: {shown.stderr.strip().splitlines()[0]}",
            "Choose another one with `docker context use NAME` (`docker context ls` lists them), "
            "or set DOCKER_CONTEXT to it.",
        )
    try:
        (found,) = json.loads(shown.stdout)
    except ValueError:
        return None
    told = found["Endpoints"]["docker"]
    if found.get("Name") == "default":
        return None
    verify = not told.get("SkipTLSVerify")
    has_files = bool(found.get("TLSMaterial", {}).get("docker"))
    certificates = Path(found["Storage"]["TLSPath"], "docker") if has_files else None
    tls = told["Host"].startswith("tcp:") and (has_files or not verify)
    return Endpoint(told["Host"], f"the context {found.get('Name')}", tls, certificates, verify)


def open_client(endpoint: Endpoint, timeout: float = TIMEOUT_S) -> docker.DockerClient:
    """A new Engine API client; every client of the tutorial is made here.

    ``timeout`` is in seconds, for each answer. Raises what docker-py and requests raise.
    """

    def made(api: str) -> docker.DockerClient:
        client = docker.DockerClient(
            base_url=endpoint.host,
            version=api,
            timeout=timeout,  # type: ignore[arg-type]
            tls=endpoint.tls_config() or False,
        )
        # Neither a company's proxy nor its certificates belong between here and the engine.
        client.api.trust_env = False
        if endpoint.tls and not endpoint.verify:
            # Whoever chose that knows it; urllib3 would say it at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return client

    # docker-py would ask for the version before it can be told to leave the environment alone.
    asking = made(f"1.{OLDEST_API[1]}")
    try:
        newest = asking.api.version(api_version=False)["ApiVersion"]
    finally:
        asking.close()
    return made(newest)


class NoAnswer(WorkshopError):
    """No engine answers at an endpoint; ``is_there`` when it is silent, or not for you."""

    is_there = False


def version(endpoint: Endpoint) -> dict[str, Any]:
    """What the engine at ``endpoint`` says of itself (GET /version of the Engine API).

    Raises NoAnswer with the cause, also when it takes longer than 10 seconds.
    """
    try:
        with contextlib.closing(open_client(endpoint, ANSWER_S)) as engine:
            return dict(engine.version())
    except Exception as error:  # docker-py, requests, urllib3, ssl and the SSH library have theirs
        raise _no_answer(endpoint, error) from None


def _no_answer(endpoint: Endpoint, error: BaseException) -> NoAnswer:
    chain = error_texts.chain(error)
    reason = error_texts.reason(error)
    locked = isinstance(chain[-1], PermissionError)
    silent = isinstance(chain[-1], TimeoutError)
    found = error_texts.find(
        "engine",
        "permission denied" if locked else " ".join(map(str, chain)),
        engine=str(endpoint),
        group=_group(endpoint),
        certificates=str(endpoint.certificates),
        reason=reason,
    )
    if found:
        problem = NoAnswer(found.what, found.fix)
    else:
        fix = {
            "": "Start Docker Desktop or the docker service.",
            "DOCKER_HOST": "Start that engine, or unset DOCKER_HOST.",
        }.get(
            endpoint.chosen_by,
            "Start that engine, or choose another context: `docker context use default`.",
        )
        if silent:
            fix = "It is there, and busy or just starting: wait a moment, or restart it."
        problem = NoAnswer(f"The {endpoint} does not answer: {reason}.", fix)
    problem.is_there = locked or silent
    return problem


def _group(endpoint: Endpoint) -> str:
    """The group that may use a Unix socket; docker where that can't be seen."""
    try:
        import grp

        number = os.stat(endpoint.host.removeprefix("unix://")).st_gid
        # Nobody should join root's own group.
        return grp.getgrgid(number).gr_name if number else "docker"
    except (ImportError, OSError, KeyError):
        return "docker"


def answers(host: str) -> bool:
    """True when an engine answers at ``host`` (the DOCKER_HOST form, as unix://…)."""
    try:
        return bool(version(Endpoint(host)))
    except NoAnswer:
        return False


def candidates() -> list[str]:
    """The hosts of ``endpoints``."""
    return [endpoint.host for endpoint in endpoints()]


def find() -> str | None:
    """The host of the engine to use; None when none answers at the usual places.

    Raises NoAnswer when DOCKER_HOST or a context names one that does not answer: another
    engine is then never used instead. Raises it too when there is one that you may not use,
    or that takes connections and is silent.
    """
    found = _find()
    return found.host if found else None


def _find() -> Endpoint | None:
    silent = None
    for endpoint in endpoints():
        try:
            version(endpoint)
        except NoAnswer as problem:
            if endpoint.chosen_by:
                raise
            silent = silent or (problem if problem.is_there else None)
        else:
            return endpoint
    if silent:
        raise silent
    return None


@functools.cache
def in_use() -> Endpoint:
    """The engine in use. Raises WorkshopError without one."""
    found = _find()
    if found is None:
        raise WorkshopError(
            "No Docker engine answers. Tried: " + ", ".join(candidates()) + ".",
            "Start Docker Desktop or the docker service; on Debian or Ubuntu "
            "`uv run workshop engine start` starts one of the tutorial's own.",
        )
    return found


def host() -> str:
    """The engine in use, in the DOCKER_HOST form. Raises WorkshopError without one."""
    return in_use().host


def address() -> str:
    """Where the ports are that containers publish: 127.0.0.1, or a remote engine's own host."""
    url = urlsplit(host())
    if url.scheme not in ("tcp", "ssh", "http", "https") or not url.hostname:
        return LOOPBACK
    with contextlib.suppress(ValueError):  # a name, not a number
        if ipaddress.ip_address(url.hostname).is_loopback:
            return LOOPBACK
    if url.hostname == "localhost":
        return LOOPBACK
    return f"[{url.hostname}]" if ":" in url.hostname else url.hostname


def environment() -> dict[str, str]:
    """The environment for a docker command line: this process's, with the engine.

    The engine is named by DOCKER_HOST and its companions also when a context chose it,
    because Compose, Syft and the like know no contexts.
    """
    engine = in_use()
    variables = {k: v for k, v in os.environ.items() if k not in ENGINE_VARIABLES}
    variables |= {
        "DOCKER_HOST": engine.host,
        "DOCKER_CLI_HINTS": "false",
        # The default builder sees the engine's own images; a builder in a container does not.
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    if engine.tls:
        variables["DOCKER_TLS_VERIFY" if engine.verify else "DOCKER_TLS"] = "1"
    if engine.certificates:
        variables["DOCKER_CERT_PATH"] = str(engine.certificates)
    if kit_configuration().exists():
        variables["DOCKER_CONFIG"] = str(kit_configuration().parent)
    if address() != LOOPBACK:
        # The command line would go to a TCP engine through a proxy.
        for name in ("NO_PROXY", "no_proxy"):
            variables[name] = ",".join(filter(None, [variables.get(name), address().strip("[]")]))
    return variables


def kit_configuration() -> Path:
    """The configuration that leads containers to an unpacked kit; without a kit not there."""
    return state_folder() / "kit" / "config.json"


@functools.cache
def connect() -> docker.DockerClient:
    """The Engine API client of the engine in use."""
    return open_client(in_use())


def machine() -> str:
    """The engine and its machine in words, because that is where everything runs."""
    told = connect().info()
    return (
        f"{told['OSType']} {told['Architecture']}, {told['NCPU']} processors, "
        f"{told['MemTotal'] / 1e9:.0f} GB of memory, Docker Engine {told['ServerVersion']} "
        f"with the {told['Driver']} store"
    )


def check_engine() -> dict[str, Any]:
    """What the engine in use says of itself (GET /version), if it can build the tutorial.

    Raises WorkshopError for an engine that is too old or has no BuildKit.
    """
    told = version(in_use())
    parts = [part.get("Name", "") for part in told.get("Components") or []]
    if "Podman Engine" in parts:
        raise WorkshopError(
            f"Podman {told.get('Version')} answers at {host()}, and it has no BuildKit, which "
            "builds and caches every image of this tutorial.",
            f"{INSTALL_DOCKER} Then unset DOCKER_HOST, or let it name that engine.",
        )
    api = tuple(map(int, re.findall(r"\d+", str(told.get("ApiVersion", "")))[:2]))
    if api and api < OLDEST_API:
        raise WorkshopError(
            f"Docker Engine {told.get('Version')} is too old.",
            f"Install {OLDEST_ENGINE} or newer.",
        )
    return told


def forget() -> None:
    """Look for the command line and the engine anew (after one was started)."""
    for cached in (cli, in_use, connect):
        cached.cache_clear()


def is_desktop() -> bool:
    """True for Docker Desktop, whose engine is in a virtual machine."""
    return "Docker Desktop" in str(connect().info().get("OperatingSystem"))


def free_disk() -> int | None:
    """Bytes that are free where the engine keeps its data; None where that can't be seen."""
    if not host().startswith("unix://") or is_desktop():
        return None
    # A socket of this machine may still lead to another one's engine.
    with contextlib.suppress(OSError):
        return shutil.disk_usage(connect().info().get("DockerRootDir", "")).free
    return None


def proxy_options(flag: str) -> list[str]:
    """``flag NAME`` for each proxy variable that is set here; docker reads the value itself.

    With a kit that is unpacked there are none, because it is the proxy.
    """
    if kit_configuration().exists():
        return []
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
