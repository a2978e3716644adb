#!/bin/sh
# What this container is: docker run IMAGE [server | live | ready | any command]
set -eu

case "${1:-server}" in
    server)
        # exec: gunicorn takes the shell's place as process 1 and gets its signals.
        exec gunicorn
        ;;
    live | ready)
        # live: something answers. ready: the application says that it can work.
        # The Host header is one that ALLOWED_HOSTS accepts.
        exec python - "$1" <<'PYTHON'
import http.client
import os
import sys

hosts = os.environ.get("ALLOWED_HOSTS", "").split(",")
host = hosts[0].strip().lstrip("*.") or "localhost"
port = os.environ.get("PORT", "8000")
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=3)
try:
    connection.request("GET", "/healthz", headers={"Host": host})
    status = connection.getresponse().status
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"no answer: {error}")
print(f"/healthz answered {status}")
sys.exit(sys.argv[1] == "ready" and status != 200)
PYTHON
        ;;
    *)
        if ! command -v "$1" > /dev/null; then
            echo "Unknown command: $1. Known: server, live, ready, and every program in the image." >&2
            exit 127
        fi
        exec "$@"
        ;;
esac
