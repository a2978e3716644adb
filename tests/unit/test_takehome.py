"""What `workshop take-home` finds in a folder, and what it decides: no engine is asked."""

import importlib.metadata
import json
import logging.config
import subprocess
import sys
import threading
import types
from pathlib import PurePosixPath

import pytest
import strangers

from workshop.build import buildx
from workshop.errors import WorkshopError
from workshop.takehome import (
    ask,
    command,
    install,
    packages,
    plan,
    probe,
    project,
    proof,
    write,
)
from workshop.takehome.plan import Answers
from workshop.takehome.python import DEFAULT_PYTHON

UV_LOCK = 'version = 1\n[[package]]\nname = "Django"\nversion = "5.2"\n'
POETRY = {"poetry.lock": ""}
NOTHING = {
    "django": "5.2", "wsgi": "shop.wsgi.application", "asgi": "", "debug": False,
    "allowed_hosts": ["*"], "applications": [], "middleware": ["whitenoise.WhiteNoise"],
    "static_root": "/app/staticfiles",
    "stores_here": True, "storage": "django.contrib.staticfiles.storage.StaticFilesStorage",
    "media_root": "", "databases": {"default": {"engine": "postgresql", "name": "x", "host": "db"}},
    "logs": True, "redirects_for_ever": False, "secret_key": "x", "has_static_app": True,
    "is_default": False, "defined": [], "urls": "shop.urls", "log_files": [],
}  # fmt: skip
FOLLOWS = {
    "secret_key": "asked-by-the-workshop",
    "allowed_hosts": ["probe.example"],
    "databases": {"default": {"host": "probe.example"}},
}


def decided(folder, names=("django", "gunicorn", "psycopg"), other=FOLLOWS, **settings):
    found = project.find(folder)
    packages = dict.fromkeys(names, "25.0")
    answers = Answers(settings={**NOTHING, **settings}, other=dict(other), packages=packages)
    return plan.make(found, names, answers)


# What is found


def test_a_bare_project(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    assert (found.manage, found.manager, found.settings) == (
        PurePosixPath("manage.py"), "nothing", "shop.settings",
    )  # fmt: skip
    assert (found.wsgi, found.asgi, found.django) == ("shop/wsgi.py", "shop/asgi.py", "5.2")
    assert found.python == DEFAULT_PYTHON


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


def test_the_depth_of_a_manage_py_says_nothing_unless_it_is_at_the_top(tmp_path):
    for place in ("example", "apps/site"):
        strangers.startproject(tmp_path, place=place)
    with pytest.raises(WorkshopError, match=r"example/manage.py, apps/site/manage.py"):
        project.find(tmp_path)
    strangers.startproject(tmp_path)
    assert project.find(tmp_path).manage == PurePosixPath("manage.py")


@pytest.mark.parametrize(
    ("place", "path"),
    [("", "container.py"), ("src", "src/container.py"), ("src", "src/container/__init__.py")],
)
def test_another_module_of_the_sets_name_is_said(tmp_path, place, path):
    folder = strangers.write(strangers.startproject(tmp_path, place=place), {path: ""})
    with pytest.raises(WorkshopError, match=f"import {path} in the place of"):
        project.find(folder)


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
        ({"poetry.lock": UV_LOCK, "pyproject.toml": ""}, "Poetry",
         ["pyproject.toml", "poetry.lock"]),
        ({"pdm.lock": UV_LOCK, "pyproject.toml": ""}, "PDM", ["pyproject.toml", "pdm.lock"]),
        ({"Pipfile.lock": '{"default": {"django": {}}}', "Pipfile": ""}, "Pipenv",
         ["Pipfile", "Pipfile.lock"]),
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
    assert ("django" in plan.locked(found)) is bool(read)


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
        (
            {"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.9 || ~3.11"\n',
             "poetry.lock": ""},
            "3.11",
        ),
        (POETRY | {"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, "3.13"),
        (POETRY | {"pyproject.toml": '[tool.poetry.dependencies]\npython = "3.12"\n'}, "3.12"),
        ({}, "3.13"),
        ({"Dockerfile": "FROM ghcr.io/astral-sh/uv:python3.12-bookworm-slim\n"}, "3.12"),
        ({"ops/web.Dockerfile": "ARG PYTHON_VERSION=3.11\nFROM python:$PYTHON_VERSION\n"}, "3.11"),
        ({"requirements.txt": "Django==3.2.25\n"}, "3.10"),
        ({"requirements.txt": "django[argon2]==4.0\n", ".python-version": "3.9"}, "3.9"),
        ({"requirements.txt": "Django==5.2.1\n"}, "3.13"),
        (POETRY | {"poetry.lock": '[[package]]\nname = "django"\nversion = "4.1.2"\n',
                   "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, "3.11"),
        ({"Pipfile": "", "Pipfile.lock": '{"default": {"django": {"hashes": [],\n'
                                         '"version": "==4.2.1"}}}'}, "3.12"),
    ],
)  # fmt: skip
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


def test_a_procfiles_own_command_comes_before_a_guess(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "shop" / "celery.py").write_text("from celery import Celery\napp = Celery('shop')\n")
    (folder / "Procfile").write_text(
        "worker: celery -A shop worker -Q mail,default\nbeat: celery -A shop beat\n"
        "clock: celery -A shop beat -S redbeat.RedBeatScheduler\nodd: cd x && python y\n"
    )
    made = decided(folder, names=("django", "gunicorn", "celery"))
    commands = made.context["commands"]
    assert commands["worker"] == "celery -A shop worker -Q mail,default"
    assert commands["beat"] == "celery -A shop beat --schedule /tmp/beat"
    assert commands["clock"] == "celery -A shop beat -S redbeat.RedBeatScheduler"
    told = "\n".join(made.notes)
    assert "Not taken from the Procfile: odd, because" in told
    assert "Start beat, clock, worker with --no-healthcheck" in told


def test_a_procfile_names_process_types(tmp_path):
    text = "web: gunicorn x\nrelease: true\nworker: python manage.py work --fast\nodd: a | b\n"
    text += "urgent: X=1 celery -A shop worker\n"
    strangers.write(strangers.startproject(tmp_path), {"Procfile": text})
    commands = decided(tmp_path).context["commands"]
    assert commands["worker"] == "python manage.py work --fast"
    assert list(commands) == ["migrate", "worker"]


def test_commands_of_a_procfile_run_where_it_lies(tmp_path):
    folder = strangers.startproject(tmp_path, place="src")
    (folder / "Procfile").write_text("worker: python src/manage.py work\n")
    command = decided(folder).context["commands"]["worker"]
    assert command == "env --chdir=/app python src/manage.py work"


def test_commands_of_a_compose_file_are_process_types(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "docker-compose.yml").write_text("""\
services:
  web: {build: ., image: shop, command: python manage.py runserver 0.0.0.0:8000}
  worker: {image: shop, command: [celery, -A, shop, worker]}
  mail: {build: ., command: python manage.py send_mail --forever}
  ours: {build: ., command: worker}
  odd: {build: ., command: sh -c "a && b"}
  cache: {image: redis, command: redis-server --save 60}
""")
    made = decided(folder)
    assert made.context["commands"] == {
        "migrate": "python -m container.migrate",
        "worker": "celery -A shop worker",
        "mail": "python manage.py send_mail --forever",
    }
    assert "Not taken from the Compose file: the commands of odd." in made.notes


@pytest.mark.parametrize("text", ["services: [", "- a", "services: {web: !reset null}", ""])
def test_a_compose_file_that_says_nothing_is_left_alone(tmp_path, text):
    folder = strangers.write(strangers.startproject(tmp_path), {"compose.yaml": text})
    assert project.find(folder).compose == {}


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
    # Also those of the members of a workspace.
    assert "&& find /app -name node_modules -prune -exec rm -rf {} +\n" in text


def test_packages_that_run_a_script_of_the_project_are_installed_behind_it(tmp_path):
    files = {
        "package.json": '{"scripts": {"build": "vite build", "postinstall": "node fix.js"}}',
        "yarn.lock": "",
    }
    strangers.write(strangers.startproject(tmp_path), files)
    text = write.dockerfile(decided(tmp_path))
    assert "COPY . /app\nRUN corepack enable && yarn install\nRUN yarn run build" in text


def test_a_node_that_brings_no_corepack_gets_it(tmp_path):
    files = {
        "package.json": '{"scripts": {"build": "vite build"}}', "yarn.lock": "",
        ".yarnrc.yml": "nodeLinker: node-modules\n", ".nvmrc": "26",
    }  # fmt: skip
    strangers.write(strangers.startproject(tmp_path), files)
    text = write.dockerfile(decided(tmp_path))
    assert "COPY package.json yarn.lock .yarnrc.yml ./\n" in text
    assert "RUN npm install --global corepack && corepack enable && yarn install\n" in text


@pytest.mark.parametrize(
    ("line", "is_local"),
    [
        ("-e .[prod]", True), (".[prod]", True), ("-e libs/foo", True), ("./libs/foo", True),
        ("foo @ file:./libs/foo", True), ("file:libs/foo ; python_version > '3'", True),
        ("-e git+https://example.org/foo.git#egg=foo", False), ("foo @ https://example.org", False),
        ("foo[bar]", False),
    ],
)  # fmt: skip
def test_a_requirement_that_is_a_folder_gets_all_of_the_project(tmp_path, line, is_local):
    files = {"requirements.txt": f"django\n{line}\n"}
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert found.needs_all is is_local


@pytest.mark.parametrize(
    ("lock", "text", "is_local"),
    [
        ("uv.lock", '[tool.uv.sources]\nshared = {path = "libs/shared"}', True),
        ("uv.lock", '[tool.uv.sources]\nshared = [{path = "a", marker = "x"}]', True),
        ("uv.lock", '[tool.uv.sources]\nshared = {git = "https://example.org"}', False),
        ("poetry.lock", '[tool.poetry.dependencies]\nshared = {path = "libs"}', True),
        ("poetry.lock", '[tool.poetry.dependencies]\ndjango = "*"', False),
        ("pdm.lock", '[project]\ndependencies = ["shared @ file:///${PROJECT_ROOT}/libs"]', True),
    ],
)
def test_a_source_that_is_a_folder_gets_all_of_the_project(tmp_path, lock, text, is_local):
    files = {lock: "", "pyproject.toml": text}
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert found.needs_all is is_local


def test_the_settings_can_be_named(tmp_path):
    folder = strangers.split_settings(tmp_path)
    found = project.find(folder, settings="shop.settings.base")
    assert (found.settings, found.manage_settings) == ("shop.settings.base", "shop.settings.local")


def test_settings_that_are_not_there_are_said(tmp_path):
    folder = strangers.split_settings(tmp_path)
    with pytest.raises(WorkshopError, match=r"shop\.settings\.live are not in") as caught:
        project.find(folder, settings="shop.settings.live")
    likely = ("base", "production", "local")
    assert " or ".join(f"shop.settings.{name}" for name in likely) in caught.value.fix
    # Those of a package are not looked for.
    assert project.find(folder, settings="given.settings").settings == "given.settings"


def test_a_comment_names_no_settings(tmp_path):
    folder = strangers.startproject(tmp_path)
    wsgi = folder / "shop/wsgi.py"
    comment = '# os.environ["DJANGO_SETTINGS_MODULE"] = "wrong.settings"\n'
    wsgi.write_text(comment + wsgi.read_text())
    assert project.find(folder).settings == "shop.settings"


def test_a_dockerfile_of_its_own_names_the_settings_that_no_application_names(tmp_path):
    folder = strangers.split_settings(tmp_path)
    for kind in ("wsgi", "asgi"):
        (folder / f"shop/{kind}.py").write_text(
            f"from django.core.{kind} import get_{kind}_application\n\n"
            f"application = get_{kind}_application()\n"
        )
    strangers.write(folder, {
        "docker/dev.Dockerfile": "ENV DJANGO_SETTINGS_MODULE=shop.settings.local\n",
        "Dockerfile": "FROM x\nENV A=1 \\\n    DJANGO_SETTINGS_MODULE=container.settings\n",
        "docker/web.Dockerfile": "FROM x\nENV DJANGO_SETTINGS_MODULE shop.settings.production\n",
    })  # fmt: skip
    assert project.find(folder).settings == "shop.settings.production"


def test_the_image_names_the_settings_where_the_application_does_not(tmp_path):
    folder = strangers.startproject(tmp_path)
    assert "DJANGO_SETTINGS_MODULE=shop" not in write.dockerfile(decided(folder))
    (folder / "shop/wsgi.py").write_text(
        "from django.core import wsgi\n\napplication = wsgi.get_wsgi_application()\n"
    )
    assert "DJANGO_SETTINGS_MODULE=shop.settings" in write.dockerfile(decided(folder))


def test_settings_that_serve_nothing_are_refused(tmp_path):
    folder = strangers.split_settings(tmp_path)
    with pytest.raises(WorkshopError, match="ROOT_URLCONF") as caught:
        decided(folder, urls="")
    assert "--settings shop.settings.base or shop.settings.local." in caught.value.fix


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shop/asgi/__init__.py", "from django.core.asgi import get_asgi_application\n\n"
         "application = get_asgi_application()\n"),
        ("shop/asgi.py", "from channels.routing import get_default_application\n\n"
         "application = get_default_application()\n"),
        ("shop/asgi.py", "from shop.routing import application\n"),
    ],
)  # fmt: skip
def test_applications_that_are_made_in_other_ways(tmp_path, path, text):
    folder = strangers.startproject(tmp_path)
    (folder / "shop/asgi.py").unlink()
    found = project.find(strangers.write(folder, {path: text}))
    assert found.asgi == path
    assert project.module_of(found, found.asgi) == "shop.asgi"


def test_requirements_elsewhere_are_a_question(tmp_path):
    folder = strangers.startproject(tmp_path)
    strangers.write(folder, {
        "dependencies/requirements/web.txt": "django\n-r base.txt\n",
        "dependencies/requirements/base.txt": "pillow\n",
        "dependencies/requirements/dev.txt": "ipdb\n",
    })  # fmt: skip
    with pytest.raises(WorkshopError, match=r"requirements/base\.txt is there") as caught:
        project.find(folder)
    assert "dev.txt" not in caught.value.fix
    assert "--manager nothing" in caught.value.fix
    assert project.find(folder, manager="nothing").files == []
    found = project.find(folder, requirements="dependencies/requirements/web.txt")
    assert plan.locked(found) == {"django", "pillow"}
    with pytest.raises(WorkshopError, match="There is no none"):
        project.find(folder, requirements="none")


def test_poetry_without_its_lock_file_is_said(tmp_path):
    text = "[tool.poetry.dependencies]\ndjango = '*'\n"
    folder = strangers.write(strangers.startproject(tmp_path), {"pyproject.toml": text})
    with pytest.raises(WorkshopError, match="poetry.lock is not there"):
        project.find(folder)


def test_groups_of_a_pyproject(tmp_path):
    text = (
        "[project]\nname = 'shop'\n[project.optional-dependencies]\nmail = ['anymail']\n"
        "[dependency-groups]\nmain = ['django', {include-group = 'other'}]\nother = []\n"
    )
    folder = strangers.write(strangers.startproject(tmp_path), {"pyproject.toml": text})
    with pytest.raises(WorkshopError, match="in groups only") as caught:
        install.commands(project.find(folder), has_extras=False)
    assert "It has mail, main, other." in caught.value.fix
    found = project.find(folder, groups=["main", "mail"])
    lists = install._standard_lists(install.pyproject(found), found.groups)
    printed = eval(f"[{', '.join(lists)}]", {"told": install.pyproject(found)})
    assert printed == ["anymail", "django"]


def test_logs_in_files_are_printed_instead(tmp_path):
    made = decided(strangers.startproject(tmp_path), log_files=["/app/server.log"])
    assert made.parts == ["logging"]
    logging = {
        "version": 1,
        "handlers": {
            "mail": {"class": "django.utils.log.AdminEmailHandler"},
            "file": {"class": "logging.FileHandler", "filename": "server.log", "level": "INFO"},
        },
    }
    code = write.settings(made).replace("from shop.settings import *", "")
    exec(code.replace("from shop.settings import LOGGING", ""), {"LOGGING": logging})
    assert logging["handlers"] == {
        "mail": {"class": "django.utils.log.AdminEmailHandler"},
        "file": {"class": "logging.StreamHandler", "level": "INFO"},
    }


def test_another_database_than_the_one_that_was_seen_keeps_its_name(tmp_path):
    seen = {"engine": "django.db.backends.sqlite3", "name": "/app/db.sqlite3", "host": ""}
    made = decided(strangers.startproject(tmp_path), databases={"default": seen}, other={
        **FOLLOWS, "databases": {"default": {"host": ""}},
    })  # fmt: skip
    for name, wanted in (("/app/db.sqlite3", "/app/data/db.sqlite3"), ("shop", "shop")):
        told = {"default": {"NAME": name}}
        code = write.settings(made).replace("from shop.settings import *", "")
        exec(code.replace("from shop.settings import DATABASES", ""), {"DATABASES": told})
        assert told["default"]["NAME"] == wanted


def test_the_table_of_a_cache_is_made_where_there_is_one(tmp_path):
    folder = strangers.startproject(tmp_path)

    def migrate(**settings):
        files = {file.path: file.text for file in write.files(decided(folder, **settings))}
        return files["container/migrate.py"]

    assert "createcachetable" not in migrate()
    assert "createcachetable" in migrate(caches_in_database=True)


def test_a_release_that_does_more_is_told(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "Procfile").write_text(
        "release: python manage.py migrate && python manage.py roles\n"
    )
    (told,) = [note for note in decided(folder).notes if "release" in note]
    assert "`python manage.py roles`" in told


def test_settings_that_no_file_names_are_a_question_with_the_likely_answers(tmp_path):
    folder = strangers.startproject(tmp_path)
    for path in (folder / "manage.py", folder / "shop/wsgi.py", folder / "shop/asgi.py"):
        path.write_text(path.read_text().replace("DJANGO_SETTINGS_MODULE", "NONE"))
    strangers.write(folder, {"shop/migrations/0002_settings.py": "class Migration: ..."})
    with pytest.raises(WorkshopError, match=r"--settings shop\.settings\.$"):
        project.find(folder)

    text = (folder / "shop/settings.py").read_text()
    (folder / "shop/settings.py").unlink()
    own = "from .base import *\n"
    files = {"__init__": "", "base": text, "development": own, "production": own}
    strangers.write(folder, {f"shop/settings/{name}.py": text for name, text in files.items()})
    likely = r"shop\.settings\.base or shop\.settings\.production or shop\.settings\.development\.$"
    with pytest.raises(WorkshopError, match=likely):
        project.find(folder)


def test_a_pipfile_says_which_python(tmp_path):
    files = {"Pipfile": '[requires]\npython_version = "3.11"\n', "Pipfile.lock": "{}"}
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert found.python == "3.11"


def test_groups_and_extras_of_poetry_in_the_standard_words(tmp_path):
    text = (
        "[project.optional-dependencies]\nmail = []\n[dependency-groups]\nserver = []\n"
        "[tool.poetry.group.jobs.dependencies]\n"
    )
    strangers.write(strangers.startproject(tmp_path), {"poetry.lock": "", "pyproject.toml": text})
    found = project.find(tmp_path, groups=["mail", "jobs"])
    export = install.commands(found, has_extras=False)[1]
    assert "--only main,server,jobs --extras mail " in export


def test_a_file_that_is_no_python_of_this_version_is_told(monkeypatch, tmp_path):
    strangers.write(tmp_path, {"right.py": "x = 1\n", "page.html": "{{ name }} is\n"})
    monkeypatch.setattr(probe, "files", lambda: {str(p) for p in tmp_path.iterdir()})
    assert not probe.is_odd()
    strangers.write(tmp_path, {"template.py": "{{ name }} is\n"})
    assert probe.is_odd()


# What is decided


def test_what_is_locked_and_not_installed_does_not_count(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(
        settings={**NOTHING, "middleware": []}, other={**FOLLOWS, "databases": {}},
        packages={"django": "5.2"},
    )  # fmt: skip
    names = ["django", "gunicorn", "whitenoise", "psycopg2", "dj-database-url", "daphne"]
    made = plan.make(found, names, answers)
    wanted = {"gunicorn", "whitenoise", "psycopg[binary]", "dj-database-url"}
    assert wanted <= set(made.extras)
    assert made.context["kind"] == "wsgi"
    assert made.context["system"].build == ()


def test_what_is_added_leaves_the_projects_packages_as_they_are(monkeypatch):
    """pip's own words: without the constraints, dj-database-url brings a newer Django."""
    asked = []

    def run(image, command, **settings):
        asked.append(command)
        return types.SimpleNamespace(status=0, stdout='{"install": []}')

    monkeypatch.setattr(ask, "tag", lambda: "asking")
    monkeypatch.setattr(ask.containers, "run", run)
    assert ask.versions(["dj-database-url"], {"django": "3.2.25", "pytz": "2026.1"}) == {}
    ((_, _, script, _, kept, *extras),) = asked
    assert "--constraint /tmp/installed" in script
    assert kept == "django==3.2.25\npytz==2026.1"
    assert extras == ["dj-database-url"]


@pytest.mark.parametrize(
    ("django", "driver"), [("3.2.25", "psycopg2-binary"), ("4.2", "psycopg[binary]")]
)
def test_an_older_django_gets_the_driver_that_it_knows(tmp_path, django, driver):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(settings={**NOTHING, "django": django}, other={**FOLLOWS, "databases": {}})
    assert driver in plan.make(found, ["django"], answers).extras


def test_a_database_that_the_project_reads_from_the_variable_stays_its_own(tmp_path):
    sqlite = {"default": {"engine": "django.db.backends.sqlite3", "name": "/tmp/build.sqlite3"}}
    found = project.find(strangers.startproject(tmp_path))
    packages = {"django": "5.2", "gunicorn": "25.0", "psycopg": "3.2"}
    asked = Answers(
        {"DATABASE_URL": "sqlite:////tmp/build.sqlite3"}, {**NOTHING, "databases": sqlite},
        FOLLOWS, packages=packages,
    )  # fmt: skip
    assert plan.make(found, packages, asked).parts == []
    sqlite["default"]["name"] = "/app/db.sqlite3"
    optional = Answers({}, {**NOTHING, "databases": sqlite}, FOLLOWS, packages=packages)
    made = plan.make(found, packages, optional)
    assert made.parts == ["database"]
    assert "dj-database-url" not in made.extras
    text = write.settings(made)
    assert "dj_database_url" not in text
    assert _after(text, DATABASES=sqlite_of("/app/db.sqlite3"))["NAME"] == "/app/data/db.sqlite3"


def sqlite_of(name):
    return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name}}


def _after(text, env=None, told=None, **own):
    """The database after the overlay, with these settings of the project's own."""
    lines = [line for line in text.splitlines() if not line.startswith("from shop")]
    lines = [line.replace("import dj_database_url", "pass") for line in lines]

    class Url:
        @staticmethod
        def config():
            whole = dict.fromkeys(("NAME", "USER", "PASSWORD", "HOST", "PORT"), "")
            # What dj-database-url says unasked.
            if told is None:  # sqlite://:memory:
                return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            return {**whole, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, **told}

    class Os:
        environ = dict(env or {})

    space = {"dj_database_url": Url, "os": Os, **own}
    source = "\n".join(lines).replace("import os\n", "")
    exec(source, space)
    return space["DATABASES"]["default"]


@pytest.mark.parametrize(
    ("engine", "after"),
    [
        ("django.db.backends.mysql", "django.db.backends.postgresql"),
        ("django.contrib.gis.db.backends.postgis", "django.contrib.gis.db.backends.postgis"),
    ],
)
def test_what_the_project_says_of_its_database_besides_the_address_stays(tmp_path, engine, after):
    other = {**FOLLOWS, "databases": {"default": {"host": "db"}}}
    database = {"default": {"engine": engine, "name": "x", "host": "db"}}
    made = decided(strangers.startproject(tmp_path), other=other, databases=database)
    own = {"ENGINE": engine, "ATOMIC_REQUESTS": True, "OPTIONS": {"a": 1}}
    told = {"ENGINE": "django.db.backends.postgresql", "NAME": "y"}
    found = _after(
        write.settings(made), {"DATABASE_URL": "x"}, told, DATABASES={"default": own, "more": {}}
    )
    assert (found["ENGINE"], found["NAME"], found["ATOMIC_REQUESTS"]) == (after, "y", True)
    assert found["OPTIONS"] == ({"a": 1} if engine == after else {})


def test_an_empty_address_is_none(tmp_path):
    engine = "django.db.backends.postgresql"
    other = {**FOLLOWS, "databases": {"default": {"host": "db"}}}
    database = {"default": {"engine": engine, "name": "x", "host": "db"}}
    made = decided(strangers.startproject(tmp_path), other=other, databases=database)
    own = {"default": {"ENGINE": engine, "NAME": "x"}}
    # For an empty one dj-database-url has no answer at all.
    found = _after(write.settings(made), {"DATABASE_URL": ""}, {"none": 1}, DATABASES=own)
    assert found == own["default"]


def test_an_address_may_name_less_than_a_server(tmp_path):
    engine = "django.db.backends.postgresql"
    made = decided(
        strangers.startproject(tmp_path),
        other={**FOLLOWS, "databases": {"default": {"host": "db"}}},
        databases={"default": {"engine": engine, "name": "x", "host": "db"}},
    )
    own = {"default": {"ENGINE": engine, "HOST": "db"}}
    found = _after(write.settings(made), {"DATABASE_URL": "x"}, None, DATABASES=own)
    assert (found["ENGINE"], found["NAME"], found["HOST"]) == (
        "django.db.backends.sqlite3", ":memory:", ""
    )  # fmt: skip


def test_a_key_that_is_made_anew_is_told_so(tmp_path):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(
        settings=dict(NOTHING), other={**FOLLOWS, "secret_key": "x"}, is_random_key=True,
        packages={"gunicorn": "25.0"},
    )  # fmt: skip
    text = write.settings(plan.make(found, ["django"], answers))
    assert "a new one is made at each start" in text
    assert "project's files is used" not in text


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ({}, (60, True)),
        ({"CONN_MAX_AGE": 0}, (0, True)),
        ({"OPTIONS": {"pool": True}}, (None, None)),
    ],
)
def test_how_connections_are_kept_is_the_projects_choice(tmp_path, own, kept):
    other = {**FOLLOWS, "databases": {"default": {"host": "db"}}}
    made = decided(strangers.startproject(tmp_path), other=other)
    engine = "django.db.backends.postgresql"
    database = {"default": {"ENGINE": engine, **own}}
    told = {"ENGINE": engine, "HOST": "there"}
    found = _after(write.settings(made), {"DATABASE_URL": "x"}, told, DATABASES=database)
    assert (found.get("CONN_MAX_AGE"), found.get("CONN_HEALTH_CHECKS")) == kept
    assert found["HOST"] == "there"
    asgi = {**made.context, "kind": "asgi"}
    found = _after(
        write.settings(plan.Plan(**{**vars(made), "context": asgi})),
        {"DATABASE_URL": "x"}, told, DATABASES=database,
    )  # fmt: skip
    assert found.get("CONN_MAX_AGE") == own.get("CONN_MAX_AGE")


@pytest.mark.parametrize(
    ("hosts", "env", "after"),
    [
        (["example.com"], {}, ["example.com"]),
        ([], {}, ["localhost", "127.0.0.1"]),
        (["example.com"], {"ALLOWED_HOSTS": "a, b"}, ["a", "b"]),
    ],
)
def test_names_that_the_project_reads_from_a_variable_of_its_own_stay(tmp_path, hosts, env, after):
    made = decided(
        strangers.startproject(tmp_path), other={**FOLLOWS, "allowed_hosts": ["localhost"]},
        allowed_hosts=["localhost"], defined=["ALLOWED_HOSTS"],
    )  # fmt: skip
    assert made.parts == ["hosts"]
    text = write.settings(made)
    assert "import ALLOWED_HOSTS" in text
    source = "\n".join(line for line in text.splitlines() if "import" not in line)
    space = {"ALLOWED_HOSTS": hosts, "os": type("Os", (), {"environ": env})}
    exec(source, space)
    assert space["ALLOWED_HOSTS"] == after


@pytest.mark.parametrize(
    ("key", "variables", "is_added"),
    [
        ("k3$", {}, True),
        ("", {}, False),
        ("only-for-the-build", {"KEY": "only-for-the-build"}, False),
    ],
)
def test_a_key_in_the_files_of_any_form_is_noticed(tmp_path, key, variables, is_added):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(variables, {**NOTHING, "secret_key": key}, {**FOLLOWS, "secret_key": key})
    assert ("key" in plan.make(found, ["django"], answers).parts) is is_added


def test_gis_is_there_before_django_is_asked(tmp_path):
    files = {"shop/models.py": "from django.contrib.gis.db import models\n"}
    found = project.find(strangers.write(strangers.startproject(tmp_path), files))
    assert "libgdal36" in plan.make(found, ["django"]).context["system"].run


@pytest.mark.parametrize(
    ("django", "defined", "name"),
    [
        ("5.0.9", ["DEFAULT_FILE_STORAGE"], "STATICFILES_STORAGE = "),
        ("4.1", [], "STATICFILES_STORAGE = "),
        ("5.0.9", [], "STORAGES = "),
        ("5.1", ["DEFAULT_FILE_STORAGE"], "STORAGES = "),
    ],
)
def test_storages_are_named_as_the_project_names_them(tmp_path, django, defined, name):
    made = decided(strangers.startproject(tmp_path), middleware=[], django=django, defined=defined)
    text = write.settings(made)
    assert f"\n{name}" in text
    assert ("import STORAGES" in text) == (name == "STORAGES = ")


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["daphne"], "asgi"), (["uvicorn"], "asgi"), (["hypercorn"], "asgi"), ([], "wsgi")],
)
def test_packages_ask_for_asgi(tmp_path, names, kind):
    made = decided(strangers.startproject(tmp_path), names=("django", "gunicorn", *names))
    assert made.context["kind"] == kind
    assert any("served by ASGI" in note for note in made.notes) == (kind == "asgi")


def test_a_procfile_with_wsgi_stays_so(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "Procfile").write_text("web: gunicorn shop.wsgi\n")
    made = decided(folder, names=("django", "gunicorn", "uvicorn"))
    assert made.context["kind"] == "wsgi"


@pytest.mark.parametrize("version", ["19.9.0", "20.0.4"])
def test_a_gunicorn_that_takes_no_application_from_its_settings_is_said(tmp_path, version):
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(settings=dict(NOTHING), other=dict(FOLLOWS), packages={"gunicorn": version})
    with pytest.raises(WorkshopError, match=f"gunicorn {version}"):
        plan.make(found, ["django"], answers)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"shop/locale/de/LC_MESSAGES/django.po": ""}, "django.po is not compiled"),
        ({"theme/package.json": '{"scripts": {"build": "x"}}'}, "`build` of theme/package.json"),
        ({"theme/package.json": '{"scripts": {"build:prod": "x"}}'}, "`build:prod` of theme/"),
        ({"certs/ca.pem": ""}, "Left out of the image, as all keys and certificates: certs/ca.pem"),
        ({"gunicorn.conf.py": ""}, "gunicorn.conf.py is not read"),
    ],
)
def test_what_the_build_does_not_do_is_said(tmp_path, files, says):
    folder = strangers.write(strangers.startproject(tmp_path), files)
    assert any(says in note for note in decided(folder).notes)


def test_static_files_that_go_to_another_machine_need_a_command(tmp_path):
    made = decided(strangers.startproject(tmp_path), stores_here=False)
    assert any("collectstatic" in note for note in made.notes)


def test_a_developers_settings_are_said_where_a_servers_are_beside_them(tmp_path):
    folder = strangers.split_settings(tmp_path)
    found = project.find(folder, settings="shop.settings.local")
    assert project.server_settings(found) == "shop.settings.production"
    assert project.server_settings(project.find(folder)) == ""


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ('os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"', True),
        ("def go():\n    os.environ['DJANGO_SETTINGS_MODULE'] = \"shop.settings\"", True),
        ('# os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"', False),
        ('if DEBUG:\n    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"', False),
        ('found = os.environ["DJANGO_SETTINGS_MODULE"] == "shop.settings"', False),
    ],
)
def test_a_file_that_sets_the_settings_whatever_the_container_says_is_found(
    tmp_path, line, is_told
):
    folder = strangers.startproject(tmp_path)
    assert project.assigning(project.find(folder)) == []
    strangers.change(
        folder,
        "shop/wsgi.py",
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")',
        line,
    )
    found = project.find(folder, settings="shop.settings")
    assert project.assigning(found) == (["shop/wsgi.py"] if is_told else [])


@pytest.mark.parametrize(
    ("media", "is_writable"),
    [("/app/media/", True), ("/var/www/media", True), ("/media", True), ("/app", False),
     ("/", False), ("/usr/share/x", False)],
)  # fmt: skip
def test_uploads_may_lie_outside_of_the_project(tmp_path, media, is_writable):
    made = decided(strangers.startproject(tmp_path), media_root=media)
    assert (media.rstrip("/") in made.context["writable"]) == is_writable


@pytest.mark.parametrize(
    ("media", "dirs", "is_left_out", "is_writable", "why"),
    [
        ("/app/media", [], True, True, ""),
        (
            "/app/shop",
            [],
            False,
            False,
            "its code is there. So what is in it ships, and the process can't write",
        ),
        ("/app/static/images", ["static"], False, True, "STATICFILES_DIRS names that folder"),
        ("/app/given", [], False, True, "git tracks files there"),
        ("/app/empty", [], True, True, ""),
    ],
)
def test_uploads_among_files_of_the_project_leave_these_in_the_image(
    tmp_path, media, dirs, is_left_out, is_writable, why
):
    folder = strangers.startproject(tmp_path)
    strangers.write(folder, {"given/logo.png": "", "empty/.gitkeep": "", "media/mine.png": ""})
    for words in (["init"], ["add", "given", "empty"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    made = decided(folder, media_root=media, static_dirs=dirs)
    assert (media.removeprefix("/app/") in made.context["private"]) is is_left_out
    assert (media in made.context["writable"]) is is_writable
    told = [note for note in made.notes if "Uploads go to" in note]
    assert (why in told[0]) if why else (told == [])


def test_files_that_the_settings_make_are_made_by_each_container(tmp_path):
    folder = strangers.startproject(tmp_path)
    strangers.write(folder, {"given/logo.png": "", "hand/made.txt": "", ".gitignore": "data/\n"})
    (folder / "data").mkdir()
    for words in (["init"], ["add", "given"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    found = project.find(folder)

    def of(*made, **settings):
        settings = {**NOTHING, **settings}
        told = Answers(settings=settings, other=dict(FOLLOWS), packages={}, made=made)
        return plan.make(found, ["django", "gunicorn"], told)

    made = of("/app/data/.secret", "/app/data/logs/site.log", "/app/given/x", "/app/y")
    assert made.context["made_in"] == ["/app/data"]
    assert "/app/data" in made.context["writable"]
    assert "data" in made.context["private"]
    assert "    && rm -rf /app/data \\\n" in write.dockerfile(made)
    told = " ".join(made.notes)
    assert "files are made in /app/data. None ships" in told
    assert "files are made: /app/given/x, /app/y. They must not ship." in told
    assert of("/app/var/key").context["made_in"] == ["/app/var"]  # it is not there yet
    assert of("/app/hand/key").context["made_in"] == []  # nobody knows who made the other file
    # collectstatic writes there, and that ships.
    assert of("/app/data/.secret", static_root="/app/data/static").context["made_in"] == []


def test_what_was_collected_before_stays_outside_where_git_ignores_it(tmp_path):
    folder = strangers.startproject(tmp_path)
    strangers.write(folder, {"made/old.css": "", "kept/hand.css": "", ".gitignore": "made/*\n"})
    collects = {"has_static_app": True, "stores_here": True}

    def left_out(static):
        return decided(folder, static_root=static, **collects).context["private"]

    # Nobody knows who made it.
    assert left_out("/app/made") == left_out("/app/kept") == []
    subprocess.run(["git", "init"], cwd=folder, check=True, capture_output=True)
    assert left_out("/app/kept") == []
    subprocess.run(["git", "add", "kept"], cwd=folder, check=True, capture_output=True)
    assert left_out("/app/made") == ["made"]
    assert left_out("/app/kept") == []
    assert left_out("/srv/static") == []
    assert left_out("/app") == []
    (told,) = [
        note
        for note in decided(folder, static_root="/app/kept", **collects).notes
        if "collectstatic" in note
    ]
    assert "/app/kept, and git tracks files there" in told
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write("/*\n")  # as of a project that lies in somebody else's folder
    assert left_out("/app/made") == []


def test_a_folder_has_no_way_up_in_its_name():
    assert probe.folder("/app/shop/../static/") == "/app/static"
    assert probe.folder(None) == ""
    assert probe.static_dirs(["static", ("prefix", "/app/a/../b")]) == ["static", "/app/b"]


@pytest.mark.parametrize(
    ("package", "is_unhashed"),
    [
        ('name = "a"\nversion = "1"\n[package.source]\ntype = "git"', True),
        ('name = "a"\nversion = "1"\n[package.source]\ntype = "legacy"', False),
        ('name = "a"\nversion = "1"', False),
    ],
)
def test_what_has_no_hash_is_exported_without(tmp_path, package, is_unhashed):
    folder = strangers.startproject(tmp_path)
    (folder / "pyproject.toml").write_text("[tool.poetry]\n")
    (folder / "poetry.lock").write_text(f"[[package]]\n{package}\n")
    steps = install.commands(project.find(folder), has_extras=False)
    assert any("--without-hashes" in step for step in steps) == is_unhashed


def test_before_python_3_11_pip_reads_toml(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "pyproject.toml").write_text('[project]\ndependencies = ["django"]\n')
    old = install.commands(project.find(folder, python="3.10"), has_extras=False)
    assert any("pip._vendor.tomli" in step for step in old)


def test_a_member_of_a_workspace_that_others_depend_on_is_installed(tmp_path):
    folder = strangers.write(strangers.startproject(tmp_path), {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["lib"]\n'
        "[tool.uv.sources]\nlib = { workspace = true }\n",
        "lib/pyproject.toml": '[project]\nname = "lib"\n',
        "uv.lock": UV_LOCK,
    })  # fmt: skip
    found = project.find(folder)
    assert found.needs_all
    assert "--all-packages --no-install-project" in install.commands(found, False)[0]


def test_a_gunicorn_that_knows_no_asgi_is_said(tmp_path):
    folder = strangers.startproject(tmp_path)
    (folder / "shop" / "wsgi.py").unlink()
    settings = {**NOTHING, "wsgi": "", "asgi": "shop.asgi.application"}
    answers = Answers(settings=settings, other=FOLLOWS, packages={"gunicorn": "23.0.0"})
    with pytest.raises(WorkshopError, match=r"gunicorn 23.0.0, and ASGI takes 25"):
        plan.make(project.find(folder), ["django"], answers)
    for name, worker in plan.UVICORNS.items():
        answers.packages = {"gunicorn": "23.0.0", name: "1"}
        files = {f.path: f.text for f in write.files(plan.make(project.find(folder), [], answers))}
        assert f'worker_class = "{worker}"' in files["container/gunicorn.conf.py"]
        assert f"gunicorn.app.wsgiapp, {worker.rpartition('.')[0]}" in files["Dockerfile"]


def test_a_project_that_nothing_can_serve_is_said(tmp_path):
    folder = strangers.startproject(tmp_path)
    for name in ("wsgi.py", "asgi.py"):
        (folder / "shop" / name).unlink()
    with pytest.raises(WorkshopError, match=r"No wsgi.py and no asgi.py"):
        decided(folder, wsgi="")


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


@pytest.mark.parametrize("follows", [True, False])
def test_every_sqlite_file_among_the_code_moves(tmp_path, follows):
    engine = "django.db.backends.sqlite3"
    names = {
        "default": "x" if follows else "/app/db.sqlite3", "logs": "/app/logs/db.sqlite3",
        "kept": "/app/src/../data/kept.db", "memory": ":memory:",
    }  # fmt: skip
    databases = {
        alias: {"engine": engine, "name": name, "host": ""} for alias, name in names.items()
    }
    if follows:
        databases["default"]["engine"] = "postgresql"
    other = FOLLOWS if follows else {**FOLLOWS, "databases": {}}
    made = decided(strangers.startproject(tmp_path), databases=databases, other=other)
    assert made.parts == ["database"]
    assert made.context["writable"] == ["/app/data"]
    own = {alias: {"ENGINE": engine, "NAME": name} for alias, name in names.items()}
    _after(write.settings(made), DATABASES=own)
    assert {alias: database["NAME"] for alias, database in own.items()} == {
        "default": "x" if follows else "/app/data/db.sqlite3",
        "logs": "/app/data/logs-db.sqlite3",
        "kept": "/app/src/../data/kept.db",
        "memory": ":memory:",
    }
    assert any("migrate --database kept" in note for note in made.notes)


def test_a_database_among_the_code_makes_no_code_writable(tmp_path):
    database = {"default": {"engine": "django.db.backends.sqlite3", "name": "/app/db.sqlite3"}}
    found = project.find(strangers.startproject(tmp_path))
    answers = Answers(settings={**NOTHING, "databases": database}, other=FOLLOWS)
    made = plan.make(found, ["django"], answers, without=["database"])
    assert made.context["writable"] == ["/app/data"]
    assert any("/app/db.sqlite3 lies among the code" in note for note in made.notes)


def test_static_files_that_go_elsewhere_are_not_collected(tmp_path):
    made = decided(strangers.startproject(tmp_path), stores_here=False)
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


def test_a_dockerfile_of_the_projects_own_is_compared(tmp_path, capsys):
    folder = strangers.startproject(tmp_path)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    command.choose(write.files(decided(folder)), yes=True)
    said = capsys.readouterr().err
    assert "--- the project's own" in said
    assert "-FROM scratch" in said


def test_a_dockerfile_of_an_earlier_set_is_compared_and_not_kept(tmp_path):
    folder = strangers.startproject(tmp_path)
    made = decided(folder)
    write.write(made, write.files(made))
    assert {file.state for file in write.files(made)} == {"same"}
    again = write.files(decided(folder, media_root="/app/media"))
    assert {file.path: file.state for file in again}["Dockerfile"] == "differs"
    assert write.dockerfile(made).startswith(write.BEGINS)


def test_the_ignore_file_is_added_to(tmp_path):
    (tmp_path / ".dockerignore").write_text("node_modules\nmine\n**/.venv/\n")
    text = write.ignore_file(tmp_path)
    assert text.startswith("node_modules\nmine\n**/.venv/\n\n# ")
    added = text.split("# What")[1].splitlines()
    assert "**/.env" in added
    # Its own `node_modules` is the one at the top.
    assert "**/node_modules" in added
    assert "**/.venv" not in added
    (tmp_path / ".dockerignore").write_text(text)
    assert write.ignore_file(tmp_path) == text


def test_what_belongs_to_one_machine_is_left_out(tmp_path):
    folder = strangers.write(strangers.startproject(tmp_path), {"env311/pyvenv.cfg": ""})
    database = {"default": {"engine": "django.db.backends.sqlite3", "name": "/app/data/app.db"}}
    made = decided(folder, databases=database, media_root="/app/media")
    ignored = {file.path: file.text for file in write.files(made)}[".dockerignore"].splitlines()
    assert ignored[-3:] == ["env311", "media", "data/app.db"]
    assert len(ignored) == len(set(filter(None, ignored))) + ignored.count("")


@pytest.mark.parametrize("everything", ["*", "**", "/*"])
def test_an_ignore_file_that_allows_lets_the_set_in(tmp_path, everything):
    (tmp_path / ".dockerignore").write_text(f"{everything}\n!shop\n!manage.py\n")
    assert "\n!container\n" in write.ignore_file(tmp_path)


def test_what_is_written_has_the_ends_of_unix(tmp_path):
    folder = strangers.startproject(tmp_path)
    for path in folder.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    made = decided(folder)
    write.write(made, write.files(made))
    assert b"\r" not in (folder / "container" / "entrypoint.sh").read_bytes()
    assert "eol=lf" in (folder / "container" / ".gitattributes").read_text()


def test_a_database_that_hangs_holds_one_thread(tmp_path, monkeypatch):
    files = {
        file.path: file.text for file in write.files(decided(strangers.startproject(tmp_path)))
    }
    begun, let = threading.Event(), threading.Event()

    class Connection:
        vendor, alias = "postgresql", "default"

        def close(self):
            pass

        def ensure_connection(self):
            begun.set()
            assert let.wait(60)

        def is_usable(self):
            return True

    database = types.SimpleNamespace(
        DatabaseError=RuntimeError, connections=types.SimpleNamespace(all=lambda: [Connection()])
    )
    project_of = types.SimpleNamespace(application=None)
    for name, module in {"django": database, "django.db": database,
                         "shop": project_of, "shop.wsgi": project_of}.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    space = {}
    exec(files["container/wsgi.py"], space)
    answers = []

    def get(path):
        space["application"]({"PATH_INFO": path}, lambda status, _: answers.append(status))

    first = threading.Thread(target=get, args=["/readyz"])
    first.start()
    assert begun.wait(60)
    get("/readyz")
    get("/livez")
    assert answers == ["503 Service Unavailable", "200 OK"]
    let.set()
    first.join()
    get("/readyz")
    assert answers[2:] == ["200 OK", "200 OK"]


# What settings miss


def test_settings_that_wait_for_ever_are_given_up(monkeypatch, tmp_path):
    strangers.write(tmp_path, {"waits.py": "import threading\n\nthreading.Event().wait()\n"})
    monkeypatch.setattr(probe, "__file__", str(tmp_path / "waits.py"))
    monkeypatch.setattr(probe, "PATIENCE_S", 0.1)
    assert probe.ask({}) == (None, "no answer within 0.1 seconds")


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
        ("    HOSTS = os.environ.get('SHOP_HOSTS').split()\n            ^^^\n"
         "AttributeError: 'NoneType' object has no attribute 'split'", "SHOP_HOSTS"),
    ],
)  # fmt: skip
def test_the_variable_that_an_error_names(error, name):
    assert probe.missing(f"Traceback (most recent call last):\n{error}\n") == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:////tmp/build.sqlite3"),
        ("DJANGO_DB_ENGINE", "django.db.backends.sqlite3"),
        ("CELERY_BROKER_URL", "redis://localhost:6379/0"),
        ("EMAIL_PORT", "1"),
        ("DEBUG", "False"),
        ("SITE_URL", "http://localhost"),
        ("METRICITY_DB_URL", "sqlite:////tmp/build.sqlite3"),
        ("SENTRY_DSN", "http://build@localhost/1"),
        ("SECRET_KEY", "only-for-the-build"),
    ],
)
def test_a_value_that_does_no_harm(name, value):
    assert probe.value_for(name) == value


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("sqlite3.OperationalError: unable to open database file", "a folder for data"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/app/x'", "a folder for data"),
        ("ValueError: no", "Tried with: KEY."),
    ],
)
def test_settings_that_can_not_be_imported_get_advice(error, advice):
    assert advice in ask.not_imported("shop.settings", f"Traceback\n{error}\n", ["KEY"]).fix


def test_packages_that_can_not_be_installed_show_the_cause(tmp_path):
    log = """\
Collecting django~=5.2.0
  Downloading django-5.2.9-py3-none-any.whl (8.3 MB)
Collecting old==1.0 (from -r requirements.txt (line 3))
  Getting requirements to build wheel: finished with status 'error'
  error: subprocess-exited-with-error
  × Getting requirements to build wheel did not run successfully.
  │ exit code: 1
      ImportError: no 'convert_path'
      [end of output]
"""
    found = project.find(strangers.startproject(tmp_path))
    said = ask.not_installed(found, buildx.BuildFailed("no", "RUN pip", log))
    assert "because old==1.0 can't be built:\n" in said.what
    assert said.what.endswith("  │       ImportError: no 'convert_path'")
    assert "A newer version of old may do" in said.fix


def test_a_package_that_was_not_compiled_is_named_where_pip_says_which(tmp_path):
    log = "Collecting django\nerror: subprocess-exited-with-error\nFailed building wheel for lxml\n"
    found = project.find(strangers.startproject(tmp_path))
    said = ask.not_installed(found, buildx.BuildFailed("no", "RUN pip", log))
    assert "because lxml can't be built" in said.what


def test_a_version_of_python_that_the_project_excludes_is_refused(tmp_path):
    told = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.14"\n'
    told += 'dependencies = ["django"]\n'
    folder = strangers.write(strangers.startproject(tmp_path), {"pyproject.toml": told})
    assert project.find(folder, python="3.14").python == "3.14"
    with pytest.raises(WorkshopError, match=r"pyproject\.toml asks for Python >=3\.14, which"):
        project.find(folder, python="3.13")
    with pytest.raises(WorkshopError, match="There is no Python three"):
        project.find(folder, python="three")
    # pip does not read it when it installs requirements.
    (folder / "requirements.txt").write_text("django~=5.2.0\n")
    assert project.find(folder, python="3.13", manager="requirements").python == "3.13"


def test_groups_that_are_left_out_are_named_where_a_module_is_missing(tmp_path):
    told = (
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["django"]\n'
        "[project.optional-dependencies]\nmail = []\n"
        "[dependency-groups]\nexample = []\nserver = []\n"
    )
    folder = strangers.write(strangers.startproject(tmp_path), {"pyproject.toml": told})
    assert install.left_out(project.find(folder)) == ["mail", "example"]
    assert install.left_out(project.find(folder, groups=["example"])) == ["mail"]
    error = "ModuleNotFoundError: No module named 'faker'"
    assert "--group mail or example" in ask.not_imported("x", error, [], ["mail", "example"]).fix
    assert "--group" not in ask.not_imported("x", error, []).fix


def test_packages_that_nobody_has_are_no_failed_build_of_one(tmp_path):
    log = "Collecting django\nERROR: No matching distribution found for django==99\n"
    found = project.find(strangers.startproject(tmp_path))
    said = ask.not_installed(found, buildx.BuildFailed("no", "RUN pip", log))
    assert "can't be built" not in said.what
    assert said.what.endswith("  │ ERROR: No matching distribution found for django==99")


@pytest.mark.parametrize(
    ("files", "is_compiled"),
    [
        ({"WHEEL": "Root-Is-Purelib: true\nTag: py3-none-any\n"}, False),
        ({"WHEEL": "Tag: cp313-cp313-manylinux_2_28_x86_64\n"}, False),
        ({"WHEEL": "Tag: cp313-cp313-linux_x86_64\n"}, True),
        ({}, False),
    ],
)
def test_what_was_compiled_here_is_told_from_what_an_index_has(tmp_path, files, is_compiled):
    strangers.write(tmp_path, {"METADATA": "Name: x\n", **files})
    distribution = importlib.metadata.PathDistribution(tmp_path)
    assert probe.is_compiled_here(distribution) is is_compiled


MAIL = {"class": "django.utils.log.AdminEmailHandler"}
OUT = {"class": "logging.StreamHandler"}
DEBUG_ONLY = {"()": "django.utils.log.RequireDebugTrue"}


@pytest.mark.parametrize(
    ("told", "is_heard"),
    [
        ({}, False),
        ({"handlers": {"m": MAIL}, "root": {"handlers": ["m"]}}, False),
        ({"handlers": {"n": {"class": "logging.NullHandler"}}, "root": {"handlers": ["n"]}}, False),
        ({"handlers": {"o": OUT}, "root": {"handlers": ["o"]}}, True),
        ({"handlers": {"o": OUT}, "loggers": {"shop": {"handlers": ["o"]}}}, False),
        ({"handlers": {"o": OUT}, "loggers": {"django": {"handlers": ["o"]}}}, True),
        ({"handlers": {"o": OUT}, "root": {"handlers": ["o"]},
          "loggers": {"django": {"propagate": False}}}, False),
        ({"handlers": {"o": {**OUT, "filters": ["debug"]}}, "root": {"handlers": ["o"]}}, False),
        ({"handlers": {"o": {**OUT, "level": "CRITICAL"}}, "root": {"handlers": ["o"]}}, False),
    ],
)  # fmt: skip
def test_a_log_is_what_prints_the_errors_of_pages_without_debug(monkeypatch, told, is_heard):
    django = types.SimpleNamespace(
        AdminEmailHandler=type("AdminEmailHandler", (logging.Handler,), {}),
        RequireDebugTrue=type("RequireDebugTrue", (logging.Filter,), {}),
    )
    django.utils = django.log = django
    for name in ("django", "django.utils", "django.utils.log"):
        monkeypatch.setitem(sys.modules, name, django)
    # A tree of loggers that no other test has.
    root = logging.RootLogger("WARNING")
    manager = logging.Manager(root)
    for name, value in {"root": root, "_handlers": {}, "_handlerList": []}.items():
        monkeypatch.setattr(logging, name, value)
    monkeypatch.setattr(logging.Logger, "manager", manager)
    monkeypatch.setattr(logging.Logger, "root", root)
    filters = {"debug": DEBUG_ONLY} if "debug" in str(told) else {}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "filters": filters, **told}
    )
    assert probe.logs(manager.getLogger("django.request")) is is_heard


def test_logs_in_files_are_told_wherever_these_lie():
    names = ("/app/x.log", "/var/log/x.log", "/dev/stdout", "/tmp/x.log")
    told = {"handlers": {name: {"class": "x", "filename": name} for name in names}}
    assert probe.log_files(told) == ["/app/x.log", "/var/log/x.log"]


def test_to_ask_django_no_file_of_a_log_is_made(tmp_path):
    handler = {"class": "logging.FileHandler", "filename": tmp_path / "none" / "x.log"}
    told = probe.without_files({"version": 1, "handlers": {"file": handler}})
    assert told["handlers"] == {"file": {"class": "logging.StreamHandler", "level": "NOTSET"}}
    assert handler["class"] == "logging.FileHandler"
    assert probe.without_files(None) is None
    assert probe.without_files({}) == {}


def test_loggers_of_the_projects_own_stay_and_errors_are_printed(tmp_path):
    made = decided(strangers.startproject(tmp_path), logs=False, has_logging=True)
    assert made.parts == ["logging"]
    own = {"version": 1, "handlers": {"mail": MAIL},
           "loggers": {"shop": {"handlers": ["mail"]},
                       "django.request": {"handlers": ["mail"], "propagate": False}}}  # fmt: skip
    code = write.settings(made).replace("from shop.settings import *", "")
    space = {"LOGGING": own}
    exec(code.replace("from shop.settings import LOGGING", ""), space)
    after = space["LOGGING"]
    assert after["handlers"] == {"mail": MAIL, "container": OUT}
    assert after["loggers"] == {
        "shop": {"handlers": ["mail"]},
        "django.request": {"handlers": ["mail", "container"], "propagate": False, "level": "ERROR"},
    }


def test_pages_that_look_like_health_checks_are_named(tmp_path):
    def pattern(text, *below):
        made = types.SimpleNamespace(pattern=text)
        if below:
            made.url_patterns = below
        return made

    patterns = [
        pattern("healthz"), pattern(r"^health/?$"), pattern("already/"), pattern("livestream/"),
        pattern("api/", pattern("v1/ready/"), pattern("<int:n>/health")),
    ]  # fmt: skip
    found = [path for path in probe.paths(patterns) if probe.HEALTH.search(path)]
    assert found == ["/healthz", "/health/", "/api/v1/ready/"]
    answers = Answers(settings=NOTHING, other=FOLLOWS, health=found)
    made = plan.make(project.find(strangers.startproject(tmp_path)), ["django"], answers)
    assert any("/healthz" in note and "READYZ_PATH" in note for note in made.notes)


def test_a_storage_that_does_work_of_its_own_stays(tmp_path):
    strangers.startproject(tmp_path)
    own = write.settings(
        decided(tmp_path, middleware=[], storage="pipeline.storage.PipelineStorage")
    )
    assert "WhiteNoiseMiddleware" in own
    assert "STORAGES" not in own
    assert "STORAGES = " in write.settings(decided(tmp_path, middleware=[]))


def test_a_static_root_that_ends_in_a_slash_is_the_same_folder(tmp_path):
    made = decided(strangers.startproject(tmp_path), static_root="/app/static/")
    assert "! -path '/app/static/*'" in write.dockerfile(made)


def test_tasks_that_are_kept_in_the_database_are_scheduled_from_there(tmp_path):
    strangers.startproject(tmp_path)
    strangers.write(tmp_path, {"shop/celery.py": "from celery import Celery\napp = Celery()\n"})
    for more, said in ((), "--schedule /tmp/beat"), (("django-celery-beat",), "DatabaseScheduler"):
        made = decided(tmp_path, names=("django", "celery", *more))
        assert said in made.context["commands"]["beat"]


def test_gis_is_known_by_an_import_and_not_by_a_text(tmp_path):
    strangers.startproject(tmp_path)
    strangers.write(tmp_path, {"shop/tests.py": 'TEXT = "django.contrib.gis.gdal.Layer"\n'})
    assert not project.find(tmp_path).has_gis
    strangers.write(tmp_path, {"shop/models.py": "from django.contrib.gis.db import models\n"})
    assert project.find(tmp_path).has_gis


# Debian's packages


def test_what_python_packages_need_of_debian():
    system = packages.of(["psycopg", "psycopg-c", "weasyprint"])
    assert "libpq-dev" in system.build
    assert "libpq-dev" not in system.run
    assert {"libpq5", "libpango-1.0-0"} <= set(system.run)
    assert packages.of(["psycopg", "psycopg-binary"]).run == ()
    assert packages.of(["psycopg"]).run == ("libpq5",)
    assert "libgdal36" in packages.of([], ["django.contrib.gis"]).run


def test_what_a_build_was_linked_to_is_in_both_stages():
    system = packages.of(["pillow"], missed=("gcc", "libjpeg-dev"), loaded=["libjpeg62-turbo"])
    assert system.build == ("gcc", "libjpeg-dev")
    assert system.run == ("libjpeg62-turbo",)
    assert len(system.why_build) == len(system.why_run) == 1
    assert len(packages.of(["psycopg-c"], loaded=["libpq5"]).why_run) == 1


def test_what_a_failed_build_misses():
    assert "libpq-dev" in packages.missing("Error: pg_config executable not found.")
    lxml = "Please make sure the libxml2 and libxslt development packages are installed."
    assert "libxslt1-dev" in packages.missing(lxml)
    assert "gcc" in packages.missing("error: command 'gcc' failed: No such file or directory")
    assert packages.missing("No matching distribution found") == ()


def test_the_answer_as_json(tmp_path):
    from workshop.takehome import command

    told = command.as_json(decided(strangers.startproject(tmp_path)))
    assert json.loads(json.dumps(told)) == told
    assert (told["wsgi"], told["asgi"]) == (
        "shop.wsgi:application", "shop.asgi:application",
    )  # fmt: skip
    assert told["served"] == "wsgi"
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


def test_a_set_that_is_there_and_differs_is_written_beside_and_not_checked(
    tmp_path, monkeypatch, capsys
):
    from workshop.takehome import command

    folder = strangers.startproject(tmp_path)
    monkeypatch.setattr(command, "planned", lambda found, wishes: decided(folder))
    wishes = command.Wishes(yes=True, check=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "container").mkdir()
    (folder / "container" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(WorkshopError, match=r"Not checked, because container/Dockerfile.new"):
        command.take_home(folder, wishes, lambda image: None)
    assert (folder / "container" / "Dockerfile").read_text() == "FROM scratch\n"
    assert "AS builder" in (folder / "container" / "Dockerfile.new").read_text()
    assert "docker build -f container/Dockerfile -t" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--check", "--dry-run"], ["--report", "x.html"], ["--json"]],
)
def test_options_that_ask_for_what_is_not_done_are_refused(tmp_path, capsys, options):
    from workshop import cli

    assert cli.main(["take-home", str(strangers.startproject(tmp_path)), *options]) == 1
    said = capsys.readouterr().err
    assert options[0] in said
    assert not (tmp_path / "Dockerfile").exists()


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


def test_a_folder_that_may_be_written_is_not_every_one_that_begins_like_it():
    paths = ["/app/data", "/app/data/x", "/app/database.py"]
    assert proof.not_in(paths, ["/app/data"]) == ["/app/database.py"]


def test_a_page_is_what_the_servers_redirects_to_itself_lead_to():
    answers = {
        "/": (302, "https://localhost/en/?a=1"), "/en/?a=1": (200, ""),
        "/away": (301, "https://example.org/login"), "/round": (302, "/round"),
    }  # fmt: skip

    def get(address, headers, **_):
        assert headers == {"X-Forwarded-Proto": "https"}
        status, location = answers[address.removeprefix("http://127.0.0.1:1")]
        return types.SimpleNamespace(
            status_code=status, is_redirect=bool(location), headers={"Location": location}
        )

    site = types.SimpleNamespace(http=types.SimpleNamespace(get=get))
    server = types.SimpleNamespace(url="http://127.0.0.1:1", site=site)
    followed = [proof.followed(server, path) for path in ("/", "/away", "/round")]
    assert [(page.status_code, host) for page, host in followed] == [
        (200, ""), (301, "example.org"), (302, ""),
    ]  # fmt: skip


def test_what_a_developer_leaves_behind_is_found():
    from workshop.layers.unwanted import Finding

    found = [
        Finding("headers", "/usr/include"), Finding("compilers", "/usr/bin"),
        Finding("headers", "/opt/venv/include"), Finding("static libraries", "/usr/lib"),
        Finding("setuid and setgid", "/usr/bin/su"),
    ]  # fmt: skip
    assert [proof.is_for_building(f) for f in found] == [True, True, False, True, False]
    paths = [
        "app/web/node_modules/a/b.js", "app/web/node_modules/c.js", "app/env/pyvenv.cfg",
        "app/all.dump", "app/sql/view.sql", "opt/venv/pyvenv.cfg", "app/dump-1.sql",
    ]  # fmt: skip
    assert proof.left_by_a_developer(paths) == [
        "/app/web/node_modules", "/app/env", "/app/all.dump", "/app/dump-1.sql"
    ]  # fmt: skip


def test_each_step_is_said_once_however_long_it_waits_or_runs(capsys, monkeypatch):
    monkeypatch.setenv("WORKSHOP_PROGRESS", "1")
    steps = command.Steps()
    for line in (
        "waiting for 2 other builds on this engine  0 s",
        "waiting for 2 other builds on this engine  1 s",
        "[builder 2/4] RUN pip install uv",
        "[builder 2/4] RUN pip…  Collecting uv",
    ):
        steps.tell(line)
    assert capsys.readouterr().err.splitlines() == [
        "  waiting for 2 other builds on this engine",
        "  [builder 2/4] RUN pip install uv",
    ]
