"""A real browser: Chromium, which is installed where it is missing."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from workshop.engine import apt

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root Chromium needs --no-sandbox; the rest keeps it from calling home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


# A busy machine is slower than the five seconds that are usual.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if apt.os_release().get("ID") != "debian":
            pytest.fail("No Chromium or Chrome here. Install one, then run the test again.")
        apt.install("Chromium for the tests in a browser", ["chromium", "fonts-liberation"])
        path = shutil.which("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()
