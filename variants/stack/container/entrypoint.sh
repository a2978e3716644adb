#!/bin/sh
# What this container is: docker run IMAGE [server | migrate | worker | beat | live | ready | any command]
set -eu

case "${1-server}" in
    server)
        [ $# -eq 0 ] || shift
        # SQLite's folder. Where another database is named, nothing writes there.
        case "${DATABASE_URL-}${DATABASE_URL_FILE-}" in
            "" | sqlite*) data=/app/data ;;
            *) data="" ;;
        esac
        for folder in "${TMPDIR:-/tmp}" $data /app/media; do
            [ -w "$folder" ] || echo "$folder can't be written to. What needs that will fail, such as uploads." >&2
        done
        # exec: gunicorn takes the shell's place as process 1 and gets its signals.
        exec gunicorn --config /app/container/gunicorn.conf.py "$@"
        ;;
    migrate)
        shift
        exec python -m container.migrate "$@"
        ;;
    worker)
        shift
        exec celery --app app.celery worker --loglevel INFO "$@"
        ;;
    beat)
        shift
        exec celery --app app.celery beat --loglevel INFO --schedule /tmp/beat "$@"
        ;;
    live | ready)
        # live: something answers. ready: the application says that it can work.
        exec python - "${1}z" <<'PYTHON'
import http.client
import os
import sys

path = os.environ.get(f"{sys.argv[1].upper()}_PATH", f"/{sys.argv[1]}")
port = os.environ.get("PORT") or "8000"
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=3)
try:
    connection.request("GET", path)
    status = connection.getresponse().status
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"no answer: {error}")
print(f"{path} answered {status}")
sys.exit(status != 200)
PYTHON
        ;;
    *)
        if ! command -v "$1" > /dev/null; then
            echo "Unknown command: '$1'. Known: server, migrate, worker, beat, live, ready, and every program in the image." >&2
            exit 127
        fi
        exec "$@"
        ;;
esac
