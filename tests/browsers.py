"""The browser of the tests: Chromium or Chrome. On Debian it is installed where it is missing."""

import shutil

from workshop.engine import apt

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> str | None:
    """The path of a browser on this machine; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def ensure() -> None:
    """Install Chromium if no browser is here; elsewhere than on Debian, that is left to you.

    Each package is named before. Raises WorkshopError when apt-get fails.
    """
    if found() is None and apt.os_release().get("ID") == "debian":
        apt.install("Chromium for the tests in a browser", ["chromium", "fonts-liberation"])
