"""Pages that are loaded while containers start and stop on the same machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Error, Locator, Page, Request

# Chromium gives up every request that waits for a connection, to 127.0.0.1 too, as soon as an
# interface gets an address: https://chromium.googlesource.com/chromium/src/+/main/net/socket/
CHANGED = "net::ERR_NETWORK_CHANGED"


@contextmanager
def until(ready: Locator, ms: int) -> Iterator[None]:
    """Load a page in this block; it is reloaded, as by a person, while requests were given up.

    Raises Playwright's TimeoutError where ``ready`` is not seen after so many milliseconds.
    """
    page: Page = ready.page
    lost: list[str] = []

    def note(request: Request) -> None:
        if request.failure == CHANGED:
            lost.append(request.url)

    page.on("requestfailed", note)
    deadline = time.monotonic() + ms / 1000
    try:
        with _changes():
            yield
        while lost or not ready.is_visible():
            if time.monotonic() > deadline:
                ready.wait_for(timeout=1)
            page.wait_for_timeout(500)
            if lost:
                lost.clear()
                with _changes():
                    page.reload()
    finally:
        page.remove_listener("requestfailed", note)


@contextmanager
def _changes() -> Iterator[None]:
    """The page itself may be what was given up."""
    try:
        yield
    except Error as error:
        if CHANGED not in error.message:
            raise
