"""What every test run needs: an engine, the base images, a browser, and nothing left behind.

The whole suite is one pytest run: unit tests, tests of images, the notebooks
(collected by nbval) and a browser. Notebook cells are no test functions, so this is
done in hooks and not in fixtures. They run in workers (pytest-xdist): each one is a reader
of its own, with a session of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import docker
import pytest
from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

# A session of our own, so that a reader's images are neither used nor removed.
os.environ["WORKSHOP_SESSION"] = secrets.token_hex(4)
# Stored outputs must not depend on how long something took.
os.environ["WORKSHOP_PROGRESS"] = "0"

ROOT = Path(__file__).parent
MOUNTS = Path("/proc/mounts")
# How often, five seconds apart, what is left behind is looked at again.
LOOKS = 12
NEEDS_NO_ENGINE = (ROOT / "tests" / "unit", ROOT / "tests" / "notebooks")
# Held while the engine and the base images are prepared; its name is the same in all processes.
if "WORKSHOP_READY" not in os.environ:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["WORKSHOP_READY"] = str(Path(folder, "ready.lock"))
READY = FileLock(os.environ["WORKSHOP_READY"])
FAILED = Path(os.environ["WORKSHOP_READY"]).with_suffix(".failed")
# Files of more than half an hour, which have workers of their own: one after the other, because
# a machine with all of their chapters at once is too busy. And files of which each test is for
# any worker.
LONG = ("tests/engines/test_kit.py", "tests/engines/test_other_store.py")
# Seconds that test files take, roughly; those of chapters are measured.
TAKES = {
    "test_lab": 80, "test_stack": 65, "test_workspace": 50, "test_production_image": 30,
    "test_takehome": 25, "test_site": 25, "test_containers": 20, "test_cli_with_engine": 20,
}  # fmt: skip
MUTATIONS = "tests/image/test_mutations.py"
SHARED = ("tests/image/test_exercises.py", MUTATIONS)
BROWSER = ROOT / "tests" / "browser"


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A notebook's cells belong together, on one worker; so do the tests of most files."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        if file in LONG:
            return "one after the other"
        return nodeid if file in SHARED else file


class Suite:
    """Prepares engine and browser, compares the engine before and after, counts the seconds.

    The process that was started does this; its workers report what they left behind.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        self.preparing: Thread | None = None
        self.locked = Event()
        self.is_ready = False
        self.failure = ""
        self.before: dict[str, set[str]] | None = None
        self.left: list[str] = []
        self.seconds: dict[str, float] = defaultdict(float)
        # Whether each run of tests/mutations passed, by its name, as "04-1".
        self.mutated: dict[str, bool] = {}
        self.told: list[str] = []

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """With `--lf`, a cell that failed brings its whole chapter: alone it has no names."""
        report = yield
        last = self.config.pluginmanager.getplugin("lfplugin")
        if last and last.active and collector.path.suffix == ".ipynb":
            cells = [cell.id for cell in report.result]
            if not last.lastfailed.keys().isdisjoint(cells):
                last.lastfailed.update(dict.fromkeys(cells, True))
        return report

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The longest files first, so that no worker is left alone with one at the end."""
        ran = json.loads((ROOT / "docs" / "seconds.json").read_text(encoding="utf-8")) | TAKES

        def place(item: pytest.Item) -> tuple[int, float]:
            path = Path(item.path)
            if _needs_none(path):
                return 0, 0
            file = path.relative_to(ROOT).as_posix()
            return (1 if file in LONG else 3 if file in SHARED else 2, -ran.get(path.stem, 0))

        items.sort(key=place)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        return Scheduling(config, log)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        if self.is_worker or not self._needs_engine():
            return
        # Here, because an error in a thread would let this process wait for ever.
        import browsers

        from workshop.cli import prepare as engine_and_images

        def prepare() -> None:
            engine_and_images()
            if self._chosen(BROWSER):
                browsers.ensure()

        if self.config.getoption("numprocesses", 0):
            # Workers begin with what needs no engine meanwhile.
            self.preparing = Thread(target=self._prepare, args=(prepare,))
            self.preparing.start()
            self.locked.wait()
        else:
            self._prepare(prepare)
            if self.failure:
                pytest.exit(self.failure, returncode=1)

    def _prepare(self, prepare: Callable[[], object]) -> None:
        capture = self.config.pluginmanager.getplugin("capturemanager")
        start = time.monotonic()
        with READY, capture.global_and_fixture_disabled():
            self.locked.set()
            try:
                prepare()
                self.before = everything()
            except Exception as error:
                self.failure = f"✘ {error}"
                FAILED.write_text(self.failure, encoding="utf-8")
        self.seconds["engine, base images, browser"] = time.monotonic() - start

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.is_worker and not self.is_ready and not _needs_none(Path(item.path)):
            with READY:
                self.is_ready = True
            if FAILED.exists():
                pytest.exit(FAILED.read_text(encoding="utf-8"))

    def _needs_engine(self) -> bool:
        return not self.config.option.collectonly and not all(map(_needs_none, self._asked()))

    def _asked(self) -> list[Path]:
        """The files and folders of the command line, or else all that have tests."""
        started_in = self.config.invocation_params.dir
        return [started_in / arg.partition("::")[0] for arg in self.config.args]

    def _chosen(self, folder: Path) -> bool:
        """True when tests of this folder were asked for, and not left out by --ignore."""
        started_in = self.config.invocation_params.dir
        left_out = [started_in / path for path in self.config.getoption("ignore") or []]
        return any(
            folder.is_relative_to(path) or path.is_relative_to(folder) for path in self._asked()
        ) and not any(folder.is_relative_to(path) for path in left_out)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        part = file if file.startswith(("notebooks", "tests/image")) else file.rpartition("/")[0]
        self.seconds[part] += report.duration
        if file == MUTATIONS and report.when == "call":
            self.mutated[report.nodeid.partition("[")[2].rstrip("]")] = report.passed
        if report.when == "teardown":
            self.told += [str(line) for key, line in report.user_properties if key == "told"]
        if report.failed and not self.is_worker:
            # At once: who stops a long run would not see the report at its end.
            terminal = self.config.pluginmanager.getplugin("terminalreporter")
            terminal.write_line(f"\n✘ {report.nodeid}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._needs_engine():
            return
        if self.preparing:
            self.preparing.join()
        if self.failure:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        from workshop.engine import session as ours

        # Images keep the build of a chapter at hand; all else must be gone by now.
        for kind, names in ours.leftovers().items():
            if kind != "images":
                self.left += [f"{kind}: {name}" for name in names]
        ours.remove_leftovers()
        if self.is_worker:
            self.config.workeroutput["left"] = self.left  # type: ignore[attr-defined]  # xdist's
            return
        if self.before is not None:
            self.left += sorted(self._new_for_good())
        if self.left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _new_for_good(self) -> set[str]:
        """What was not there before and stays: a build of somebody else's ends meanwhile."""
        before = self.before or {}

        def new() -> set[str]:
            return {
                f"{kind}: {name}"
                for kind, names in everything().items()
                for name in names - before[kind]
            }

        left = new()
        for _ in range(LOOKS):
            if not left:
                break
            time.sleep(5)
            left &= new()
        return left

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.left += getattr(node, "workeroutput", {}).get("left", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("seconds by part")
        for part, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            write(f"{seconds:8.1f}  {part}")
        if self.told:
            terminalreporter.section("measured under faults")
            for line in self.told:
                write(line)
        if self.mutated:
            import mutated

            seen, all_ = mutated.counted(self.mutated)
            write(f"{seen} of {all_} claims were seen failing.")
        if self.failure:
            terminalreporter.section("what the tests need is not there", red=True)
            write(self.failure)
        if self.left:
            terminalreporter.section("left behind on the engine", red=True)
            for line in self.left:
                write(line)


def _needs_none(path: Path) -> bool:
    """True for a file or folder whose tests need no engine."""
    return any(path.is_relative_to(folder) for folder in NEEDS_NO_ENGINE)


def everything() -> dict[str, set[str]]:
    """What is on the engine, other sessions' things excepted: they come and go as they like."""
    from workshop.engine import client
    from workshop.engine import session as ours

    engine = client.connect()
    theirs = {"label": ours.LABEL}
    mine = {"label": f"{ours.LABEL}={ours.ident()}"}

    def seen(listed: Callable[..., Iterable[Any]], key: Callable[[Any], str]) -> set[str]:
        other = {key(x) for x in listed(filters=theirs)} - {key(x) for x in listed(filters=mine)}
        return {key(x) for x in listed()} - other

    def images(filters: dict[str, str] | None = None) -> list[str]:
        # docker-py's images.list() asks for each one again, and fails when one goes meanwhile.
        found = engine.api.images(filters=filters)
        return [name for image in found for name in image["RepoTags"] or [image["Id"]]]

    return {
        "containers": seen(
            partial(engine.containers.list, all=True, ignore_removed=True), lambda c: c.name
        ),
        "images": seen(images, str),
        "networks": seen(engine.networks.list, lambda n: n.name),
        "volumes": seen(engine.volumes.list, lambda v: v.name),
        "mounts": abandoned_mounts(engine),
    }


def abandoned_mounts(engine: docker.DockerClient) -> set[str]:
    """File systems of containers that are gone, on an engine of this machine."""
    if not MOUNTS.exists():
        return set()
    root = engine.info()["DockerRootDir"]
    form = re.compile(rf"{re.escape(root)}/(?:overlay2/\w+/merged|rootfs/overlayfs/\w+)$")
    mounted = {line.split()[1] for line in MOUNTS.read_text().splitlines()}
    used = {
        (c.attrs.get("GraphDriver", {}).get("Data") or {}).get("MergedDir")
        or f"{root}/rootfs/overlayfs/{c.id}"
        for c in engine.containers.list(all=True, ignore_removed=True)
    }
    return set(filter(form.match, mounted)) - used


@pytest.fixture(scope="module")
def left_clean() -> Iterator[None]:
    """After the file, everything that this session made is removed."""
    from workshop.engine import session as ours
    from workshop.paths import WORKSPACES
    from workshop.run import containers

    # Without a session of the tests' own, that would be the reader's work.
    assert os.environ.get("WORKSHOP_SESSION") == ours.ident()
    yield
    containers.remove_all()
    ours.remove_leftovers()
    shutil.rmtree(WORKSPACES / ours.ident(), ignore_errors=True)
    assert not any(ours.leftovers().values())


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Suite(config))
