"""The site of the sample project in a browser, as the picture in chapter 01 shows it.

    WORKSHOP_PICTURES=docs uv run pytest -m slow tests/browser/test_sample_project.py

takes that picture anew: docs/site.png.
"""

import os
from pathlib import Path

import pytest
import reloading
from playwright.sync_api import expect

from workshop.build import grammar
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("left_clean")]

ENV = {"SECRET_KEY": "a-key-for-tests-only", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}


@pytest.fixture(scope="module")
def address(left_clean):
    """Where the article's image serves the site, with the sample books in it."""
    ws = Workspace("test-picture", grammar.steps(DOCKERFILE.read_text(encoding="utf-8")))
    ws.build()
    with ws.start("server", port=8000, env=ENV) as site:
        for command in (["migrate", "--verbosity", "0"], ["seed"]):
            done = site.exec("python", "manage.py", *command)
            assert done.status == 0, done
        yield site.url


def test_a_visitor_sees_the_books_a_button_and_a_search(browser, address, tmp_path):
    page = browser.new_page(viewport={"width": 900, "height": 640}, device_scale_factor=1.5)
    with reloading.until(page.get_by_role("link", name="Add a book"), 60_000):
        page.goto(address)
    expect(page.locator(".book")).to_have_count(5)
    expect(page.get_by_role("button", name="Search")).to_be_visible()
    page.screenshot(path=Path(os.environ.get("WORKSHOP_PICTURES", tmp_path)) / "site.png")
    page.get_by_role("searchbox").fill("Middlemarch")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".book")).to_have_count(1)
    page.close()
