"""What conftest.py at the top does for every run: which tests it takes, and what it installs."""

import json
import subprocess
import sys
from types import SimpleNamespace

import browsers
import nbformat
import pytest

from workshop.lesson import notebooks
from workshop.paths import NOTEBOOKS, ROOT


def test_a_cell_that_failed_last_time_brings_its_whole_chapter(tmp_path):
    path = NOTEBOOKS / notebooks.FIRST
    file = path.relative_to(ROOT).as_posix()
    kept = tmp_path / "v" / "cache" / "lastfailed"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({f"{file}::Cell 3": True}))
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "--numprocesses=0", "--collect-only", "--quiet",
            "--lf", "-o", f"cache_dir={tmp_path}", "notebooks",
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    cells = nbformat.read(path, as_version=4).cells
    count = sum(cell.cell_type == "code" for cell in cells)
    found = [line for line in done.stdout.splitlines() if "::" in line]
    assert found == [f"{file}::Cell {number}" for number in range(count)], done.stdout


@pytest.mark.parametrize(
    ("asked", "left_out", "is_chosen"),
    [
        (["tests/unit", "notebooks", "tests/browser"], None, True),
        (["tests/browser/test_lab.py::test_a_name"], None, True),
        (["."], None, True),
        (["tests/unit", "notebooks"], None, False),
        (["tests/unit", "tests/browser"], ["tests/browser"], False),
    ],
)
def test_a_browser_is_installed_for_the_tests_in_one(request, asked, left_out, is_chosen):
    plugins = request.config.pluginmanager.get_plugins()
    (suite,) = [plugin for plugin in plugins if type(plugin).__name__ == "Suite"]
    config = SimpleNamespace(
        args=asked, invocation_params=SimpleNamespace(dir=ROOT), getoption=lambda name: left_out
    )
    assert type(suite)(config)._chosen(ROOT / "tests" / "browser") is is_chosen


@pytest.mark.parametrize(
    ("system", "has_one", "installed"),
    [("debian", False, ["chromium"]), ("debian", True, []), ("fedora", False, [])],
)
def test_a_browser_is_installed_on_debian_where_there_is_none(
    monkeypatch, system, has_one, installed
):
    packages = []
    monkeypatch.setattr(browsers.shutil, "which", lambda name: name if has_one else None)
    monkeypatch.setattr(browsers.apt, "os_release", lambda: {"ID": system})
    monkeypatch.setattr(browsers.apt, "install", lambda what, names: packages.extend(names[:1]))
    browsers.ensure()
    assert packages == installed
