"""What this container is: docker run IMAGE [server | migrate | live | ready | any command]"""

import os
import shutil
import sys

GUNICORN = ("gunicorn", "--config", "/app/container/gunicorn.conf.py")
MIGRATE = ("python", "-m", "container.migrate")


def main(words: list[str]) -> None:
    kind, *rest = words or ["server"]
    if kind == "server":
        for folder in (os.environ.get("TMPDIR", "/tmp"), "/app/data", "/app/media"):
            if not os.access(folder, os.W_OK):
                print(
                    f"{folder} can't be written to. What needs that will fail, such as uploads.",
                    file=sys.stderr,
                )
        become(*GUNICORN, *rest)
    elif kind == "migrate":
        become(*MIGRATE, *rest)
    elif kind in ("live", "ready"):
        probe(f"{kind}z")
    elif shutil.which(kind):
        become(kind, *rest)
    else:
        print(
            f"Unknown command: {kind!r}. Known: server, migrate, live, ready, and every program "
            "in the image.",
            file=sys.stderr,
        )
        sys.exit(127)


def become(program: str, *arguments: str) -> None:
    """The program takes this one's place as process 1 and gets its signals."""
    os.execvp(program, [program, *arguments])


def probe(name: str) -> None:
    """live: something answers. ready: the application says that it can work."""
    import http.client  # takes a while to load, which the server need not wait for

    path = os.environ.get(f"{name.upper()}_PATH", f"/{name}")
    port = os.environ.get("PORT") or "8000"
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=3)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer: {error}")
    print(f"{path} answered {status}")
    sys.exit(status != 200)


main(sys.argv[1:])
