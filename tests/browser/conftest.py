"""A real browser, which conftest.py at the top has installed where it could."""

from collections.abc import Iterator

import browsers
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# As root Chromium needs --no-sandbox; the rest keeps it from calling home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


# A busy machine is slower than the five seconds that are usual.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = browsers.found()
    if path is None:
        pytest.fail("No Chromium or Chrome here. Install one, then run the test again.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()
