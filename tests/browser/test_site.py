"""The site of `make site`, in a real browser: its links, its search, and who can read it."""

import runpy
import subprocess
import sys
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from workshop.lesson import claims, notebooks
from workshop.paths import ROOT

BIN = Path(sys.executable).parent
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHAPTERS = [f"notebooks/{path.stem}" for path in notebooks.chapters()]
BESIDE = runpy.run_path(str(ROOT / "docs" / "conf.py"))["BESIDE"]
# One of each kind; the others are as slow to look at.
QUICK = ["README", "notebooks/02-builder-stage", "docs/glossary"]
MADE = ["search", "genindex", "py-modindex"]
PAGES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in ["README", *CHAPTERS, *BESIDE, *MADE]
]
THEMES = ("light", "dark")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1300, "height": 900}
WIDTHS = [pytest.param(DESK, id="desk"), pytest.param(PHONE, id="phone", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site. A warning, as of a link that leads nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            BIN / "sphinx-build", "-q", "-W", "--keep-going", "-c", "docs",
            "-d", folder / "doctrees", ".", folder / "html",
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture
def visit(browser, site):
    """Opens a page of the site, and in the end asks whether it fetched something from elsewhere."""
    contexts, asked = [], []

    def opened(name, theme="light", viewport=DESK):
        context = browser.new_context(color_scheme=theme, viewport=viewport)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{site}/{name}.html")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_visitor_begins_at_the_readme(visit):
    page = visit("index")
    page.wait_for_url("**/README.html")
    expect(page.locator("h1")).to_contain_text("Dockerfile for Django Devs")
    chapters = page.locator(".sidebar-tree").get_by_role("link", name="02 Build the builder stage")
    expect(chapters).to_be_visible()


@pytest.mark.skipif(sys.platform == "win32", reason="lychee has no wheel for Windows")
def test_no_link_within_the_site_leads_nowhere(site):
    done = subprocess.run(
        [BIN / "lychee", "--offline", "--include-fragments", "--no-progress", site],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("viewport", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it(visit, name, viewport):
    """Contrast, the order of headings, texts for pictures, names of buttons: axe's rules."""
    for theme in THEMES:
        page = visit(name, theme, viewport)
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [
            f"{theme}: {rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
            for rule in found
            for node in rule["nodes"][:3]
        ]
        assert not told, "\n".join(told)


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_phone(visit, name):
    page = visit(name, viewport=PHONE)
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needs, has = page.evaluate(widths)
    assert needs <= has


def test_every_claim_is_a_row(visit):
    rows = visit("docs/claims").locator("table tbody tr")
    texts = rows.evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.innerText))")
    told = [one for chapter in claims.stored().values() for one in chapter["claims"]]
    expected = [(str(one["cell"]), one["claim"].replace("`", "")) for one in told]
    assert [(row[0], row[1]) for row in texts] == expected
    assert all(row[2] and row[3] for row in texts)


def test_a_claim_leads_to_its_cell(visit):
    told = claims.stored()["02-builder-stage"]["claims"][-1]
    page = visit("docs/claims")
    row = page.locator("tr", has_text=told["claim"].replace("`", "")).first
    row.get_by_role("link").click()
    page.wait_for_url(f"**/02-builder-stage.html#cell-{told['cell']}")
    expect(page.locator(":target")).to_contain_text(told["claim"])


def test_cells_have_the_colours_of_what_they_hold(visit):
    page = visit("notebooks/02-builder-stage")
    first = page.locator(".cell_input", has_text="%%dockerfile builder")
    expect(first.locator(".k").first).to_have_text("FROM")
    shell = page.locator(".cell_input", has_text="%%terminal --out tools")
    expect(shell.locator(".nv").first).to_have_text("$IMAGE")
    needing = visit("notebooks/21-on-kubernetes").locator(".cell_input")
    shell = needing.filter(has_text="%%terminal --out server")
    expect(shell.locator(".nv").first).to_have_text("$KUBE_CONTEXT")
    claim = needing.filter(has_text="the cluster that you named answers")
    expect(claim.locator(".s2")).to_contain_text("the cluster that you named")


def test_a_solution_is_folded(visit):
    page = visit("notebooks/02-builder-stage")
    solution = page.locator("details", has=page.get_by_text("A solution", exact=True)).first
    expect(solution.locator("pre")).not_to_be_visible()
    solution.locator("summary").click()
    expect(solution.locator("pre")).to_be_visible()


def test_search_finds_a_word_of_a_chapter(visit):
    page = visit("README")
    page.get_by_placeholder("Search").fill("pg_try_advisory_lock")
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text="PostgreSQL and migrations")
    expect(found.first).to_be_visible()


def test_a_cell_is_copied_without_its_output(visit):
    page = visit("notebooks/02-builder-stage")
    cell = page.locator(".cell_input", has_text="%%dockerfile workdir")
    cell.hover()
    expect(cell.locator("button.copybtn")).to_be_visible()


def test_it_is_read_without_a_mouse(visit):
    """Tab goes to the link over all others, then through the page; each stop is seen."""
    page = visit("notebooks/02-builder-stage")
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.innerText || e.ariaLabel || e.placeholder || e.title,"
                " s.outlineStyle !== 'none' || s.boxShadow !== 'none'] })()"
            )
        )
    assert "Skip to content" in stops[0][0]
    assert [text for text, is_seen in stops if not is_seen] == []

    solution = page.locator("details", has=page.get_by_text("A solution", exact=True)).first
    solution.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(solution.locator("pre")).to_be_visible()
    page.locator("button.theme-toggle:visible").focus()
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-theme", "dark")
    page.get_by_placeholder("Search").focus()
    page.keyboard.type("pg_try_advisory_lock")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results a").first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "first", "leads_to"),
    [
        ("All pages", "Dockerfile for Django Devs", "**/README.html"),
        ("On this page", "Start from a slim Python", "**/*#start-from-a-slim-python"),
    ],
)
def test_on_a_phone_the_lists_open_without_a_mouse(visit, name, first, leads_to):
    page = visit("notebooks/02-builder-stage", viewport=PHONE)
    button = page.get_by_role("button", name=name, exact=True)
    link = page.get_by_role("complementary", name=name).get_by_role("link", name=first)
    expect(link).to_be_hidden()
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == name:
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(link).to_be_hidden()
    page.keyboard.press("Space")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(leads_to)
