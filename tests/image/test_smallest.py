"""variants/smallest.Dockerfile: what chapter 13 does not try, and the bytes that README tells."""

import json
import re

import pytest

from workshop.bench import builds
from workshop.lesson.workspace import Workspace
from workshop.paths import VARIANTS
from workshop.run import containers

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.slow]

ENV = {"SECRET_KEY": "a-key-for-tests-only", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}


@pytest.fixture(scope="module")
def smallest(left_clean):
    made = Workspace("test-smallest")
    made.use(VARIANTS / "smallest.Dockerfile")
    made.build()
    return made


def test_it_begins_with_the_production_image():
    whole = (VARIANTS / "production.Dockerfile").read_text(encoding="utf-8")
    assert (VARIANTS / "smallest.Dockerfile").read_text(encoding="utf-8").startswith(whole)


def test_it_weighs_what_the_readme_says(smallest):
    """On a stand-in. An official base may differ by a few hundred kilobytes."""
    every_byte, packed = builds.weigh(smallest)
    assert every_byte <= 90_000_000
    assert packed <= 32_000_000


def test_no_program_is_left_but_python(smallest):
    look = smallest.look()
    programs = {path for path in look.files if re.search(r"(^|/)s?bin/.", path)}
    ours = ("opt/venv/bin/", "usr/local/bin/python")
    assert [path for path in sorted(programs) if not path.startswith(ours)] == []


def test_the_process_can_write_nothing_but_its_data(smallest):
    code = (
        "import json, os; "
        "print(json.dumps([d for d, _, _ in os.walk('/') "
        "if os.access(d, os.W_OK) and not d.startswith(('/proc', '/sys', '/dev'))]))"
    )
    told = json.loads(smallest.run("python", "-c", code).stdout)
    assert sorted(told) == ["/app/data", "/app/media", "/tmp"]


def test_tls_time_zones_and_names_work(smallest):
    code = (
        "import pwd, socket, ssl, zoneinfo; "
        "print(len(ssl.create_default_context().get_ca_certs()) > 50, "
        "zoneinfo.ZoneInfo('Asia/Kolkata').key, pwd.getpwuid(10001).pw_name, "
        "socket.getservbyname('https'))"
    )
    assert smallest.run("python", "-c", code).stdout.split() == [
        "True", "Asia/Kolkata", "app", "443",
    ]  # fmt: skip


@pytest.mark.parametrize("user", ["12345:0", "10001:10001"])
def test_any_user_of_group_0_may_run_it(smallest, user):
    done = containers.run(
        smallest.tag, ("python", "-c", "open('/app/media/x', 'w')"), options=["--user", user]
    )
    assert done.status == 0, done


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("exit(7)", 7)])
def test_it_passes_the_exit_status_of_a_command_on(smallest, code, status):
    assert smallest.run("python", "-c", code).status == status


@pytest.mark.parametrize(
    ("name", "value"), [("WEB_CONCURRENCY", "0"), ("WEB_THREADS", "many"), ("STOP_DELAY", "-1")]
)
def test_an_odd_setting_is_refused_by_name(smallest, name, value):
    done = smallest.run("server", env={**ENV, name: value})
    assert done.status != 0
    assert f"{name} is {value!r}" in done.stderr


def test_an_unknown_command_fails_and_says_what_is_known(smallest):
    done = smallest.run("worker-of-sorts", env=ENV)
    assert done.status == 127
    assert "'worker-of-sorts'. Known: server, migrate" in done.stderr


def test_it_serves_on_a_read_only_root_and_is_ready_once_migrated(smallest):
    options = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    with containers.start(smallest.tag, options=options, env=ENV, port=8000) as server:
        entrypoint = ("python", "/app/container/entrypoint.py")
        assert server.exec(*entrypoint, "migrate", "--verbosity", "0").status == 0
        assert server.site.get("/").status_code == 200
        assert server.exec(*entrypoint, "live").status == 0
        assert server.exec(*entrypoint, "ready").status == 0


def test_it_runs_as_a_number_that_is_not_root_and_holds_no_secret(smallest):
    assert smallest.config()["User"] == "10001:10001"
    found = {finding.kind for finding in smallest.look().unwanted().findings}
    assert not {kind for kind in found if "secret" in kind or kind == "compilers"}


def test_a_word_that_is_none_is_told_what_there_is(smallest):
    done = smallest.run("", env=ENV)
    assert (done.status, "Known: server, migrate" in done.stderr) == (127, True)
