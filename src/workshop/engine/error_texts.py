"""What the texts of engines, registries and builders mean, and what to do about each.

One table for all of them, read from the top: the first row of a subject whose pattern
is in the text is the cause.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, replace
from typing import Literal

import docker
import requests
import urllib3

from ..errors import WorkshopError

Subject = Literal["engine", "pull", "build"]
Kind = Literal["", "certificate", "out of reach", "forbidden"]


@dataclass(frozen=True)
class Cause:
    """One row: when ``pattern`` is in the text, ``what`` happened, and ``fix`` says what to do.

    ``what`` and ``fix`` may name, in braces, what the caller of ``find`` gives. ``kind`` tells
    those rows apart after which the tutorial goes on in another way.
    """

    subject: Subject
    pattern: str
    what: str
    fix: str
    kind: Kind = ""


TABLE = (
    # The way to the engine. The names: engine (its address, and what chose it), group,
    # certificates (their folder), reason.
    Cause(
        "engine",
        r"permission denied",
        "You may not use the {engine}: permission denied.",
        "Run `sudo usermod -aG {group} $USER`, log out and in, and try again.",
    ),
    Cause(
        "engine",
        r"HTTP request to an HTTPS server|certificate.required|bad.certificate|unknown.ca"
        r"|EOF occurred",
        "The {engine} wants TLS, with a client certificate that it knows.",
        "Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with its ca.pem, cert.pem "
        "and key.pem; or make a context with them (`docker context create --help`).",
    ),
    Cause(
        "engine",
        r"certificate.verify.failed|doesn't match",
        "The {engine} shows a certificate that your ca.pem does not vouch for. ({reason})",
        "Take the ca.pem of that engine, and call the engine by a name that its certificate has.",
    ),
    Cause(
        "engine",
        r"wrong.version.number|record.layer.failure",
        "The {engine} does not speak TLS.",
        "Unset DOCKER_TLS_VERIFY, or use the port where it speaks TLS (2376 is usual).",
    ),
    Cause(
        "engine",
        r"CA certificate provided|certificate and key files|TLS configurations|invalid path",
        "The TLS certificates for the {engine} are not in {certificates}.",
        "Set DOCKER_CERT_PATH to the folder with its ca.pem, cert.pem and key.pem.",
    ),
    Cause(
        "engine",
        r"SSHHTTPAdapter",
        "The {engine} is reached over ssh, which takes the Python package paramiko.",
        "Begin the command with `uv run --with paramiko` instead of `uv run`.",
    ),
    # Pulls. The names: registry, reference, text, and mirror, the words on WORKSHOP_REGISTRY.
    Cause(
        "pull",
        r"no space left on device",
        "The disk of the engine is full, so there is no room for {reference}.",
        "Free some space (`docker system df` shows what Docker holds), then try again.",
    ),
    Cause(
        "pull",
        r"toomanyrequests|rate limit",
        "{registry} refuses {reference} for now: too many pulls from this address.",
        "Run `docker login`, wait, or name a mirror in WORKSHOP_REGISTRY.",
    ),
    Cause(
        "pull",
        r"http response to https client",
        "{registry} speaks plain HTTP, which the engine refuses. ({text})",
        'Add it to "insecure-registries" in the engine\'s daemon.json and restart the engine.',
    ),
    Cause(
        "pull",
        r"x509|certificate",
        "{registry} is out of reach: the engine does not trust its certificate. ({text})",
        "Give the engine your company's CA certificate: on Linux copy it, named *.crt, to "
        "/usr/local/share/ca-certificates, run `sudo update-ca-certificates` and restart the "
        "engine; with Docker Desktop add it to the system's keychain and restart it.",
        "certificate",
    ),
    Cause(
        "pull",
        r"no such host|name resolution|server misbehaving|connection refused|connection reset"
        r"|unreachable|no route to host|timeout|timed out|deadline exceeded|awaiting headers"
        r"|: eof|proxyconnect|bad gateway|service unavailable|broken pipe|tls:"
        r"|error parsing http",
        "{registry} is out of reach. ({text})",
        "Check the network{mirror}, then try again.",
        "out of reach",
    ),
    Cause(
        "pull",
        r"forbidden",
        "{registry} is out of reach: access is forbidden. ({text})",
        "Check the network{mirror}; if the registry wants a login, run `docker login`.",
        "forbidden",
    ),
    Cause(
        "pull",
        r"denied|unauthorized|not found|manifest unknown|does not exist",
        "{registry} has no {reference}, or does not let you have it. ({text})",
        "Check the name{mirror}; if the registry wants a login, run `docker login`.",
    ),
    # Builds: what a builder or a package manager says when the Dockerfile is not to blame.
    Cause(
        "build",
        r"no space left on device",
        "The disk of the engine is full.",
        "Free some space: `uv run workshop clean` removes what the tutorial made.",
    ),
    Cause(
        "build",
        r"layer does not exist",
        "The engine's build cache has lost a layer, as when an engine is killed during a build.",
        "Empty the cache (`docker builder prune --all`), and run the cell again.",
    ),
    Cause(
        "build",
        # moby/buildkit#5469: what is in memory and what is on the disk differ from then on.
        r"\.tmp-committed\d+: no such file",
        "The engine has lost the folder of a layer, as it does now and then.",
        "Remove the tutorial's images (`uv run workshop clean`), restart the engine, and run the "
        "chapter again.",
    ),
    Cause(
        "build",
        r"CERTIFICATE_VERIFY_FAILED|x509:|invalid peer certificate",
        "A TLS certificate was not trusted: a proxy of your network probably signs traffic anew.",
        "Give the base image your company's certificate; README.md, “Behind a proxy”, says how.",
        "certificate",
    ),
    Cause(
        "build",
        r"failed to resolve source metadata|failed to do request|registry-1\.docker\.io",
        "The registry is out of reach, or it does not have that image.",
        "Check the image's name and the network; `uv run workshop images` fetches the base images.",
        "out of reach",
    ),
    Cause(
        "build",
        r"Temporary failure (in name resolution|resolving)|Could not resolve|Failed to fetch"
        r"|NewConnectionError|Could not connect|Name or service not known|dns error"
        r"|Network is unreachable|error sending request|ConnectTimeoutError",
        "The package index is out of reach from inside the build.",
        "Check the network and the proxy; `uv run workshop doctor` tests exactly this.",
        "out of reach",
    ),
    Cause(
        "build",
        r"invalid progress mode|rawjson",
        "This buildx is too old to report progress as JSON.",
        "Install buildx 0.12 or newer; `uv run workshop doctor` says which one is used.",
    ),
    Cause(
        "build",
        r"cannot connect to the docker daemon|error during connect",
        "The engine stopped answering.",
        "Start it again, then run the same once more.",
    ),
)


def find(subject: Subject, text: str, **names: str) -> Cause | None:
    """The first row on ``subject`` whose pattern is in ``text``, with ``names`` filled in.

    ``text`` is a name too. Upper and lower case count as one. None when no row fits.
    """
    for row in TABLE:
        if row.subject == subject and re.search(row.pattern, text, re.I):
            names = {**names, "text": text}
            return replace(row, what=row.what.format(**names), fix=row.fix.format(**names))
    return None


def chain(error: BaseException) -> list[BaseException]:
    """``error`` and what it was raised from, down to the first of them."""
    found = [error]
    while inner := found[-1].__cause__ or found[-1].__context__:
        found.append(inner)
    return found


def reason(error: BaseException) -> str:
    """The words of the error that came first, as "Connection refused"."""
    first = chain(error)[-1]
    return str(getattr(first, "strerror", None) or first) or type(first).__name__


def as_problem(error: BaseException) -> WorkshopError | None:
    """What an error of the engine or of the operating system means to a reader.

    None for every other error: it is a defect of the tutorial, and its traceback is wanted.
    """
    if isinstance(error, WorkshopError):
        return error
    if isinstance(error, docker.errors.APIError):
        return WorkshopError(
            f"The engine refused: {str(error.explanation or reason(error)).rstrip('.')}.",
            "`uv run workshop doctor` looks closer.",
        )
    if isinstance(
        error,
        (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError),
    ):
        return WorkshopError(
            f"The engine stopped answering: {reason(error)}.",
            "`uv run workshop engine status` asks whether it is there. Then run the same again.",
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        fix = {
            errno.ENOSPC: "Free some space, then try again.",
            errno.EACCES: "Look at who may read and write there.",
            errno.EPERM: "Look at who may read and write there.",
            errno.EROFS: "Copy the tutorial to a folder that you may write to.",
        }
        return WorkshopError(f"{where}{error.strerror or error}.", fix.get(error.errno or 0, ""))
    if isinstance(error, UnicodeDecodeError):
        return WorkshopError(f"What was read is not {error.encoding} text: {error.reason}.")
    if isinstance(error, RecursionError):
        return WorkshopError("What was read is nested too deeply.")
    return None
