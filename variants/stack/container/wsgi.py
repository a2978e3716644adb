"""The project's WSGI application, and in front of it two paths for health checks.

Both are answered before Django sees the request, so that neither ALLOWED_HOSTS nor a redirect
to HTTPS is in their way. /livez needs nothing. /readyz asks every database.
"""

from app.wsgi import application as project
from django.db import connections


def application(environ, start_response):
    path = environ.get("PATH_INFO")
    if path == "/livez":
        return answer(start_response, "200 OK", "alive")
    if path == "/readyz":
        try:
            for connection in connections.all():
                try:
                    connection.ensure_connection()
                finally:
                    connection.close()
        except Exception as error:
            return answer(start_response, "503 Service Unavailable", f"no database: {error}")
        return answer(start_response, "200 OK", "ready")
    return project(environ, start_response)


def answer(start_response, status, text):
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
