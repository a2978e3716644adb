"""Settings of gunicorn: sane for a container, and set from its environment."""

import contextlib
import gc
import os
import signal
import socket
import sys
import time
from pathlib import Path


def number(name, default, least=1):
    """A number from the environment."""
    told = os.environ.get(name) or str(default)
    if not told.isdecimal() or int(told) < least:
        sys.exit(f"{name} is {told!r}. It has to be a whole number, and at least {least}.")
    return int(told)


def processors():
    """The processors that this container may use: its own limit, or all of the machine's."""
    available = len(os.sched_getaffinity(0))
    # "200000 100000" are two, "max 100000" are all; older kernels have two files, and -1.
    files = [Path("/sys/fs/cgroup/cpu.max")]
    if not files[0].exists():
        files = [Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
    except OSError:
        return available
    return available if quota in ("max", "-1") else max(1, int(quota) // int(period))


# The project's application, with two paths in front of it for health checks.
wsgi_app = "container.wsgi"

bind = f"0.0.0.0:{number('PORT', 8000)}"

# A process for each processor. Threads answer while others wait for the database, and
# a request behind a slow one finds somebody to accept it. Each thread may hold a
# connection to the database: 8 processes with 8 threads are 64, and PostgreSQL has 100.
workers = number("WEB_CONCURRENCY", min(processors(), 8))
threads = number("WEB_THREADS", 8)
worker_class = "gthread"

# The application is loaded once, before the workers are made, so they share its memory.
preload_app = True

# A connection is kept for longer than a load balancer keeps it, so that the balancer is
# the one that ends it. Otherwise a request could meet the end.
keepalive = 75


def on_starting(server):
    """The application is loaded. The log stays on, and its memory stays shared."""
    # LOGGING with "disable_existing_loggers" has just switched gunicorn's loggers off.
    for log in server.log.error_log, server.log.access_log:
        log.disabled = False
    # What is loaded so far stays where it is: nobody writes to it.
    gc.collect()
    gc.freeze()


def post_fork(server, worker):
    """A connection to a database that was opened while loading belongs to one process only."""
    from django.db import connections

    connections.close_all()


def when_ready(server):
    """Drain before stopping: accept no new connections, and answer those that wait in line."""
    stop = signal.getsignal(signal.SIGTERM)

    def drain_then_stop(*args):
        # A load balancer that has to be told first: until it is, everybody is answered.
        time.sleep(stop_delay)
        for listener in server.LISTENERS:
            # Bound to the loopback interface, the kernel refuses connections from outside.
            with contextlib.suppress(OSError):  # before Linux 5.7 that is root's right
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        time.sleep(0.5)  # the workers accept what waits in the queue
        stop(*args)

    signal.signal(signal.SIGTERM, drain_then_stop)


# A worker that stands still as a whole is replaced. A slow page is not noticed: the database
# and other servers need time limits of their own. A worker that stops gets to finish what it has
# accepted, before docker's patience of 10 seconds ends. With a delay, docker needs more.
timeout = number("WEB_TIMEOUT", 30)
graceful_timeout = 8
stop_delay = number("STOP_DELAY", 0, least=0)

# Where a process grows for ever, a limit ends it; the jitter keeps workers from restarting
# together. 0 means no limit.
max_requests = number("WEB_MAX_REQUESTS", 0, least=0)
max_requests_jitter = max_requests // 10

# Workers prove that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm"

# Nobody steers this server from within, and its socket would need a folder to write to.
control_socket_disable = True

# A container's log is its output.
accesslog = "-"
errorlog = "-"
