"""Say what a long step does, on standard error."""

from __future__ import annotations

import codecs
import io
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import WorkshopError

HEARTBEAT_S = 15.0


# What stands for the signs of our messages on a terminal that knows only ASCII.
_IN_ASCII = {
    "✔": "+", "✘": "x", "…": "...", "→": "->", "│": "|", "█": "#", "░": ".", "−": "-",
    "—": "-", "–": "-", "─": "-", "×": "x", "“": '"', "”": '"', "’": "'",
}  # fmt: skip


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(sign, "?") for sign in missing), error.end


def write_anywhere() -> None:
    """Let both streams write every text: what an encoding lacks is replaced."""
    codecs.register_error("workshop.substitute", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="workshop.substitute")


def say(text: str) -> None:
    """Print one line on standard error, at once."""
    # In one piece, so that lines of two threads don't mix.
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def a_person_is_there() -> bool:
    """True when a question on the terminal would reach somebody."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())


def agrees(question: str, unasked: bool) -> bool:
    """What a person at a terminal answers; ``unasked`` where nobody is there, or nobody answers."""
    if not a_person_is_there():
        return unasked
    try:
        answer = input(f"{question} {'[Y/n]' if unasked else '[y/N]'} ").strip().lower()
    except EOFError:
        return False
    return answer in ("y", "yes") or (unasked and not answer)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce ``what``; at the end say how long it took, in seconds."""
    say(f"… {what}")
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"✘ {what}, failed after {time.monotonic() - start:.0f} s")
        raise
    say(f"✔ {what} ({time.monotonic() - start:.0f} s)")


def run_long(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    about: str = "",
    fix: str = "",
    env: Mapping[str, str] | None = None,
    quiet_input: bool = True,
) -> None:
    """Run ``command`` as one announced step, its output appended to ``log``.

    The newest line of output is repeated every 15 seconds, so that a long step is
    seen to move; ``about`` tells the lines of two such steps apart.
    A failure raises WorkshopError with the last lines of the output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=12)
    done = threading.Event()

    def heartbeat() -> None:
        start = time.monotonic()
        while not done.wait(HEARTBEAT_S):
            last = tail[-1][:90] if tail else ""
            seconds = f"{time.monotonic() - start:4.0f} s"
            say("  ".join(filter(None, ["", seconds, about, last])))

    with step(what), log.open("a", encoding="utf-8", errors="replace") as record:
        record.write(f"$ {' '.join(command)}\n")
        threading.Thread(target=heartbeat, daemon=True).start()
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if quiet_input else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=env,
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    record.write(line)
                    record.flush()
                    if line.strip():
                        tail.append(line.strip())
        finally:
            done.set()
        if process.returncode:
            raise WorkshopError(
                f"{what} failed with exit status {process.returncode}. Its last lines:\n  "
                + "\n  ".join(tail),
                fix or f"The whole output is in {log}.",
            )
