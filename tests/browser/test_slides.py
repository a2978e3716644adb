"""`workshop slides` in a browser: nothing is loaded from elsewhere, and an output waits."""

import pytest
from playwright.sync_api import expect

from workshop import cli
from workshop.lesson import slides


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    (made,) = slides.make(["06"], folder)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.foreign, page.errors = [], []
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or page.foreign.append(r.url))
    page.on("pageerror", lambda error: page.errors.append(error))
    page.goto(made.as_uri())
    page.wait_for_function("Reveal.isReady()")
    yield page
    page.close()


def test_nothing_is_loaded_from_elsewhere(page):
    assert page.evaluate("Reveal.getTotalSlides()") > 20
    assert (page.foreign, page.errors) == ([], [])


def test_an_output_appears_after_the_question(page):
    page.evaluate("Reveal.slide(0)")
    output = page.get_by_text("A fresh copy of the sample project").first
    expect(output.locator("xpath=ancestor::*[contains(@class, 'fragment')]")).to_have_count(1)
    expect(output).not_to_be_visible()
    page.keyboard.press("Space")
    expect(output).to_be_visible()


def test_a_heading_begins_a_slide_and_no_link_leads_to_a_file(page):
    within = "[...document.querySelectorAll('section section')]"
    texts = page.evaluate(f"{within}.map(s => [...s.querySelectorAll('h2')].length)")
    assert max(texts) == 1
    links = page.evaluate("[...document.querySelectorAll('section a')].map(a => a.href)")
    assert [link for link in links if not link.startswith("http") and "#" not in link] == []


def test_without_reveal_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(slides, "find_spec", lambda name: None)
    monkeypatch.setattr(cli, "SLIDES", tmp_path)
    assert cli.main(["slides", "06"]) == 1
    assert "Slides need reveal.js" in capsys.readouterr().err
