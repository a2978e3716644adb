"""Migrate the database: wait until it answers, then one container at a time.

Arguments are those of manage.py migrate. Of several that start together, one migrates and the
others find nothing to do: PostgreSQL keeps a lock for as long as the connection lives. So this
needs a connection to PostgreSQL itself, not to a pooler that shares them between clients.
"""

import os
import signal
import sys
import time

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError, connections


def wait_for_database(connection, patience):
    told = connection.settings_dict
    where = f"{told['HOST']}:{told['PORT']}" if told["HOST"] else told["NAME"]
    end = time.monotonic() + patience
    is_said = False
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError as error:
            reason = " ".join(str(error).split())
            if time.monotonic() > end:
                sys.exit(f"The database at {where} does not answer, after {patience} s: {reason}")
            if not is_said:
                print(f"Waiting for the database at {where}: {reason}", flush=True)
            is_said = True
        time.sleep(1)


def wait_for_others(connection, patience):
    end = time.monotonic() + patience
    is_said = False
    while connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Tried again and again, because an index that is made concurrently waits for
            # every statement that has not ended, also for one that waits for this lock.
            cursor.execute("SELECT pg_try_advisory_lock(hashtext('migrations of Django'))")
            if cursor.fetchone()[0]:
                return
        if time.monotonic() > end:
            sys.exit(
                f"Another container has the lock, and still migrates after {patience} s. Which "
                "connection it is: SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
            )
        if not is_said:
            print("Another container migrates. Waiting until it has ended.", flush=True)
        is_said = True
        time.sleep(0.5)


def seconds(name, default):
    told = os.environ.get(name) or default
    if not told.isdecimal():
        sys.exit(f"{name} is {told!r}. It has to be a number of seconds.")
    return int(told)


def main():
    # Process 1 gets no signal that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    patience = seconds("MIGRATE_PATIENCE", "60")
    # Longer than any migration should take.
    lock_patience = seconds("MIGRATE_LOCK_PATIENCE", "600")
    # One address of a database that accepts and says nothing is not waited for longer.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "5")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    # Some settings look at the command.
    sys.argv = ["manage.py", "migrate", "--noinput", *sys.argv[1:]]
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(f"The settings can't be used: {error}")
    connection = connections["default"]
    if connection.vendor == "unknown":
        return print("The project has no database, so there is nothing to migrate.")
    wait_for_database(connection, patience)
    try:
        wait_for_others(connection, lock_patience)
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if connection.connection and connection.is_usable():
            raise
        reason = " ".join(str(error).split())
        sys.exit(f"The database ended the connection, so migrate once more: {reason}")


if __name__ == "__main__":
    main()
