"""The project's WSGI application, and in front of it two paths for health checks.

Both are answered before Django sees the request, so that neither ALLOWED_HOSTS nor a redirect
to HTTPS is in their way. /livez needs nothing. /readyz asks every database.
"""

import sys
import threading

from app.wsgi import application as project
from django.db import DatabaseError, connections

asking = threading.Lock()


def application(environ, start_response):
    path = environ.get("PATH_INFO")
    if path == "/livez":
        return answer(start_response, "200 OK", "alive")
    if path == "/readyz":
        try:
            ask_databases()
        except Exception as error:
            # For the log: it may name the server and the user.
            print(f"no database: {error}", file=sys.stderr, flush=True)
            return answer(start_response, "503 Service Unavailable", "no database")
        return answer(start_response, "200 OK", "ready")
    return project(environ, start_response)


def answer(start_response, status, text):
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


def ask_databases():
    # One question at a time: a database that hangs holds one thread, and the others answer /livez.
    if not asking.acquire(timeout=1):
        raise DatabaseError("it still has to answer the question before this one")
    try:
        for connection in connections.all():
            if connection.vendor == "unknown":
                continue  # what Django has in its place where a project has no database
            # A kept connection says nothing about now: its server may be gone.
            connection.close()
            try:
                connection.ensure_connection()
                if not connection.is_usable():
                    raise DatabaseError(f"{connection.alias} does not answer")
            finally:
                connection.close()
    finally:
        asking.release()
