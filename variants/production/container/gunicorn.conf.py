"""Settings of gunicorn: sane for a container, and set from its environment."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path


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


# The one line to edit, where your project's package is not called app.
wsgi_app = "app.wsgi"

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"

# A process for each processor. Threads answer while others wait for the database, and
# a request behind a slow one finds somebody to accept it.
workers = int(os.environ.get("WEB_CONCURRENCY") or processors())
threads = int(os.environ.get("WEB_THREADS") or 8)


worker_class = "gthread"


def when_ready(server):
    """Drain before stopping: accept no new connections, and answer those that wait in line."""
    stop = signal.getsignal(signal.SIGTERM)

    def drain_then_stop(*args):
        for listener in server.LISTENERS:
            # Bound to the loopback interface, the kernel refuses connections from outside.
            with contextlib.suppress(OSError):  # before Linux 5.7 that is root's right
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        time.sleep(0.5)  # the workers accept what waits in the queue
        stop(*args)

    signal.signal(signal.SIGTERM, drain_then_stop)


# A worker that hangs is replaced. One that stops gets to finish what it has accepted,
# before docker's patience of 10 seconds ends.
timeout = int(os.environ.get("WEB_TIMEOUT") or 30)
graceful_timeout = 8

# Slow leaks end with the process; the jitter keeps workers from restarting together.
max_requests = int(os.environ.get("WEB_MAX_REQUESTS") or 1000)
max_requests_jitter = max_requests // 10

# Workers prove that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm"

# Nobody steers this server from within, and its socket would need a folder to write to.
control_socket_disable = True

# A container's log is its output.
accesslog = "-"
errorlog = "-"
