"""What every test run needs: an engine, the base images, and nothing left behind.

The whole suite is one pytest session: unit tests, tests of images, the notebooks
(collected by nbval) and a browser. Notebook cells are no test functions, so this is
done in hooks and not in fixtures.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

# A session of our own, so that a reader's images are neither used nor removed.
os.environ["WORKSHOP_SESSION"] = secrets.token_hex(4)
# Stored outputs must not depend on how long something took.
os.environ["WORKSHOP_PROGRESS"] = "0"

ROOT = Path(__file__).parent
NEEDS_NO_ENGINE = (ROOT / "tests" / "unit", ROOT / "tests" / "notebooks")


class Suite:
    """Prepares the engine, compares it before and after, and counts the seconds."""

    def __init__(self) -> None:
        self.before: dict[str, set[str]] | None = None
        self.left: list[str] = []
        self.seconds: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        paths = [Path(item.path) for item in session.items]
        if session.config.option.collectonly or all(
            any(path.is_relative_to(folder) for folder in NEEDS_NO_ENGINE) for path in paths
        ):
            return
        from workshop.cli import prepare

        start = time.monotonic()
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            prepare()
        self.seconds["engine and base images"] = time.monotonic() - start
        self.before = everything()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        part = file if file.endswith(".ipynb") else file.rpartition("/")[0]
        self.seconds[part] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.before is None:
            return
        from workshop.engine import session as ours

        # Images keep the build of a chapter at hand; all else must be gone by now.
        for kind, names in ours.leftovers().items():
            if kind != "images":
                self.left += [f"{kind}: {name}" for name in names]
        ours.remove_leftovers()
        for kind, names in everything().items():
            self.left += [f"{kind}: {name}" for name in sorted(names - self.before[kind])]
        if self.left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("seconds by part")
        for part, seconds in self.seconds.items():
            write(f"{seconds:8.1f}  {part}")
        if self.left:
            terminalreporter.section("left behind on the engine", red=True)
            for line in self.left:
                write(line)


def everything() -> dict[str, set[str]]:
    """What is on the engine, other sessions' things excepted: they come and go as they like."""
    from workshop.engine import client
    from workshop.engine import session as ours

    engine = client.connect()
    theirs = {"label": ours.LABEL}
    mine = {"label": f"{ours.LABEL}={ours.ident()}"}

    def seen(listed, key) -> set[str]:
        other = {key(x) for x in listed(filters=theirs)} - {key(x) for x in listed(filters=mine)}
        return {key(x) for x in listed()} - other

    return {
        "containers": seen(
            partial(engine.containers.list, all=True, ignore_removed=True), lambda c: c.name
        ),
        "images": seen(engine.images.list, lambda i: (i.tags or [i.id])[0]),
        "networks": seen(engine.networks.list, lambda n: n.name),
        "volumes": seen(engine.volumes.list, lambda v: v.name),
    }


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Suite())
