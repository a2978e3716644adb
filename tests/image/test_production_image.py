"""The production image, property by property. The numbers are those of the table in README.md.

What a chapter checks as well is marked as slow: `make test` runs the chapter, `make test-all`
both.
"""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from workshop.bench import builds
from workshop.bench.serving import lost_at_stop
from workshop.build.buildx import BuildFailed
from workshop.engine import client
from workshop.lesson.workspace import Workspace
from workshop.paths import VARIANTS, program
from workshop.run import containers

pytestmark = pytest.mark.usefixtures("left_clean")

SECRET = "a-key-for-tests-only"
ENV = {"SECRET_KEY": SECRET, "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}
HARDENED = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]

# The project's own wsgi.py, and a page that is answered when /tmp/finish is there.
SLOW_WSGI = """
import os, sys, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
from django.core.wsgi import get_wsgi_application
django = get_wsgi_application()
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("running /slow", file=sys.stderr, flush=True)
        while not os.path.exists("/tmp/finish"):
            time.sleep(0.05)
        environ["PATH_INFO"] = "/healthz"
    return django(environ, start_response)
"""

# As many requests as it is told to, at once; it says when all are sent, and what came back.
CLIENTS = """
import socket, sys
connections = [socket.create_connection(("server", 8000), 60) for _ in range(int(sys.argv[1]))]
for connection in connections:
    connection.sendall(b"GET /slow HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
print("sent", flush=True)
for connection in connections:
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    print(b" 200 " in answer[:20] and answer.endswith(b"}"))
"""


# A database that takes connections and says nothing; more questions than there are threads.
SILENT_DATABASE = """
import os, queue, socket, threading, urllib.error, urllib.request
database = socket.create_server(("127.0.0.1", 9999), backlog=64)
answers = queue.Queue()
def ask(path):
    try:
        return urllib.request.urlopen("http://127.0.0.1:8000" + path, timeout=300).status
    except urllib.error.HTTPError as error:
        return error.code
for _ in range(20):
    threading.Thread(target=lambda: answers.put(ask("/readyz")), daemon=True).start()
print([answers.get(timeout=300) for _ in range(19)], ask("/livez"), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def production(left_clean):
    """variants/production.Dockerfile with its files, built as a reader would."""
    made = Workspace("test-production")
    made.use(VARIANTS / "production.Dockerfile")
    made.write(".env", f"SECRET_KEY={SECRET}\n")
    made.build()
    return made


@pytest.fixture(scope="module")
def image(production):
    return production.look()


@pytest.fixture
def start(production):
    """Start a container of the image; it is gone after the test."""
    started = []

    def run(*command, env=(), **settings):
        made = containers.start(production.tag, command, env={**ENV, **dict(env)}, **settings)
        started.append(made)
        return made

    yield run
    for container in started:
        container.remove()


def python(production, code, **settings):
    return production.run("python", "-c", code, env=ENV, **settings)


# 1, 2: commands


@pytest.mark.parametrize(
    ("command", "status"), [(["true"], 0), (["false"], 1), (["sh", "-c", "exit 7"], 7)]
)
def test_01_it_runs_any_command_and_passes_its_exit_status_on(production, command, status):
    assert production.run(*command).status == status


@pytest.mark.slow
def test_01_management_commands_run(production):
    done = production.run("python", "manage.py", "check", env=ENV)
    assert (done.status, "no issues" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("name", "value"), [("WEB_CONCURRENCY", "0"), ("WEB_THREADS", "many"), ("STOP_DELAY", "-1")]
)
def test_02_an_odd_setting_is_refused_by_name(production, name, value):
    done = production.run("server", env={**ENV, name: value})
    assert done.status != 0
    assert f"{name} is {value!r}" in done.stderr


@pytest.mark.slow
def test_02_an_empty_word_is_no_command(production):
    assert production.run("").status == 127


@pytest.mark.slow
def test_02_an_unknown_command_fails_and_says_what_is_known(production):
    done = production.run("worker-of-sorts")
    assert done.status == 127
    assert "worker-of-sorts" in done.stderr
    assert "server" in done.stderr
    assert done.stdout == ""


def test_02_the_server_keeps_its_log_whatever_the_project_does_with_logging(start):
    # Many projects have this in their settings; without care it switches gunicorn's log off.
    logging = 'LOGGING = {"version": 1, "disable_existing_loggers": True}'
    env = {
        "QUIET": f"from app.settings import *\n{logging}\n",
        "DJANGO_SETTINGS_MODULE": "quiet",
        "PYTHONPATH": "/tmp",
    }
    command = 'echo "$QUIET" > /tmp/quiet.py && exec sh container/entrypoint.sh server'
    server = start("sh", "-c", command, env=env, port=8000)
    assert "Listening at" in server.logs()
    server.wait_for('"GET / ')


# 3: stopping


@pytest.fixture(scope="module")
def slow_page(production):
    """The same image with a slow page; returns its tag."""
    with production.changed({"app/wsgi.py": SLOW_WSGI}):
        return production.build(name="slow").tag


@pytest.mark.parametrize(
    ("requests", "env"),
    [(1, {}), (3, {"WEB_CONCURRENCY": "1", "WEB_THREADS": "1"})],
    ids=["a request that runs", "requests that wait for the only thread"],
)
def test_03_what_was_accepted_is_answered_before_it_stops(production, slow_page, requests, env):
    network = production.network()
    try:
        with production.start(
            image=slow_page,
            # Patience enough for whoever asks from a machine that is busy.
            env={**ENV, "GUNICORN_CMD_ARGS": "--graceful-timeout=60 --timeout=60", **env},
            name="server",
            options=["--network", network, "--network-alias", "server"],
            ready="Booting worker",
        ) as server:
            options = ["--network", network, "--entrypoint", "python"]
            command = ("-c", CLIENTS, str(requests))
            with production.start(
                *command, image=slow_page, name="clients", options=options, ready="sent"
            ) as clients:
                server.wait_for("running /slow")
                client.connect().api.kill(server.name, "SIGTERM")
                assert server.exec("touch", "/tmp/finish").status == 0
                ended = client.connect().api.wait(server.name, timeout=60)
                client.connect().api.wait(clients.name, timeout=60)
                answered = clients.logs().splitlines()[1:]
        assert (answered, ended["StatusCode"]) == (["True"] * requests, 0)
    finally:
        production.remove_network(network)


@pytest.mark.slow
def test_03_requests_that_wait_behind_others_are_answered(production):
    assert lost_at_stop(production) == (8, 0)


# Between the last accept and the close somebody may get in: connect, ask and read until nobody
# accepts a connection any more. What was accepted and got no answer is lost.
KEEP_ASKING = """
import json, socket, threading, time
answered, lost, first = [], [], threading.Semaphore(0)
def client():
    waited_for = True
    while True:
        try:
            connection = socket.create_connection(("server", 8000), timeout=60)
        except OSError:
            return
        with connection:
            connection.settimeout(60)
            time.sleep(0.05)
            try:
                connection.sendall(b"GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except OSError:
                answer = b""
        (answered if b" 200 " in answer[:20] else lost).append(1)
        if waited_for and answer:
            waited_for = False
            first.release()
threads = [threading.Thread(target=client) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    first.acquire()
print("begun", flush=True)
for thread in threads:
    thread.join()
print(json.dumps([len(answered), len(lost)]))
"""


@pytest.mark.slow
def test_03_nobody_who_comes_while_it_stops_is_lost(production):
    network = production.network()
    try:
        for _ in range(3):
            options = ["--network", network, "--network-alias", "server"]
            with production.start(
                env=ENV, name="server", options=options, ready="Booting worker"
            ) as server:
                options = ["--network", network, "--entrypoint", "python"]
                with production.start(
                    "-c", KEEP_ASKING, name="clients", options=options, ready="begun"
                ) as clients:
                    server.stop(timeout=60)
                    client.connect().api.wait(clients.name, timeout=180)
                    answered, lost = json.loads(clients.logs().splitlines()[-1])
            assert answered >= 8, "every client was answered before it stopped"
            assert lost == 0
    finally:
        production.remove_network(network)


@pytest.mark.slow
def test_03_it_ends_by_itself_after_its_delay(start):
    server = start(env={"STOP_DELAY": "1"}, ready="Booting worker")
    engine = client.connect().api
    engine.kill(server.name, "TERM")
    assert engine.wait(server.name, timeout=180)["StatusCode"] == 0


@pytest.mark.slow
def test_03_a_database_that_says_nothing_takes_one_thread_and_no_more(start):
    env = {"WEB_CONCURRENCY": "1", "DATABASE_URL": "postgres://x:x@127.0.0.1:9999/x"}
    server = start(env=env, ready="Booting worker")
    done = server.exec("python", "-c", SILENT_DATABASE)
    assert done.stdout == f"{[503] * 19} 200\n", done.stderr


# 4, 5, 6: what the process may do


@pytest.mark.slow
def test_04_the_user_is_a_number(production):
    assert production.config()["User"] == "10001:10001"
    assert production.sh("id -u; id -g").lines == ["10001", "10001"]


def test_05_the_code_is_not_writable_by_the_process(production, image):
    found = image.unwanted().of("writable files")
    assert found == []
    tried = production.sh(
        "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' 2>/dev/null"
    )
    assert set(tried.lines) - {"/tmp", "/var/tmp", "/run/lock"} == {"/app/media", "/app/data"}


def test_06_no_program_has_a_setuid_bit(production):
    found = production.sh("find / -xdev -type f -perm /6000", options=["--user=0"])
    assert (found.status, found.lines) == (0, [])


@pytest.mark.slow
def test_06_any_user_of_group_0_can_write_data_and_has_a_home(production):
    script = "touch data/x media/x ~/x && echo written"
    done = production.sh(script, options=["--user=12345:0"])
    assert done.stdout == "written\n"


def test_06_what_it_can_not_write_to_it_says(production):
    done = production.run("server", "--check-config", env=ENV, options=["--read-only"])
    assert "/tmp can't be written to" in done.stderr
    assert "/app/media can't be written to" in done.stderr


@pytest.mark.slow
def test_06_it_is_healthy_without_rights_on_a_read_only_file_system(start):
    container = start(options=HARDENED, ready="Booting worker")
    container.wait_until("sh", "container/entrypoint.sh", "live")
    assert container.exec("sh", "container/entrypoint.sh", "ready").status == 0
    assert "ERROR" not in container.logs()
    assert "Control socket" not in container.logs()


# 7, 8, 11: what is in it


def test_07_it_holds_nothing_for_compiling_and_no_caches(image):
    found = image.unwanted()
    own = [f for f in found.findings if f.layer is None or f.layer >= image.base_layers]
    assert [
        f for f in own if f.kind in ("compilers", "headers", "static libraries", "caches")
    ] == []
    packages = image.packages().bytes
    assert "libpq5" in packages
    assert not {"libpq-dev", "gcc", "uv"} & packages.keys()


def test_08_the_dev_group_is_absent(production, image):
    packages = image.packages().bytes
    assert "django" in packages
    assert not {"ruff", "django-debug-toolbar"} & packages.keys()


def test_11_it_holds_no_secret_and_no_junk(production, image):
    told = client.connect().images.get(production.tag)
    assert SECRET not in json.dumps([told.history(), told.attrs])
    assert [f for f in image.unwanted().findings if "secret" in f.kind or f.kind == ".git"] == []
    stored = [entry.path for number, entry in image.image.stored() if number >= image.base_layers]
    junk = re.compile(
        r"\.po$|psycopg_c/.*\.c$|(^|/)(\.git|\.env|\.venv)(/|$)|site-packages/.*/tests/"
    )
    assert [path for path in stored if junk.search(path)] == []


# 9: exactly the lock file


@pytest.mark.slow
def test_09_a_stale_lock_fails_the_build(production):
    project = production.read("pyproject.toml")
    stale = project.replace('"whitenoise",', '"whitenoise",\n    "humanize",')
    # After this uv would forget what it compiled, so it gets a cache of its own.
    production.write("Dockerfile.own", production.text.replace("type=cache,", "type=cache,id=own,"))
    with production.changed({"pyproject.toml": stale}), pytest.raises(BuildFailed) as failed:
        production.build(target="builder", file="Dockerfile.own", name="stale")
    assert "uv sync --locked" in failed.value.step
    assert "needs to be updated" in str(failed.value)


@pytest.mark.slow
def test_09_a_tampered_archive_fails_the_build(production):
    lock = production.read("uv.lock")
    part = lock.split('name = "asgiref"')[1].split("[[package]]")[0]
    wheel = re.search(r'\.whl", hash = "sha256:(\w+)"', part)[1]
    tampered = {"uv.lock": lock.replace(wheel, "0" * 64)}
    with production.changed(tampered), pytest.raises(BuildFailed) as failed:
        production.build(target="builder", name="tampered")
    assert "hash" in str(failed.value).lower()


# 10: health


def test_10_it_reports_itself_healthy_with_hosts_of_its_own(start):
    container = start(
        env={"ALLOWED_HOSTS": "books.example.com,.example.org"}, options=["--health-interval=1s"]
    )

    def state():
        return client.connect().api.inspect_container(container.name)["State"]["Health"]

    containers.poll(lambda: state()["Status"] != "starting", container, "told its health")
    assert state()["Status"] == "healthy", state()


@pytest.mark.slow
def test_10_alive_is_not_ready(start):
    """Without its database it answers, and says that it can't work."""
    container = start(env={"DATABASE_URL": "postgres://a:b@127.0.0.1:1/none"}, ready="Booting")
    container.wait_until("sh", "container/entrypoint.sh", "live")
    assert container.exec("sh", "container/entrypoint.sh", "live").status == 0
    ready = container.exec("sh", "container/entrypoint.sh", "ready")
    assert (ready.status, "503" in ready.stdout) == (1, True)


def test_10_a_page_that_is_not_200_is_not_healthy(start):
    container = start(env={"LIVEZ_PATH": "/no-such-page"}, ready="Booting")
    container.wait_until("sh", "-c", "! sh container/entrypoint.sh live 2>&1 | grep 'no answer'")
    done = container.exec("sh", "container/entrypoint.sh", "live")
    assert (done.status, done.stdout) == (1, "/no-such-page answered 404\n")


@pytest.mark.slow
def test_10_where_nothing_answers_it_is_not_alive(production):
    done = production.run("live", env=ENV)
    assert done.status == 1
    assert "no answer" in done.stderr


# 12, 13, 14: fast and small


@pytest.mark.slow
def test_12_an_edited_line_runs_few_and_cheap_steps(production):
    with production.edited("reading/views.py"):
        built = production.build(name="edited")
    assert len(built.ran) <= 3
    assert not [step for step in built.ran if "uv sync" in step or "apt-get" in step]


def test_13_what_a_server_imports_is_compiled(production, image):
    """And of the standard library not much more."""
    code = (
        "import os, sys; sys.argv = ['gunicorn']; import app.wsgi, gunicorn.app.wsgiapp\n"
        "import gunicorn.workers.gthread\n"
        "specs = [m.__spec__ for m in list(sys.modules.values()) if getattr(m, '__spec__', None)]\n"
        "print([s.origin for s in specs if s.cached and not os.path.exists(s.cached)])"
    )
    assert python(production, code).stdout.strip() == "[]"
    pyc = {p: f.bytes for p, f in image.files.items() if p.endswith(".pyc")}
    library = [n for p, n in pyc.items() if p.startswith("usr/local/lib/")]
    assert 1e6 < sum(library) < 5e6
    assert [p for p in image.files if p.startswith("app/") and p.endswith(".pyc")]


def test_14_next_to_nothing_of_its_own_is_superseded(image):
    own = [s.bytes for s in image.superseded_paths if s.stored_by >= image.base_layers]
    assert sum(own) < 100_000


# 15: gunicorn


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "env", "expected"),
    [
        (["--cpus=1"], {}, (1, 8)),
        (["--cpus=2"], {}, (2, 8)),
        (["--cpus=0.5"], {}, (1, 8)),
        ([], {"WEB_CONCURRENCY": "3", "WEB_THREADS": "5"}, (3, 5)),
    ],
)
def test_15_workers_fit_the_machine(production, options, env, expected):
    code = (
        "import runpy; s = runpy.run_path('container/gunicorn.conf.py');"
        "print(s['workers'], s['threads'])"
    )
    done = production.run("python", "-c", code, options=options, env=env)
    assert tuple(map(int, done.stdout.split())) == expected


def test_15_gunicorn_takes_every_setting(production):
    done = production.run("server", "--check-config", env=ENV, options=["--tmpfs=/tmp"])
    assert (done.status, done.stderr) == (0, "")
    code = (
        "import runpy; s = runpy.run_path('container/gunicorn.conf.py');"
        "print(s['graceful_timeout'])"
    )
    assert float(production.run("python", "-c", code).stdout) < 10


# What the build refuses


@pytest.mark.slow
def test_11_a_build_that_makes_a_file_fails_and_names_it(production):
    settings = production.read("app/settings.py")
    makes = f'{settings}\n(BASE_DIR / "key.txt").write_text("a key")\n'
    with production.changed({"app/settings.py": makes}), pytest.raises(BuildFailed) as failed:
        production.build(name="makes-a-file")
    assert "must not ship: /app/key.txt" in str(failed.value)


@pytest.mark.slow
def test_11_a_script_with_other_line_ends_fails_the_build(production):
    script = production.path / "container" / "entrypoint.sh"
    before = script.read_bytes()
    script.write_bytes(before.replace(b"\n", b"\r\n"))
    try:
        with pytest.raises(BuildFailed) as failed:
            production.build(name="other-ends")
    finally:
        script.write_bytes(before)
    assert "sh -n" in failed.value.step


# 16, 17: reproducible, described


@pytest.mark.slow
def test_16_two_builds_give_the_same_files(production):
    # uv's own cache may hold a wheel that another Dockerfile compiled, with other options.
    with builds.nothing_cached(production):
        first = production.look(production.build(name="first").tag)
    # A fresh clone has times of its own.
    for file in production.path.rglob("*"):
        os.utime(file, (1, 1))
    with builds.nothing_cached(production):
        again = production.look(production.build(name="again").tag)
    found = first.diff(again)
    assert (found.added, found.removed, found.changed) == ({}, {}, {})


@pytest.mark.slow
def test_16_one_argument_sets_the_base(production):
    asked = client.connect().images.get("python:3.13-slim")
    asked.tag("workshop-base-by-another-name", "1")
    try:
        built = production.build(
            "--build-arg", "PYTHON_IMAGE=workshop-base-by-another-name:1", name="pinned"
        )
    finally:
        client.connect().api.remove_image("workshop-base-by-another-name:1")
    assert "FROM workshop-base-by-another-name:1" in [step.instruction for step in built.steps]


@pytest.mark.slow
def test_17_it_is_described(production):
    built = production.build(
        "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc", name="told"
    )
    labels = production.config(built.tag)["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert labels["org.opencontainers.image.title"]


@pytest.mark.slow
def test_17_its_bill_of_materials_names_every_package(production, tmp_path):
    archive = tmp_path / "image.tar"
    client.run_cli("save", "--output", str(archive), f"{production.tag}:latest")
    command = [program("syft"), "scan", f"oci-archive:{archive}", "-q", "-o", "cyclonedx-json"]
    bill = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    purls = {part["purl"].partition("?")[0] for part in bill["components"] if "purl" in part}
    lock = {p["name"]: p for p in tomllib.loads(production.read("uv.lock"))["package"]}
    # What the project depends on by itself: no group, and nothing for Windows.
    wanted, left = set(), [*lock["reading-list"]["dependencies"]]
    while left:
        found = left.pop()
        if "win32" in found.get("marker", ""):
            continue
        package = lock[found["name"]]
        wanted.add(f"pkg:pypi/{package['name']}@{package['version']}")
        left += package.get("dependencies", [])
        for extra in found.get("extra", []):
            left += package["optional-dependencies"][extra]
    assert len(wanted) > 5
    assert wanted <= purls
    assert any(purl.startswith("pkg:deb/debian/libpq5@") for purl in purls)


@pytest.mark.slow
def test_container_structure_test_agrees(production):
    spec = Path(__file__).with_name("production.structure.yaml")
    command = [program("container-structure-test"), "test", "--config", spec]
    done = subprocess.run(
        [*command, "--image", f"{production.tag}:latest"],
        env=client.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failures:    0" in done.stdout


# Nothing is taken away


@pytest.mark.slow
def test_translations_still_work(production):
    code = (
        "from django.conf import settings; settings.configure(USE_I18N=True, LANGUAGE_CODE='de',"
        " INSTALLED_APPS=['django.contrib.' + n for n in ('admin', 'auth', 'contenttypes')]);"
        "import django; django.setup();"
        "from django.utils.translation import gettext; print(gettext('January'), gettext('Log in'))"
    )
    assert python(production, code).stdout.strip() == "Januar Anmelden"


def test_the_admin_still_looks_right(start):
    container = start(port=8000)
    page = container.get("/admin/login/").text
    sheets = re.findall(r'<link[^>]*href="([^"]+\.css)"', page)
    assert len(sheets) >= 3
    for sheet in [*sheets, *re.findall(r'<script[^>]*src="([^"]+\.js)"', page)]:
        assert container.get(sheet).status_code == 200, sheet


@pytest.mark.slow
def test_psycopg_still_loads_its_c_implementation(production):
    assert python(production, "import psycopg; print(psycopg.pq.__impl__)").stdout == "c\n"


def test_the_projects_own_tests_pass(production):
    done = production.run("python", "manage.py", "test", "--verbosity", "0")
    assert done.status == 0, done


def test_pillow_still_reads_and_writes_every_format(production):
    code = (
        "import io; from PIL import Image, ImageDraw, ImageFont, features\n"
        "picture = Image.new('RGB', (64, 64), 'white')\n"
        "ImageDraw.Draw(picture).text((1, 1), 'Django', font=ImageFont.load_default(16), fill=0)\n"
        "assert len(picture.getcolors()) > 2, 'freetype drew nothing'\n"
        "for kind in ('PNG', 'JPEG', 'WEBP', 'AVIF', 'JPEG2000', 'TIFF'):\n"
        "    more = {'compression': 'tiff_lzw'} if kind == 'TIFF' else {}\n"
        "    file = io.BytesIO(); picture.save(file, kind, **more); file.seek(0)\n"
        "    Image.open(file).load(); print(kind)\n"
        "print(all(features.check(name) for name in ('littlecms2', 'libjpeg_turbo', 'zlib')))"
    )
    done = python(production, code)
    assert done.lines == ["PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "True"], done.stderr
