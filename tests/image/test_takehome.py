"""`workshop take-home` on projects that are not the sample: written, built, run, proved."""

import json
import secrets
import shutil
import tomllib
from pathlib import Path

import pytest
import strangers

from workshop.bases import images
from workshop.build import buildx
from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.paths import SAMPLE_PROJECT, VARIANTS
from workshop.run import containers
from workshop.takehome import ask, command, install, project, proof, write
from workshop.takehome.command import Wishes

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.timeout(900)]

SET = ("container/entrypoint.sh", "container/gunicorn.conf.py", "container/wsgi.py",
       "container/migrate.py", "container/.gitattributes", ".dockerignore")  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    containers.remove_of(ask.CHAPTER)


@pytest.fixture
def node():
    """Node's base image. It stays only on an engine that had it before."""
    name = "node:24-slim"
    was_there = images.is_present(name)
    images.ensure([name])
    yield
    if not was_there:
        client.connect().api.remove_image(name)


def planned(folder):
    return command.planned(project.find(folder), Wishes())


def proved(folder, **wishes):
    """The report of a project after `take-home --yes`, and the paths that were written."""
    made = command.planned(project.find(folder), Wishes(**wishes))
    files = write.files(made)
    dockerfile = next(file.path for file in files if file.path.endswith("Dockerfile"))
    write.write(made, command.choose(files, yes=True))
    return proof.prove(made, dockerfile), [file.path for file in files]


def failed(report):
    return [(found.name, found.seen) for found in report.properties if found.state == "fails"]


def test_for_the_sample_it_writes_what_the_repository_holds():
    files = {file.path: file.text for file in write.files(planned(SAMPLE_PROJECT))}
    assert files["Dockerfile"] == (VARIANTS / "production.Dockerfile").read_text(encoding="utf-8")
    for path in SET:
        assert files[path] == (VARIANTS / "production" / path).read_text(encoding="utf-8"), path
    assert set(files) == {"Dockerfile", *SET}
    stored = (p for p in (VARIANTS / "production").rglob("*") if p.is_file())
    assert {p.relative_to(VARIANTS / "production").as_posix() for p in stored} == set(SET)


def test_with_workers_and_development_it_writes_what_the_stack_is_built_of():
    found = project.find(SAMPLE_PROJECT, groups=["worker"])
    made = command.planned(found, Wishes(development=True))
    files = {file.path: file.text for file in write.files(made)}
    assert files.pop("Dockerfile") == (VARIANTS / "stack.Dockerfile").read_text(encoding="utf-8")
    for path, text in files.items():
        # What is the same as in the production set is kept once.
        kept = [VARIANTS / folder / path for folder in ("stack", "production")]
        assert text == next(filter(Path.exists, kept)).read_text(encoding="utf-8"), path


@pytest.mark.slow  # chapter 14 does it as well
def test_a_bare_project_serves_without_an_edit(tmp_path):
    """The promise of the README."""
    report, written = proved(strangers.startproject(tmp_path))
    assert failed(report) == []
    assert [found.name for found in report.properties if found.state == "untried"] == []
    assert len(report.properties) >= 16
    assert "container/settings.py" in written
    assert json.loads(json.dumps(report.as_json()))["holds"] is True
    assert "<table>" in report.page()


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    folder = strangers.startproject(tmp_path)
    before = sorted(folder.rglob("*"))
    wishes = Wishes(dry_run=True, as_json=True)
    assert command.take_home(folder, wishes, lambda name: images.ensure([name])) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wsgi"] == "shop.wsgi:application"
    assert sorted(folder.rglob("*")) == before
    # For the sample it was asked before: the image of then lost its name, and is gone.
    mine = {"label": f"{session.LABEL}={session.ident()}", "dangling": True}
    assert client.connect().api.images(filters=mine) == []


def test_settings_that_can_not_be_imported_are_said_in_a_line(tmp_path):
    folder = strangers.startproject(tmp_path)
    strangers.change(folder, "shop/settings.py", "DEBUG = True", "import no_such_module")
    with pytest.raises(WorkshopError, match="No module named 'no_such_module'"):
        planned(folder)


def test_settings_that_something_replaces_are_said_in_a_line(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "requirements.txt").write_text("django~=5.2.0\ndynaconf\n")
    with (folder / "shop" / "settings.py").open("a") as settings:
        settings.write("import dynaconf\nsettings = dynaconf.DjangoDynaconf(__name__)\n")
    with pytest.raises(WorkshopError, match="would not be in force"):
        planned(folder)


def test_settings_that_a_file_names_whatever_happens_are_said_in_a_line(tmp_path):
    folder = strangers.startproject(tmp_path)
    default = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")'
    wanted = 'os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"'
    strangers.change(folder, "shop/wsgi.py", default, wanted)
    with pytest.raises(WorkshopError, match="shop/wsgi.py sets DJANGO_SETTINGS_MODULE"):
        planned(folder)


# Other shapes


def crlf(folder):
    strangers.startproject(folder)
    for path in folder.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def no_database(folder):
    strangers.startproject(folder)
    strangers.change(folder, "shop/settings.py", "DATABASES = {", "DATABASES = {}\nUNUSED = {")


def asgi_alone(folder):
    strangers.startproject(folder)
    (folder / "shop" / "wsgi.py").unlink()
    new = 'ASGI_APPLICATION = "shop.asgi.application"'
    strangers.change(folder, "shop/settings.py", 'WSGI_APPLICATION = "shop.wsgi.application"', new)


def older_gunicorn(folder):
    asgi_alone(folder)
    (folder / "requirements.txt").write_text("django~=5.2.0\ngunicorn==23.0.0\nuvicorn-worker\n")


def elsewhere(folder):
    """Nothing names the settings but the image of before; logs, and an empty package on top."""
    strangers.split_settings(folder)
    strangers.write(folder, {
        "shop/wsgi.py": "from django.core.wsgi import get_wsgi_application\n"
                        "# os.environ['DJANGO_SETTINGS_MODULE'] = 'wrong.settings'\n"
                        "application = get_wsgi_application()\n",
        "manage.py": strangers.MANAGE.format(settings="shop.settings"),
        "ops/web.Dockerfile": "ENV DJANGO_SETTINGS_MODULE=shop.settings.production\n",
    })  # fmt: skip
    (folder / "shop/asgi.py").unlink()
    logs = (
        'LOGGING = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", '
        '"filename": "server.log"}}, "root": {"handlers": ["file"], "level": "INFO"}}\n'
        'CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", '
        '"LOCATION": "cache"}}\n'
    )
    server = folder / "shop/settings/production.py"
    server.write_text(server.read_text() + logs)


def allow_list(folder):
    strangers.startproject(folder)
    (folder / ".dockerignore").write_text("*\n!manage.py\n!shop\n")


def needs_variables(folder):
    strangers.startproject(folder)
    wanted = (
        'import os\nDEBUG = False\nPAYMENT_KEY = os.environ["PAYMENT_KEY"]\n'
        'if "DATABASE_URL" not in os.environ:\n    raise RuntimeError("DATABASE_URL is not set")'
    )
    strangers.change(folder, "shop/settings.py", "DEBUG = True", wanted)


def compiled(folder):
    strangers.startproject(folder)
    strangers.change(
        folder, "shop/settings.py", "DEBUG = True", "import PIL._imaging\nDEBUG = True"
    )
    text = "django~=5.2.0\npillow==12.0.0\n--no-binary pillow\n"
    strangers.write(folder, {"requirements.txt": text})


def key_in_a_file(folder):
    strangers.startproject(folder)
    made = (
        "import os\nfrom pathlib import Path\n"
        'if "SECRET_KEY" not in os.environ:\n'
        '    Path(__file__).with_name("key.txt").write_text("a key")\n'
        'SECRET_KEY = os.environ.get("SECRET_KEY", "x" * 60)\nDEBUG = True'
    )
    strangers.change(folder, "shop/settings.py", "DEBUG = True", made)


def key_in_a_folder(folder):
    """No variable holds it, so each container makes one, in a folder of its own; and a lock."""
    strangers.startproject(folder)
    made = (
        'Path("/tmp/lock").write_text("")\n'
        'FILE = BASE_DIR / "var" / "key.txt"\n'
        "FILE.parent.mkdir(exist_ok=True)\n"
        'if not FILE.exists():\n    FILE.write_text("a key " * 10)\n'
        "SECRET_KEY = FILE.read_text()\nDEBUG = True"
    )
    strangers.change(folder, "shop/settings.py", "DEBUG = True", made)


def follows_debug(folder):
    """With DEBUG, a middleware asks for an address that exists with DEBUG only."""
    strangers.startproject(folder)
    wanted = 'import os\nDEBUG = os.environ.get("DJANGO_DEBUG", "True") == "True"'
    strangers.change(folder, "shop/settings.py", "DEBUG = True", wanted)
    with (folder / "shop" / "settings.py").open("a") as settings:
        settings.write('if DEBUG:\n    MIDDLEWARE = ["shop.toolbar.toolbar", *MIDDLEWARE]\n')
    (folder / "shop" / "toolbar.py").write_text(
        "from django.urls import reverse\n\n\n"
        'def toolbar(answer):\n    return lambda request: reverse("toolbar") and answer(request)\n'
    )


def stale_requirements(folder):
    shutil.copytree(SAMPLE_PROJECT, folder, dirs_exist_ok=True)
    (folder / "requirements.txt").write_text("django==1.11\n")


def nested(folder):
    strangers.startproject(folder, place="src")
    (folder / "requirements.txt").write_text("django~=5.2.0\n")


def newest_django(folder):
    strangers.startproject(folder, django="6.1")


def django_before_it(folder):
    strangers.startproject(folder, django="6.0")


def behind_a_proxy(folder):
    """It redirects to HTTPS, and answers under a name that is not this machine's."""
    strangers.startproject(folder)
    wanted = 'SECURE_SSL_REDIRECT = True\nALLOWED_HOSTS = ["shop.example"]'
    strangers.change(folder, "shop/settings.py", "ALLOWED_HOSTS = []", wanted)


def two_databases(folder):
    """Both are SQLite among the code; and a log goes to a folder that no image has."""
    strangers.startproject(folder)
    with (folder / "shop" / "settings.py").open("a") as settings:
        settings.write(
            'DATABASES["logs"] = {**DATABASES["default"], "NAME": BASE_DIR / "logs.sqlite3"}\n'
            'LOGGING = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", '
            '"filename": "/var/log/shop/x.log"}}, "loggers": {"shop": {"handlers": ["file"]}}}\n'
        )


POETRY = """\
[tool.poetry]
name = "shop"
version = "1"
description = ""
authors = []
package-mode = false

[tool.poetry.dependencies]
python = "^3.12"
django = "~5.2"
"""
# Poetry says which content of pyproject.toml a lock file belongs to.
CONTENT_HASH = (
    "from poetry.factory import Factory; "
    "print(Factory().create_poetry('/tmp').locker._get_content_hash())"
)


def poetry(folder):
    """A lock file in Poetry's form with the pins of the sample project's."""
    strangers.startproject(folder)
    (folder / "pyproject.toml").write_text(POETRY)
    script = (
        f"pip install --quiet {install.TOOLS['Poetry']} && printf '{POETRY}' > /tmp/pyproject.toml"
    )
    done = containers.run(
        "python:3.13-slim",
        ["sh", "-c", f'{script} && python -c "{CONTENT_HASH}"'],
        chapter=ask.CHAPTER,
    )
    assert done.status == 0, done
    lock = tomllib.loads((SAMPLE_PROJECT / "uv.lock").read_text(encoding="utf-8"))
    lines = []
    for package in lock["package"]:
        if package["name"] in ("django", "asgiref", "sqlparse"):
            found = [*package["wheels"], package["sdist"]]
            files = [
                f'{{file = "{f["url"].rsplit("/")[-1]}", hash = "{f["hash"]}"}}' for f in found
            ]
            lines += [
                "[[package]]", f'name = "{package["name"]}"', f'version = "{package["version"]}"',
                'description = ""', "optional = false", 'python-versions = ">=3.8"',
                'groups = ["main"]', f"files = [{', '.join(files)}]", "",
            ]  # fmt: skip
            if package["name"] == "django":
                lines += ["[package.dependencies]", 'asgiref = "*"', 'sqlparse = "*"', ""]
    lines += ["[metadata]", 'lock-version = "2.1"', 'python-versions = "^3.12"']
    lines += [f'content-hash = "{done.stdout.strip()}"', ""]
    (folder / "poetry.lock").write_text("\n".join(lines))


def made_by(tool, folder, name, text, script, lock):
    """Write the file ``name``, and the lock file that a tool makes of it in a container."""
    strangers.startproject(folder)
    (folder / name).write_text(text)
    words = f"pip install --quiet {install.TOOLS[tool]} >&2 && cd /tmp"
    words += f" && printf '%s' \"$TEXT\" > {name}"
    done = containers.run(
        "python:3.13-slim",
        ["sh", "-c", f"{words} && {script} >&2 && cat {lock}"],
        env={"TEXT": text, "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"},
        chapter=ask.CHAPTER,
    )
    assert done.status == 0, done
    (folder / lock).write_text(done.stdout)


def pipenv(folder):
    text = '[packages]\ndjango = "~=5.2"\n'
    made_by("Pipenv", folder, "Pipfile", text, "pipenv lock", "Pipfile.lock")


def pdm(folder):
    text = (
        '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.13"\n'
        'dependencies = ["django~=5.2.0"]\n\n[tool.pdm]\ndistribution = false\n'
    )
    made_by("PDM", folder, "pyproject.toml", text, "pdm lock --quiet", "pdm.lock")


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [crlf, asgi_alone, older_gunicorn, elsewhere, no_database, allow_list, needs_variables,
     compiled, key_in_a_file, key_in_a_folder, follows_debug, stale_requirements, nested,
     newest_django, django_before_it, poetry, pipenv, pdm, behind_a_proxy, two_databases,
     strangers.split_settings, strangers.database_at_import],
)  # fmt: skip
def test_other_shapes_serve_without_an_edit(tmp_path, make):
    make(tmp_path)
    report, _ = proved(tmp_path)
    assert failed(report) == []
    held = {
        found.name.partition(" only")[0] for found in report.properties if found.state == "holds"
    }
    assert {"its migrations run", "it says that it is ready"} <= held


@pytest.mark.slow
def test_what_belongs_to_a_developer_is_not_in_the_image(tmp_path):
    folder = strangers.startproject(tmp_path)
    strangers.write(folder, {
        ".env": "SECRET_KEY=x\n", ".git/config": "", ".venv/pyvenv.cfg": "", "db.sqlite3": "",
        "shop/.env": "SECRET_KEY=x\n",
    })  # fmt: skip
    report, _ = proved(folder)
    assert failed(report) == []
    names = [
        word for name in (".env", ".git", ".venv", "db.sqlite3") for word in ("-o", "-name", name)
    ]
    tag = f"{session.prefix()}/{ask.CHAPTER}:proof"
    found = containers.run(tag, ["find", "/app", *names[1:]], chapter=ask.CHAPTER)
    assert (found.status, found.lines) == (0, [])
    listed = containers.run(tag, ["find", "/app", "-name", "manage.py"], chapter=ask.CHAPTER)
    assert listed.lines == ["/app/manage.py"]


@pytest.mark.slow
def test_tasks_have_a_process_type_that_starts(tmp_path):
    report, _ = proved(strangers.celery(tmp_path))
    assert failed(report) == []
    tag = f"{session.prefix()}/{ask.CHAPTER}:proof"
    for kind in ("worker", "beat"):
        done = containers.run(tag, [kind, "--help"], chapter=ask.CHAPTER)
        assert (done.status, f" {kind} [OPTIONS]" in done.stdout) == (0, True), done


@pytest.mark.slow
def test_a_secret_that_settings_make_fails_the_build_by_name(tmp_path):
    folder = strangers.startproject(tmp_path)
    makes = 'DEBUG = True\n(BASE_DIR / "key.txt").write_text("a key")'
    strangers.change(folder, "shop/settings.py", "DEBUG = True", makes)
    report, _ = proved(folder)
    ((name, seen),) = failed(report)
    assert name == "it builds"
    assert "/app/key.txt" in seen


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_assets_are_built_and_served_and_an_edited_line_installs_nothing(tmp_path):
    folder = strangers.startproject(tmp_path)
    package = {
        "private": True,
        "scripts": {"build": "terser src/shop.js --mangle --output ../static/shop.js"},
        "devDependencies": {"terser": "5"},
    }
    files = {
        "frontend/package.json": json.dumps(package),
        "frontend/src/shop.js": "function total(price, number) { return price * number; }\n",
        # Without a file in it, git would not keep the folder.
        "static/.gitkeep": "",
    }
    strangers.write(folder, files)
    strangers.change(
        folder, "shop/settings.py", "DEBUG = True", 'DEBUG = True\nSTATICFILES_DIRS = ["static"]'
    )
    report, _ = proved(folder)
    assert failed(report) == []
    # New each time, because an engine that ran this test before has the old edit in its cache.
    edit = f"# {secrets.token_hex(4)}\nurlpatterns"
    strangers.change(folder, "shop/urls.py", "urlpatterns", edit)
    built = buildx.build_image(
        ["docker", "build", "-t", f"{session.prefix()}/assets", "."],
        cwd=folder,
        labels=session.labels(),
    )
    assert built.step("npm install").cached
    assert not built.step("npm run build").cached
    done = containers.run(built.tag, ["cat", "staticfiles/shop.js"], chapter=ask.CHAPTER)
    assert done.stdout.strip() == "function total(t,n){return t*n}"
