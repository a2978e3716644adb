"""Stop a server while requests wait for it, and count those that are lost."""

from __future__ import annotations

import json

from ..engine import client
from . import containers

# Clients in a container beside the server's. Sixteen send half of a request and so keep the
# server's threads busy. Eight connect behind them and send a whole one. "begun" is printed when
# all of it is sent; when the file /tmp/go is there, the sixteen send the other half.
CLIENTS_AT_STOP = """
import http.client, json, pathlib, socket, time
HALF = b"GET PATH HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n"
def connect(data):
    connection = socket.create_connection(("server", 8000), timeout=120)
    connection.sendall(data)
    return connection
def is_answered(connection):
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return answer.status == 200
busy = [connect(HALF) for _ in range(16)]
waiting = [connect(HALF + b"\\r\\n") for _ in range(8)]
print("begun", flush=True)
while not pathlib.Path("/tmp/go").exists():
    time.sleep(0.05)
for connection in busy:
    try:
        connection.sendall(b"\\r\\n")
    except OSError:
        pass
answers = [is_answered(connection) for connection in waiting]
print(json.dumps([answers.count(True), answers.count(False)]))
"""
# Long enough for the clients above on a busy machine.
PATIENCE_S = 60


def stop(
    server: containers.Container, network: str, image: str, path: str, chapter: str
) -> tuple[int, int]:
    """Stop ``server``, which others reach as server:8000: requests answered, and lost.

    Eight requests for ``path`` wait behind sixteen that are half sent when the server is told to
    stop; then the sixteen are completed. A request is lost if its connection was accepted and no
    answer came. The server has to have sixteen threads at most, or the eight do not wait. The
    order is made, not hoped for: each part waits for the one before. ``image``
    has the Python that the clients run in, ``chapter`` says whose container that is.
    """
    options = ["--network", network, "--entrypoint", "python"]
    command = ("-c", CLIENTS_AT_STOP.replace("PATH", path, 1))
    with containers.start(
        image, command, name="clients", options=options, ready="begun", chapter=chapter
    ) as clients:
        client.connect().api.kill(server.name, "SIGTERM")
        server.wait_for("Handling signal: term")
        clients.exec("python", "-c", "open('/tmp/go', 'w')")
        client.connect().api.wait(clients.name, timeout=2 * PATIENCE_S)
        answered, lost = json.loads(clients.logs().splitlines()[-1])
    return int(answered), int(lost)
