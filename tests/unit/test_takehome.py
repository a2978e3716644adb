"""What `workshop take-home` finds in a folder, and what it decides: no engine is asked."""

import json
from pathlib import PurePosixPath

import pytest
import strangers

from workshop.errors import WorkshopError
from workshop.takehome import install, packages, plan, probe, project, write
from workshop.takehome.plan import Answers

UV_LOCK = 'version = 1\n[[package]]\nname = "Django"\nversion = "5.2"\n'
NOTHING = {
    "django": "5.2", "wsgi": "shop.wsgi.application", "asgi": "", "debug": False,
    "allowed_hosts": ["*"], "applications": [], "middleware": ["whitenoise.WhiteNoise"],
    "static_root": "/app/staticfiles",
    "staticfiles": "whitenoise.storage.CompressedManifestStaticFilesStorage",
    "media_root": "", "databases": {"default": {"engine": "postgresql", "name": "x", "host": "db"}},
    "logs": True, "redirects_for_ever": False, "secret_key": "x", "has_static_app": True,
    "is_default": False, "defined": [],
}  # fmt: skip
FOLLOWS = {
    "secret_key": "asked-by-the-workshop",
    "allowed_hosts": ["probe.example"],
    "databases": {"default": {"host": "probe.example"}},
}


def decided(folder, names=("django", "gunicorn", "psycopg"), other=FOLLOWS, **settings):
    found = project.find(folder)
    packages = dict.fromkeys(names, "1.0")
    answers = Answers(settings={**NOTHING, **settings}, other=dict(other), packages=packages)
    return plan.make(found, names, answers)


# What is found


def test_a_bare_project(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    assert (found.manage, found.manager, found.settings) == (
        PurePosixPath("manage.py"), "nothing", "shop.settings",
    )  # fmt: skip
    assert (found.wsgi, found.asgi, found.django) == ("shop/wsgi.py", "shop/asgi.py", "5.2")
    assert found.python == project.DEFAULT_PYTHON


def test_a_stage_to_develop_in_has_the_group_dev(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (folder / "uv.lock").write_text(UV_LOCK)
    assert install.development(project.find(folder), has_extras=False) == [
        "uv sync --locked --no-install-project"
    ]


def test_a_stage_to_develop_in_is_refused_where_the_groups_are_not_known(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    with pytest.raises(WorkshopError, match="--development") as caught:
        install.development(found, has_extras=False)
    assert "FROM builder AS development" in caught.value.fix


def test_a_nested_manage_py(tmp_path):
    found = project.find(strangers.startproject(tmp_path, place="src"))
    assert found.manage == PurePosixPath("src/manage.py")
    assert str(found.workdir) == "/app/src"
    made = plan.make(found, ["django"])
    assert made.context["pythonpath"] == "/app"
    assert project.module_of(found, found.wsgi) == "shop.wsgi"


def test_the_settings_of_the_server_and_of_manage_py_can_differ(tmp_path):
    found = project.find(strangers.split_settings(tmp_path))
    assert found.settings == "shop.settings.production"
    assert found.manage_settings == "shop.settings.local"
    text = write.dockerfile(decided(tmp_path))
    assert "DJANGO_SETTINGS_MODULE=shop.settings.production" in text


def test_two_manage_py_are_a_question(tmp_path):
    for place in ("one", "two"):
        strangers.startproject(tmp_path, place=place)
    with pytest.raises(WorkshopError, match=r"one/manage.py, two/manage.py") as caught:
        project.find(tmp_path)
    assert "--manage" in caught.value.fix
    assert project.find(tmp_path, manage="two/manage.py").manage.parent == PurePosixPath("two")


@pytest.mark.parametrize("name", ["node_modules", ".venv", "site-packages"])
def test_other_peoples_folders_are_left_alone(tmp_path, name):
    strangers.startproject(tmp_path)
    strangers.startproject(tmp_path, place=name)
    assert project.find(tmp_path).manage == PurePosixPath("manage.py")


def test_no_project_is_said_and_nothing_is_written(tmp_path):
    with pytest.raises(WorkshopError, match=r"No manage.py") as caught:
        project.find(tmp_path)
    assert "Nothing was written" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "manager", "read"),
    [
        ({"uv.lock": UV_LOCK, "pyproject.toml": "", "requirements.txt": "django"}, "uv",
         ["pyproject.toml", "uv.lock"]),
        ({"poetry.lock": "", "pyproject.toml": ""}, "Poetry", ["pyproject.toml", "poetry.lock"]),
        ({"pdm.lock": "", "pyproject.toml": ""}, "PDM", ["pyproject.toml", "pdm.lock"]),
        ({"Pipfile.lock": "{}", "Pipfile": ""}, "Pipenv", ["Pipfile", "Pipfile.lock"]),
        ({"requirements.txt": "django"}, "requirements", ["requirements.txt"]),
        ({"requirements/production.txt": "-r base.txt", "requirements/base.txt": "django",
          "requirements.txt": "-r requirements/dev.txt"}, "requirements",
         ["requirements/production.txt", "requirements/base.txt"]),
        ({"pyproject.toml": '[project]\ndependencies = ["django"]'}, "pyproject",
         ["pyproject.toml"]),
        ({}, "nothing", []),
    ],
)  # fmt: skip
def test_who_manages_the_packages(tmp_path, files, manager, read):
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert (found.manager, found.files) == (manager, read)
    assert "django" in plan.locked(found) or not read or manager in ("Poetry", "PDM", "Pipenv")


def test_two_lock_files_are_a_question(tmp_path):
    locks = {"uv.lock": UV_LOCK, "poetry.lock": "", "pyproject.toml": ""}
    strangers.write(strangers.startproject(tmp_path), locks)
    with pytest.raises(WorkshopError, match="2 lock files") as caught:
        project.find(tmp_path)
    assert "--manager" in caught.value.fix
    assert project.find(tmp_path, manager="Poetry").manager == "Poetry"


def test_requirements_that_install_the_project_get_all_of_it(tmp_path):
    strangers.write(strangers.startproject(tmp_path), {"requirements.txt": "django\n-e .\n"})
    found = project.find(tmp_path)
    assert found.needs_all
    assert plan.make(found, ["django"]).context["mounts"] == ["."]


def test_a_workspace_of_uv_lends_every_pyproject(tmp_path):
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
        "packages/a/pyproject.toml": "[project]\nname = 'a'\n",
        "uv.lock": UV_LOCK,
    }
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert found.files == ["pyproject.toml", "uv.lock", "packages/a/pyproject.toml"]
    assert "--no-install-workspace" in write.dockerfile(plan.make(found, ["django"]))


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({".python-version": "3.12.4\n"}, "3.12"),
        ({"runtime.txt": "python-3.11.9"}, "3.11"),
        ({".tool-versions": "nodejs 22\npython 3.10.1\n"}, "3.10"),
        ({"Dockerfile": "FROM node:22\nFROM docker.io/library/python:3.12-alpine\n"}, "3.12"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10"\n'}, "3.13"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10,<3.13"\n'}, "3.12"),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.11.0"\n'}, "3.11"),
        ({"pyproject.toml": '[project]\nrequires-python = "==3.12.*"\n'}, "3.12"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, "3.13"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "3.12"\n'}, "3.12"),
        ({}, "3.13"),
    ],
)
def test_which_python(tmp_path, files, version):
    assert project.find(strangers.write(strangers.startproject(tmp_path), files)).python == version


def test_a_celery_application_is_a_process_type(tmp_path):
    text = "from celery import Celery\n\nqueue = Celery('shop')\n"
    strangers.write(strangers.startproject(tmp_path), {"shop/celery.py": text})
    made = decided(tmp_path, names=["django", "gunicorn", "psycopg", "celery"])
    assert made.context["commands"]["worker"].startswith("celery --app shop.celery worker")
    assert list(made.context["types"]) == ["server", "migrate", "worker", "beat"]


def test_celery_in_a_group_that_is_not_installed_is_no_process_type(tmp_path):
    text = "from celery import Celery\n\nqueue = Celery('shop')\n"
    strangers.write(strangers.startproject(tmp_path), {"shop/celery.py": text})
    answers = Answers(settings=NOTHING, other=FOLLOWS, packages={"django": "5.2"})
    made = plan.make(project.find(tmp_path), ["django", "gunicorn", "celery"], answers)
    assert list(made.context["commands"]) == ["migrate"]
    assert "--group" in made.notes[-1]


@pytest.mark.parametrize("kind", ["group", "extra"])
def test_a_group_that_is_asked_for_is_installed(tmp_path, kind):
    table = {"group": "dependency-groups", "extra": "project.optional-dependencies"}[kind]
    text = f"[project]\nname = 'shop'\nversion = '1'\n\n[{table}]\ntasks = ['celery']\n"
    strangers.write(strangers.startproject(tmp_path), {"pyproject.toml": text, "uv.lock": ""})
    made = plan.make(project.find(tmp_path, groups=["tasks"]), ["django"])
    assert f"--{kind} tasks" in made.context["install"][0]
    with pytest.raises(WorkshopError, match="no group or extra named none-such"):
        plan.make(project.find(tmp_path, groups=["none-such"]), ["django"])


def test_a_procfile_names_process_types(tmp_path):
    text = "web: gunicorn x\nrelease: true\nworker: python manage.py work --fast\nodd: a | b\n"
    strangers.write(strangers.startproject(tmp_path), {"Procfile": text})
    commands = decided(tmp_path).context["commands"]
    assert commands["worker"] == "python manage.py work --fast"
    assert list(commands) == ["migrate", "worker"]


def test_assets_are_built_in_a_stage_of_their_own(tmp_path):
    files = {
        "frontend/package.json": '{"scripts": {"build": "vite build"}}',
        "frontend/package-lock.json": "{}",
        "frontend/.nvmrc": "v22.3\n",
    }
    strangers.write(strangers.startproject(tmp_path), files)
    text = write.dockerfile(decided(tmp_path))
    assert "FROM node:22-slim AS assets\nWORKDIR /app/frontend\n" in text
    packages = "COPY frontend/package.json frontend/package-lock.json ./\nRUN npm ci\n"
    assert packages + "COPY . /app\nRUN npm run build" in text
    assert "COPY --from=assets /app /app" in text


def test_packages_that_run_a_script_of_the_project_are_installed_behind_it(tmp_path):
    files = {
        "package.json": '{"scripts": {"build": "vite build", "postinstall": "node fix.js"}}',
        "yarn.lock": "",
    }
    strangers.write(strangers.startproject(tmp_path), files)
    text = write.dockerfile(decided(tmp_path))
    assert "COPY . /app\nRUN corepack enable && yarn install\nRUN yarn run build" in text


# What is decided


def test_nothing_is_added_to_settings_that_lack_nothing(tmp_path):
    made = decided(strangers.startproject(tmp_path))
    assert (made.parts, made.extras) == ([], ["django"])
    assert "container/settings.py" not in [file.path for file in write.files(made)]


@pytest.mark.parametrize(
    ("part", "settings", "other"),
    [
        ("debug", {"debug": True}, {}),
        ("key", {"secret_key": "django-insecure-x"}, {"secret_key": "django-insecure-x"}),
        ("hosts", {"allowed_hosts": []}, {"allowed_hosts": []}),
        ("database", {}, {"databases": {"default": {"host": "db"}}}),
        ("static_root", {"static_root": ""}, {}),
        ("whitenoise", {"middleware": []}, {}),
        ("proxy", {"redirects_for_ever": True}, {}),
        ("logging", {"logs": False}, {}),
    ],
)
def test_each_part_of_the_overlay_has_its_reason(tmp_path, part, settings, other):
    folder = strangers.startproject(tmp_path)
    made = decided(folder, other={**FOLLOWS, **other}, **settings)
    assert made.parts == [part]
    assert any(plan.PARTS[part] in note for note in made.notes)
    text = write.settings(made)
    compile(text, "settings.py", "exec")
    assert "DJANGO_SETTINGS_MODULE=container.settings" in write.dockerfile(made)
    refused = plan.make(
        made.project, ["django", "gunicorn"], Answers(settings={**NOTHING, **settings}), [part]
    )
    assert part not in refused.parts


def test_a_variable_that_turns_debug_off_is_set_before_the_settings_are_read(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(settings=NOTHING, other=FOLLOWS, switch="DJANGO_DEBUG")
    text = write.settings(plan.make(found, ["django", "gunicorn"], answers))
    switch = text.index('os.environ.setdefault("DJANGO_DEBUG", "False")')
    assert switch < text.index("from shop.settings import *")
    assert "\nDEBUG = " not in text


def test_sqlite_among_the_code_moves_to_a_folder_of_its_own(tmp_path):
    database = {"default": {"engine": "django.db.backends.sqlite3", "name": "/app/db.sqlite3"}}
    made = decided(strangers.startproject(tmp_path), databases=database)
    assert made.context["sqlite"] == "/app/data/db.sqlite3"
    assert made.context["writable"] == ["/app/data"]


def test_static_files_that_go_elsewhere_are_not_collected(tmp_path):
    made = decided(strangers.startproject(tmp_path), staticfiles="storages.backends.s3.S3Storage")
    assert "collectstatic" not in write.dockerfile(made).split("touch /tmp/before")[1]


def test_variables_are_set_for_one_command_and_never_by_env(tmp_path):
    folder = strangers.startproject(tmp_path)
    found = project.find(folder)
    made = plan.make(found, ["django", "gunicorn"], Answers({"API_KEY": "a b"}, dict(NOTHING)))
    text = write.dockerfile(made)
    assert "API_KEY='a b' python manage.py collectstatic" in text
    assert "ENV API_KEY" not in text


def test_asgi_alone(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "shop" / "wsgi.py").unlink()
    made = decided(folder, wsgi="", asgi="shop.asgi.application")
    paths = {file.path: file.text for file in write.files(made)}
    assert "from shop.asgi import application as project" in paths["container/asgi.py"]
    assert 'worker_class = "asgi"' in paths["container/gunicorn.conf.py"]
    compile(paths["container/asgi.py"], "asgi.py", "exec")


# What is written


def test_a_dockerfile_that_is_there_stays(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    made = decided(folder)
    write.write(made, write.files(made))
    assert (folder / "Dockerfile").read_text() == "FROM scratch\n"
    assert "AS builder" in (folder / "container" / "Dockerfile").read_text()


def test_the_ignore_file_is_added_to(tmp_path):
    (tmp_path / ".dockerignore").write_text("node_modules\nmine\n.venv/\n")
    text = write.ignore_file(tmp_path)
    assert text.startswith("node_modules\nmine\n.venv/\n\n# ")
    added = text.split("# What")[1].splitlines()
    assert "**/.env" in added
    assert "**/node_modules" not in added
    assert "**/.venv" not in added
    (tmp_path / ".dockerignore").write_text(text)
    assert write.ignore_file(tmp_path) == text


def test_an_ignore_file_that_allows_lets_the_set_in(tmp_path):
    (tmp_path / ".dockerignore").write_text("*\n!shop\n!manage.py\n")
    assert "\n!container\n" in write.ignore_file(tmp_path)


def test_what_is_written_has_the_ends_of_unix(tmp_path):
    folder = strangers.startproject(tmp_path)
    for path in folder.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    made = decided(folder)
    write.write(made, write.files(made))
    assert b"\r" not in (folder / "container" / "entrypoint.sh").read_bytes()
    assert "eol=lf" in (folder / "container" / ".gitattributes").read_text()


# What settings miss


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("ImproperlyConfigured: Set the API_URL environment variable", "API_URL"),
        ("KeyError: 'SECRET_KEY'", "SECRET_KEY"),
        ("decouple.UndefinedValueError: MAIL_HOST not found. Declare it as envvar", "MAIL_HOST"),
        ('environs.EnvError: Environment variable "DSN_X" not set', "DSN_X"),
        ("ImproperlyConfigured: The SECRET_KEY setting must not be empty.", "SECRET_KEY"),
        ("ValueError: REDIS_URL is not set. Set it.", "REDIS_URL"),
        ("ValidationError: 1 validation error\nsecret_key\n  Field required", "SECRET_KEY"),
        ("ModuleNotFoundError: No module named 'shop'", ""),
    ],
)  # fmt: skip
def test_the_variable_that_an_error_names(error, name):
    assert probe.missing(f"Traceback (most recent call last):\n{error}\n") == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:////tmp/build.sqlite3"),
        ("CELERY_BROKER_URL", "redis://localhost:6379/0"),
        ("EMAIL_PORT", "1"),
        ("DEBUG", "False"),
        ("SITE_URL", "http://localhost"),
        ("SECRET_KEY", "only-for-the-build"),
    ],
)
def test_a_value_that_does_no_harm(name, value):
    assert probe.value_for(name) == value


# Debian's packages


def test_what_python_packages_need_of_debian():
    system = packages.of(["psycopg", "psycopg-c", "weasyprint"])
    assert "libpq-dev" in system.build
    assert "libpq-dev" not in system.run
    assert {"libpq5", "libpango-1.0-0"} <= set(system.run)
    assert packages.of(["psycopg", "psycopg-binary"]).run == ()
    assert packages.of(["psycopg"]).run == ("libpq5",)
    assert "libgdal36" in packages.of([], ["django.contrib.gis"]).run


def test_what_a_failed_build_misses():
    assert "libpq-dev" in packages.missing("Error: pg_config executable not found.")
    assert "gcc" in packages.missing("error: command 'gcc' failed: No such file or directory")
    assert packages.missing("No matching distribution found") == ()


def test_the_answer_as_json(tmp_path):
    from workshop.takehome import command

    told = command.as_json(decided(strangers.startproject(tmp_path)))
    assert json.loads(json.dumps(told)) == told
    assert {"manage_py", "wsgi", "asgi", "settings", "manager", "python", "database", "static",
            "worker", "assets"} <= told.keys()  # fmt: skip


def test_a_base_image_that_can_not_be_had_ends_it_before_anything_is_written(tmp_path):
    from workshop.takehome import command

    folder = strangers.write(strangers.startproject(tmp_path), {".python-version": "3.9"})
    before = sorted(folder.rglob("*"))

    def ready(name):
        raise WorkshopError(f"No {name}.", "Check the network.")

    with pytest.raises(WorkshopError, match="No python:3.9-slim") as caught:
        command.take_home(folder, command.Wishes(yes=True), ready)
    assert caught.value.fix.startswith("Check the network. Or take another Python")
    assert sorted(folder.rglob("*")) == before


def test_a_report_in_a_line_as_json_and_as_a_page():
    from workshop.takehome.proof import Property, Report

    report = Report("shop", [Property("a", "holds"), Property("<b>", "fails", "why"),
                             Property("c", "untried", "because")])  # fmt: skip
    assert report.verdict() == "1 of 3 properties hold for the image of shop."
    assert report.text().splitlines()[1:] == ["  ✔ a", "  ✘ <b>: why", "  – c: because"]
    assert (report.holds, report.as_json()["properties"][1]["state"]) == (False, "fails")
    assert "&lt;b&gt;" in report.page()
    assert Report("shop", report.properties[::2]).holds


def test_a_key_that_a_package_brings_is_public_and_one_of_the_project_is_not():
    from workshop.layers.unwanted import Finding
    from workshop.takehome.proof import private

    public = "/opt/venv/lib/python3.13/site-packages/aiosmtpd/tests/certs/server.key"
    found = [
        Finding("secret files", public),
        Finding("secrets in settings", "SECRET_KEY=x"),
        Finding("secret files", "/app/certs/server.key"),
        Finding("secrets in settings", "API_TOKEN=x"),
        Finding(".git", "/app/.git"),
        Finding("caches", "/root/.cache"),
    ]
    assert private(found, {"SECRET_KEY": "x"}) == found[2:5]
