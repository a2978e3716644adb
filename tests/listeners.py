"""Engines for tests: one that only tells its version, and a TLS listener before a real one."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# What Docker Engine 26.1 answers to GET /version, in short.
DOCKER = {"Version": "26.1.5", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}


def certificates(folder: Path) -> Path:
    """Make an authority in ``folder``, with server.pem for 127.0.0.1 and a client's files.

    Returns the folder in the form of DOCKER_CERT_PATH: ca.pem, cert.pem, key.pem.
    """
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificates, and it is not here")
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=an authority of the tests",
    )  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        openssl("req", *new, "-keyout", f"{name}-key.pem", "-out", "csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")
    return folder


def server_side(folder: Path | None) -> ssl.SSLContext | None:
    """How a server speaks TLS with the files of ``certificates``, and asks for the client's."""
    if folder is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def listening(handler: type, tls: Path | None = None) -> Iterator[str]:
    """A TCP server on 127.0.0.1 with this handler, as ``tcp://127.0.0.1:PORT``."""
    context = server_side(tls)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # In the connection's own thread, so that a bad handshake holds up nobody else.
            if context:
                try:
                    request = context.wrap_socket(request, server_side=True)
                except OSError:
                    return
            super().finish_request(request, client_address)

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def telling(version: dict[str, Any]) -> type[http.server.BaseHTTPRequestHandler]:
    """Handles requests as an engine that knows nothing but its ``version``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.endswith("/version")
            body = json.dumps(version if known else {"message": "it is only a test"}).encode()
            self.send_response(200 if known else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def forwarding(path: str) -> type[socketserver.BaseRequestHandler]:
    """Hands every byte to and from the Unix socket at ``path``."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(path)
                back = threading.Thread(target=copy, args=(self.request, engine), daemon=True)
                back.start()
                copy(engine, self.request)

    return Handler


@contextmanager
def silent_socket() -> Iterator[str]:
    """A Unix socket on which somebody takes connections, and says nothing."""
    folder = Path(tempfile.mkdtemp())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "docker.sock"))
        listener.listen()
        try:
            yield f"unix://{folder}/docker.sock"
        finally:
            shutil.rmtree(folder)


@contextmanager
def locked_socket() -> Iterator[str]:
    """A Unix socket on which somebody listens and that this process may not use.

    Root may use every socket, so root becomes nobody for that time.
    """
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "docker.sock"))
        listener.listen()
        (folder / "docker.sock").chmod(0o600 if root else 0)
        try:
            if root:
                os.seteuid(65534)
            yield f"unix://{folder}/docker.sock"
        finally:
            if root:
                os.seteuid(0)
            shutil.rmtree(folder)
