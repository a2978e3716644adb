"""What the image of a project needs: decided from what lies there and what Django says."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import WorkshopError
from . import install, packages, probe
from .project import (
    Project,
    celery_module,
    holds_python,
    is_ignored,
    keys,
    likely_settings,
    module_of,
    server_settings,
    tracked,
    unbuilt,
    untranslated,
)

APP = PurePosixPath("/app")
GIS = "django.contrib.gis"
# The first one whose settings name the application.
GUNICORN_WITH_APPLICATION = (20, 1)
# The first one with a worker of its own for ASGI.
GUNICORN_ASGI = (25,)
# The workers for ASGI of older ones, and the package of each.
UVICORNS = {
    "uvicorn-worker": "uvicorn_worker.UvicornWorker",
    "uvicorn": "uvicorn.workers.UvicornWorker",
}
# The first one that knows psycopg 3.
DJANGO_PSYCOPG = (4, 2)
NODE_WITHOUT_COREPACK = 25
# What the overlay can add, each with the reason that is told.
PARTS = {
    "debug": "DEBUG is on unless a variable turns it off; a server needs it the other way round",
    "key": "SECRET_KEY is in the project's files, or another one in every process",
    "hosts": "ALLOWED_HOSTS is fixed in the project's files",
    "database": "no DATABASE_URL names its database",
    "static_root": "STATIC_ROOT is no folder in the image, so collectstatic has no place",
    "whitenoise": "nothing serves static files when DEBUG is off",
    "proxy": "it redirects to HTTPS and knows no proxy, so behind one it would do so for ever",
    "logging": "without DEBUG, Django prints no error by itself",
}
# What brings each part along.
BRINGS = {"whitenoise": ("whitenoise",), "database": ("dj-database-url",)}
# Storages of static files that WhiteNoise's may replace: they do no work of their own.
PLAIN_STORAGES = ("django.contrib.staticfiles.storage.", "whitenoise.storage.")
# Celery's beat needs a file, and the root may be read-only.
SCHEDULE = " --schedule /tmp/beat"
DRIVERS = {"psycopg", "psycopg2", "psycopg2-binary", "mysqlclient", "oracledb", "pymysql"}
# What a command of a Compose file may start: another program may be a developer's, or none.
PROGRAMS = ("python", "python3", "celery", "rq", "dramatiq", "huey_consumer", "huey_consumer.py")
_NAME = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)")


@dataclass
class Answers:
    """What Django said in a container of the project's packages; see probe.py.

    ``switch`` is the variable that turns DEBUG off, where DEBUG is on without it. ``libraries``
    are Debian's packages that what was compiled loads. ``is_odd`` is true where a file that ends in
    .py is no Python of this version, so that bytecode can't be made of every file. ``health`` are
    the paths of the project's own pages that look like health checks.
    """

    variables: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    is_random_key: bool = False
    switch: str = ""
    made: list[str] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    is_odd: bool = False
    health: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """All that the templates are told.

    ``parts`` are the overlay's, ``extras`` the packages that are added, ``notes`` lines for the
    reader, ``answered`` the variables without which the settings can't be imported.
    """

    project: Project
    context: dict[str, Any]
    parts: list[str]
    extras: list[str]
    notes: list[str]
    answered: dict[str, str]


def locked(project: Project) -> set[str]:
    """The names of the packages that the project's files pin or ask for, normalized."""
    found: set[str] = set()
    for file in project.files:
        path = project.folder / file
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.name in ("uv.lock", "poetry.lock", "pdm.lock"):
            found |= {
                package["name"] for package in install.read_toml(text, path).get("package", [])
            }
        elif path.name == "Pipfile.lock":
            found |= set(_json(text, path).get("default", {}))
        elif path.name == "pyproject.toml" and project.manager == "pyproject":
            told = install.read_toml(text, path).get("project", {}).get("dependencies", [])
            found |= {match[1] for line in told if (match := _NAME.match(line))}
        elif project.manager == "requirements":
            found |= {match[1] for line in text.splitlines() if (match := _NAME.match(line))}
            if "[c]" in text and "psycopg" in text:
                found.add("psycopg-c")
            if "[binary]" in text and "psycopg" in text:
                found.add("psycopg-binary")
    return {normal(name) for name in found}


def normal(name: str) -> str:
    """The name of a Python package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _json(text: str, path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise WorkshopError(
            f"{path} is no JSON: {error}.", "Correct it, then run this again."
        ) from None
    return told


def make(
    project: Project,
    names: Collection[str],
    answers: Answers | None = None,
    without: Collection[str] = (),
    more: Collection[str] = (),
    pins: Mapping[str, str] | None = None,
    is_strict: bool = True,
) -> Plan:
    """Decide. ``names`` are the project's packages, ``more`` of Debian's that a build missed.

    Without ``answers`` it is the plan of the first stage alone. ``pins`` are the versions of what
    is added. ``is_strict`` false: a style sheet names files that are not there, so no manifest.
    """
    settings = answers.settings if answers else {}
    other = answers.other if answers else {}
    parts = [part for part in _parts(project, settings, other, answers) if part not in without]
    # A lock file also names what is not installed, such as a developer's packages.
    given = answers.packages if answers else names
    follows = answers is not None and _follows(answers)
    extras = _extras(project, answers, parts, follows) if answers else []
    installed = {*given, *map(_bare, extras)}
    applications = [*settings.get("applications", ()), *([GIS] if project.has_gis else [])]
    system = packages.of(installed, applications, more, answers.libraries if answers else ())
    kind = (
        "asgi"
        if project.asgi and (not project.wsgi or _asks_for_asgi(project, answers))
        else "wsgi"
    )
    module, callable_ = _application(project, settings, kind)
    worker = _worker(kind, answers)
    if answers:
        _require_server(project, answers, worker, module)
    static = settings.get("static_root", "").rstrip("/")
    if "static_root" in parts or not static.startswith(f"{APP}/"):
        static = f"{APP}/staticfiles"
    moved = _moved(project, settings, parts)
    made_in = _made_in(project, answers)
    writable = _writable(project, settings, moved, made_in)
    settings_module = ""
    why = ""
    if parts:
        settings_module = "container.settings"
        why = "The project's own settings, and what they lack for a container."
    elif project.settings != project.manage_settings:
        settings_module = project.settings
        why = "Those of the server. manage.py would take a developer's, unless it is told."
    elif answers and project.settings != project.named.get(kind, project.settings):
        settings_module = project.settings
        why = f"The file that makes the {kind.upper()} application names none, or others."
    commands = _commands(project, given)
    engine = settings.get("databases", {}).get("default", {}).get("engine", "")
    if engine.endswith(".dummy"):
        engine = ""  # what Django has in the place of none
    pinned = pins or {}
    context = {
        "base": f"python:{project.python}-slim",
        "assets": _assets(project),
        "system": system,
        "manager": project.manager,
        "tool": install.TOOLS.get(project.manager, ""),
        "packages": sorted(installed),
        "mounts": install.mounts(project, bool(extras)),
        "install": install.commands(project, bool(extras)),
        "development": [],
        "settings_module": settings_module,
        "why_settings": why,
        "pythonpath": _pythonpath(project),
        "workdir": str(project.workdir),
        "kind": kind,
        "worker": worker,
        # The name of gunicorn's own stands for a module.
        "worker_module": {
            "gthread": "gunicorn.workers.gthread",
            "asgi": "gunicorn.workers.gasgi",
        }.get(worker, worker.rpartition(".")[0]),
        "module": module,
        "callable": callable_,
        "applications": {
            name: ":".join(made) if (made := _application(project, settings, name))[0] else None
            for name in ("wsgi", "asgi")
        },
        "variables": {n: _quoted(v) for n, v in (answers.variables if answers else {}).items()},
        "static": static,
        "collects": _collects(settings),
        "writable": writable,
        "made_in": list(map(str, made_in)),
        "title": _title(project),
        "settings": project.settings,
        "switch": answers.switch if answers and "debug" in parts else "",
        "parts": parts,
        "is_random_key": bool(answers and answers.is_random_key),
        "names": _names(parts, settings),
        "follows": follows,
        "has_hosts": "ALLOWED_HOSTS" in settings.get("defined", ()),
        "sqlite": moved.get("default", ("", ""))[1],
        "sqlite_seen": settings.get("databases", {}).get("default", {}).get("name", ""),
        "moved": {alias: names for alias, names in moved.items() if alias != "default"},
        "log_files": bool(settings.get("log_files")),
        "adds_to_logging": not settings.get("logs", True) and settings.get("has_logging", False),
        "caches_in_database": bool(settings.get("caches_in_database")),
        "engine": engine,
        # Django's own engines are named by the address; another one stays.
        "own_engine": "" if engine.startswith("django.db.backends.") else engine,
        "has_old_storage": _has_old_storage(settings),
        "own_storage": _has_own_storage(settings),
        "private": _private(project, settings, made_in),
        "has_storages": "STORAGES" in settings.get("defined", ()),
        "staticfiles": "whitenoise.storage.Compressed"
        + ("Manifest" if is_strict else "")
        + "StaticFilesStorage",
        "types": ["server", *commands],
        "commands": commands,
        "extras": [
            f"{name}=={pinned[_bare(name)]}" if _bare(name) in pinned else name for name in extras
        ],
        "odd_python": bool(answers and answers.is_odd),
    }
    answered = dict(answers.variables) if answers else {}
    notes = _notes(project, answers, parts, follows, made_in)
    if answers:
        notes += _warnings(project, answers, parts, kind, commands)
    if answers and "celery" in set(names) - set(answers.packages):
        notes.append("Celery is in a group that is not installed: --group NAME adds one.")
    return Plan(project, context, parts, extras, notes, answered)


def one_stage(made: Plan) -> str:
    """The Dockerfile that most people would write first, for the same packages."""
    context = made.context
    system = " ".join(["build-essential", *context["system"].build, *context["system"].run])
    tool = f"RUN pip install {context['tool']}\n" if context["tool"] else ""
    steps = " \\\n    && ".join(context["install"])
    return (
        f"FROM {context['base']}\nWORKDIR /app\nENV UV_PROJECT_ENVIRONMENT=/opt/venv\nCOPY . .\n"
        f"RUN apt-get update && apt-get install -y {system}\n{tool}RUN {steps}\n"
    )


def _bare(name: str) -> str:
    return name.split("[")[0]


def _parts(
    project: Project, settings: Mapping[str, Any], other: Mapping[str, Any],
    answers: Answers | None,
) -> list[str]:  # fmt: skip
    """What the project's settings lack."""
    if answers is None:
        return []
    found = []
    if settings["debug"] or answers.switch:
        found.append("debug")
    key = settings["secret_key"]
    is_in_the_files = key and key not in answers.variables.values()
    if other.get("secret_key") != "asked-by-the-workshop" and (
        answers.is_random_key or is_in_the_files
    ):
        found.append("key")
    if "probe.example" not in other.get("allowed_hosts", []) and settings["allowed_hosts"] != ["*"]:
        found.append("hosts")
    files = _sqlite_files(project, settings)
    # Where the variable has to be set, the database that was seen is its placeholder.
    if "DATABASE_URL" in answers.variables:
        files.pop("default", None)
    lies_in_code = any(map(_is_among_code, files.values()))
    if (not _follows(answers) or lies_in_code) and not settings["is_default"]:
        found.append("database")
    if _collects(settings):
        if not settings["static_root"].startswith(f"{APP}/"):
            found.append("static_root")
        if not any("whitenoise" in name.lower() for name in settings["middleware"]):
            found.append("whitenoise")
    if settings["redirects_for_ever"]:
        found.append("proxy")
    if not settings["logs"] or settings["log_files"]:
        found.append("logging")
    return [part for part in PARTS if part in found]


def _follows(answers: Answers) -> bool:
    """Whether the project's own settings read DATABASE_URL."""
    default = answers.other.get("databases", {}).get("default", {})
    return bool(default.get("host") == "probe.example")


def _sqlite_files(project: Project, settings: Mapping[str, Any]) -> dict[str, PurePosixPath]:
    """The file in the image of each database that is SQLite, by the database's alias."""
    found = {
        alias: _in_image(project, database["name"])
        for alias, database in settings.get("databases", {}).items()
        if "sqlite" in database["engine"]
        and database["name"]
        and not database["name"].startswith((":memory:", "file:"))
    }
    # A placeholder is no file of the project's.
    placeholder = PurePosixPath(probe.SQLITE.removeprefix("sqlite:///"))
    return {alias: file for alias, file in found.items() if file != placeholder}


def _in_image(project: Project, path: str) -> PurePosixPath:
    """A path that the settings name, without `..`; a relative one begins beside manage.py."""
    return PurePosixPath(posixpath.normpath(project.workdir / path))


def _is_among_code(file: PurePosixPath) -> bool:
    """True for an SQLite database that has no folder of its own."""
    return file.parent.name not in ("data", "db", "var")


def _moved(
    project: Project, settings: Mapping[str, Any], parts: Collection[str]
) -> dict[str, tuple[str, str]]:
    """By alias, the names of the SQLite files that the overlay moves: the one seen, the new one."""
    if "database" not in parts:
        return {}
    seen = settings["databases"]
    return {
        alias: (
            seen[alias]["name"],
            # Two of one name in two folders stay two.
            f"{APP}/data/{file.name if alias == 'default' else f'{alias}-{file.name}'}",
        )
        for alias, file in _sqlite_files(project, settings).items()
        if _is_among_code(file)
    }


def _extras(project: Project, answers: Answers, parts: Collection[str], follows: bool) -> list[str]:
    """The packages that are added: a server, and what the overlay's parts bring along."""
    names = answers.packages
    django = ["django"] if project.manager == "nothing" else []
    needing = [part for part in parts if part != "database" or not follows]
    wanted = ["gunicorn", *(name for part in needing for name in BRINGS.get(part, ()))]
    if "database" in needing and not DRIVERS & set(names):
        is_old = _release(answers.settings.get("django", "99")) < DJANGO_PSYCOPG
        wanted.append("psycopg2-binary" if is_old else "psycopg[binary]")
    return django + [name for name in dict.fromkeys(wanted) if _bare(name) not in names]


def _asks_for_asgi(project: Project, answers: Answers | None) -> str:
    """A package by which a project with both applications wants ASGI; empty if none."""
    given = answers.packages if answers else {}
    wanted = ["channels", "daphne"]
    # With one of these its own way of starting decides, and an older gunicorn can't do it.
    is_able = bool(_worker("asgi", answers))
    if is_able and "wsgi" not in project.procfile.get("web", ""):
        wanted += ["uvicorn", "uvicorn-worker", "hypercorn"]
    return next((name for name in wanted if name in given), "")


def _worker(kind: str, answers: Answers | None) -> str:
    """The class of gunicorn's workers; empty where no one for ASGI fits the project's gunicorn."""
    given = answers.packages if answers else {}
    if kind == "wsgi":
        return "gthread"
    if "gunicorn" not in given or _release(given["gunicorn"]) >= GUNICORN_ASGI:
        return "asgi"
    return next((worker for name, worker in UVICORNS.items() if name in given), "")


def _require_server(project: Project, answers: Answers, worker: str, module: str) -> None:
    """Raises WorkshopError where there is nothing to serve, or nobody who can."""
    if not answers.settings["urls"]:
        raise WorkshopError(
            f"The settings {project.settings} name no ROOT_URLCONF, so they serve nothing.",
            f"Name those of the server: --settings {likely_settings(project)}. Nothing was "
            "written.",
        )
    if not module:
        raise WorkshopError(
            "No wsgi.py and no asgi.py makes an application, and no setting names one.",
            "Write a wsgi.py as `django-admin startproject` does. Nothing was written.",
        )
    version = answers.packages.get("gunicorn", "")
    if version and _release(version) < GUNICORN_WITH_APPLICATION:
        raise WorkshopError(
            f"The project has gunicorn {version}, which reads no application from its settings.",
            "Let the project have a newer gunicorn, or none. Nothing was written.",
        )
    if not worker:
        raise WorkshopError(
            f"The project has gunicorn {version}, and ASGI takes {GUNICORN_ASGI[0]} or newer.",
            "Let the project have a newer gunicorn, or none, or uvicorn-worker. "
            "Nothing was written.",
        )


def _application(project: Project, settings: Mapping[str, Any], kind: str) -> tuple[str, str]:
    told = settings.get(kind, "")
    if told and "." in told:
        module, _, name = told.rpartition(".")
        return module, name
    path = project.wsgi if kind == "wsgi" else project.asgi
    if path:
        return module_of(project, path), "application"
    return "", "application"


def _writable(
    project: Project,
    settings: Mapping[str, Any],
    moved: Mapping[str, tuple[str, str]],
    made_in: Collection[PurePosixPath],
) -> list[str]:
    """The folders that the process may write to: for databases, uploads, and what it makes."""
    found = [*made_in, *(PurePosixPath(name).parent for _, name in moved.values())]
    for alias, file in _sqlite_files(project, settings).items():
        if alias not in moved and not _is_among_code(file):
            found.append(file.parent)
    media = _media(project, settings)
    if media and not (media.is_relative_to(APP) and holds_python(project, media.relative_to(APP))):
        found.append(media)
    found = _outermost(folder for folder in found if not _is_of_the_system(folder))
    return list(map(str, found)) or [f"{APP}/data"]


def _made_in(project: Project, answers: Answers | None) -> list[PurePosixPath]:
    """The folders in which the settings make files as they are imported, and nothing else is."""
    if answers is None:
        return []
    static = _collected(project, answers.settings)
    places = (PurePosixPath(path).parent.relative_to(APP) for path in answers.made)
    return _outermost(
        folder
        for place in places
        if (folder := APP / place) != APP
        and not (static and static.is_relative_to(folder))
        # All that is there is made: git ignores it, or it is not there yet.
        and (is_ignored(project, place) or not (project.folder / place).exists())
        and not _why_kept(project, folder, ())
    )


def _outermost(folders: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """The folders that lie in none of the others."""
    found = list(dict.fromkeys(folders))
    return [one for one in found if not any(other in one.parents for other in found)]


def _media(project: Project, settings: Mapping[str, Any]) -> PurePosixPath | None:
    """The folder of uploads in the image."""
    told = settings.get("media_root", "")
    return _in_image(project, told) if told else None


def _collected(project: Project, settings: Mapping[str, Any]) -> PurePosixPath | None:
    """The folder of static files in the image, where the project's settings name it."""
    if not _collects(settings):
        return None
    static = _in_image(project, settings.get("static_root") or "/")
    return static if static != APP and static.is_relative_to(APP) else None


def _why_kept(project: Project, folder: PurePosixPath, dirs: Collection[str]) -> str:
    """Why files of the project's own are in a folder that the site fills; empty if none are."""
    if not folder.is_relative_to(APP):
        return ""
    if holds_python(project, folder.relative_to(APP)):
        return "its code is there"
    if any(folder.is_relative_to(_in_image(project, named)) for named in dirs):
        return "STATICFILES_DIRS names that folder, too"
    return "git tracks files there" if tracked(project, folder.relative_to(APP)) else ""


def _is_of_the_system(folder: PurePosixPath) -> bool:
    """True for a folder that no upload goes to: the code itself, or what Debian has its own in."""
    own = ("usr", "etc", "bin", "sbin", "lib", "lib64", "proc", "sys", "dev", "boot", "run", "root")
    return folder in (APP, PurePosixPath("/")) or folder.parts[1] in own


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _collects(settings: Mapping[str, Any]) -> bool:
    """Whether the build collects static files: not where they go to another machine."""
    return bool(settings.get("has_static_app") and settings["stores_here"])


def _has_own_storage(settings: Mapping[str, Any]) -> bool:
    """Whether static files are stored by something that does more than Django's own classes."""
    return not settings.get("storage", "").startswith(PLAIN_STORAGES)


def _has_old_storage(settings: Mapping[str, Any]) -> bool:
    """Whether storages are named by the settings that Django had before STORAGES (4.2).

    Until 5.1 they are known, and then STORAGES must not stand beside them.
    """
    version = _release(settings.get("django", "99"))
    old = {"DEFAULT_FILE_STORAGE", "STATICFILES_STORAGE"} & set(settings.get("defined", ()))
    return version < (4, 2) or (version < (5, 1) and bool(old))


def _private(
    project: Project, settings: Mapping[str, Any], made_in: Collection[PurePosixPath]
) -> list[str]:
    """What whoever builds has among the code: uploads, databases, collected static files."""
    # The set's ignore file names those that end in .sqlite3.
    files = _sqlite_files(project, settings).values()
    found = [file for file in files if ".sqlite3" not in file.name]
    dirs = settings.get("static_dirs", ())
    media = _media(project, settings)
    if media and not _why_kept(project, media, dirs):
        found.insert(0, media)
    static = _collected(project, settings)
    if static and not _why_kept(project, static, dirs):
        # Where git is not told to ignore it, somebody may have put files there by hand.
        found += [static] if is_ignored(project, static.relative_to(APP)) else []
    found += made_in
    return [str(p.relative_to(APP)) for p in found if p.is_relative_to(APP) and p != APP]


def _names(parts: Collection[str], settings: Mapping[str, Any]) -> list[str]:
    found = []
    if "database" in parts:
        found.append("DATABASES")
    if "logging" in parts and (settings.get("log_files") or settings.get("has_logging")):
        found.append("LOGGING")
    if "hosts" in parts and "ALLOWED_HOSTS" in settings.get("defined", ()):
        found.append("ALLOWED_HOSTS")
    if "whitenoise" in parts:
        found.append("MIDDLEWARE")
        if "STORAGES" in settings.get("defined", ()) and not _has_own_storage(settings):
            found.append("STORAGES")
    return found


def _pythonpath(project: Project) -> str:
    """What Python has to be told, because it does not look there by itself."""
    wanted = []
    if project.manage.parent != PurePosixPath():
        wanted.append(str(APP))
    if project.source != project.manage.parent:
        wanted.append(str(APP / project.source))
    for place in (project.manage.parent / "src", PurePosixPath("src")):
        is_new = place != project.manage.parent
        if is_new and any((project.folder / place).glob("*/__init__.py")):
            wanted.append(str(APP / place))
    return ":".join(dict.fromkeys(wanted))


def _commands(project: Project, names: Collection[str]) -> dict[str, str]:
    """The process types besides the server, and the command of each."""
    found = {"migrate": "python -m container.migrate"}
    composed = {n: c for n, c in project.compose.items() if c.split()[0] in PROGRAMS}
    own = {**_plain(composed), **_of_procfile(project)}
    if "celery" in names and (module := celery_module(project)):
        found["worker"] = f"celery --app {module} worker --loglevel INFO"
        beat = f"celery --app {module} beat --loglevel INFO"
        in_database = " --scheduler django_celery_beat.schedulers:DatabaseScheduler"
        found["beat"] = beat + (in_database if "django-celery-beat" in names else SCHEDULE)
    for name, command in (
        ("django-rq", "rqworker"), ("huey", "run_huey"), ("django-q", "qcluster"),
        ("django-q2", "qcluster"), ("procrastinate", "procrastinate worker"),
    ):  # fmt: skip
        if name in names and "worker" not in found:
            found["worker"] = f"python manage.py {command}"
    return {**found, **own}


def _of_procfile(project: Project) -> dict[str, str]:
    """The process types of a Procfile. Their commands are meant for the project's own folder."""
    there = "" if project.workdir == APP else f"env --chdir={APP} "
    return {name: there + command for name, command in _plain(project.procfile).items()}


def _plain(commands: Mapping[str, str]) -> dict[str, str]:
    """The process types among commands, but for what a shell would have to read."""
    found = {}
    for name, command in commands.items():
        is_plain = (
            re.fullmatch(r"[\w./:=@, -]+", command)
            and re.fullmatch(r"[a-z][\w-]*", name)
            and "=" not in command.split()[0]
        )
        if is_plain and name not in ("web", "release", "migrate", "server", "live", "ready"):
            # Celery's beat would write its schedule among the code.
            is_beat = re.search(r"celery\b.*\bbeat\b", command)
            has_place = re.search(r"\s(?:-s|-S|--schedule|--scheduler)\b", command)
            found[name] = command + (SCHEDULE if is_beat and not has_place else "")
    return found


def _assets(project: Project) -> dict[str, Any]:
    found = project.assets
    if found is None:
        return {}
    corepack = "corepack enable"
    if int(re.findall(r"\d+", found.base)[0]) >= NODE_WITHOUT_COREPACK:
        corepack = f"npm install --global corepack && {corepack}"
    commands = {
        "npm": "npm ci" if found.lock else "npm install",
        "yarn": f"{corepack} && yarn install",
        "pnpm": f"{corepack} && pnpm install --frozen-lockfile",
    }
    return {
        "base": found.base,
        "manager": found.manager,
        "workdir": PurePosixPath("/app") / found.folder,
        "first": [str(found.folder / file) for file in found.first],
        "install": commands[found.manager],
        "script": found.script,
    }


def _title(project: Project) -> str:
    for file in project.files:
        if file.endswith("pyproject.toml"):
            told = install.pyproject(project)
            name = told.get("project", {}).get("name") or told.get("tool", {}).get(
                "poetry", {}
            ).get("name")
            if name:
                return str(name)
    return project.folder.resolve().name


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w./:@%+,-]+", value) else "'" + value.replace("'", "") + "'"


def _warnings(
    project: Project,
    answers: Answers,
    parts: Collection[str],
    kind: str,
    commands: Mapping[str, str],
) -> list[str]:
    """What the set does not do, or does in one of several ways."""
    settings = answers.settings
    found = _of_folders(project, settings, parts)
    if answers.health:
        found.append(
            f"These pages look like health checks: {', '.join(answers.health[:5])}. The set has "
            "/livez and /readyz; LIVEZ_PATH and READYZ_PATH name others."
        )
    if (project.folder / project.manage.parent / "gunicorn.conf.py").is_file():
        found.append("gunicorn.conf.py is not read. container/gunicorn.conf.py takes its place.")
    if kind == "asgi" and project.wsgi:
        found.append("It has both applications, and is served by ASGI, as its packages ask for.")
    if better := server_settings(project):
        found.append(f"{project.settings} looks like a developer's: --settings {better} is there.")
    if settings["has_static_app"] and not settings["stores_here"]:
        found.append(
            "Its static files go to another machine, so the build collects none: run "
            "`python manage.py collectstatic` in a container of each new version."
        )
    for path, script in unbuilt(project).items():
        found.append(
            f"The script `{script}` of {path} is not run. Run it before you build the image."
        )
    if files := untranslated(project):
        found.append(
            f"{files[0]} is not compiled, so its translations would be missing: run "
            "`python manage.py compilemessages` before you build the image."
        )
    release = project.procfile.get("release", "")
    if more := [part.strip() for part in re.split(r"&&|;", release) if " migrate" not in part]:
        found += [f"A release runs `{part}`, too. The set does not." for part in more if part]
    dropped = set(project.procfile) - set(commands) - {"web", "release"}
    if dropped:
        found.append(
            f"Not taken from the Procfile: {_listed(dropped)}, because a shell would have to read "
            "the line, or because the set has a command of this name."
        )
    if dropped := set(project.compose) - set(commands):
        found.append(f"Not taken from the Compose file: the commands of {_listed(dropped)}.")
    if others := set(commands) - {"migrate"}:
        found.append(f"Start {_listed(others)} with --no-healthcheck: no server is in there.")
    return found


def _of_folders(project: Project, settings: Mapping[str, Any], parts: Collection[str]) -> list[str]:
    """What to know of databases, uploads and keys that lie in the project's folder."""
    found = []
    files = _sqlite_files(project, settings)
    fixed = [str(file) for file in files.values() if _is_among_code(file)]
    if fixed and "database" not in parts:
        found.append(f"{', '.join(fixed)} lies among the code, which the process can't write.")
    if others := set(settings["databases"]) - {"default"}:
        found.append(
            f"`migrate` is for the database default. For {_listed(others)}: "
            f"`migrate --database {min(others)}`."
        )
    media = _media(project, settings)
    if media and (why := _why_kept(project, media, settings.get("static_dirs", ()))):
        found.append(
            f"Uploads go to {media}, and {why}. So what is in it ships"
            + (", and the process can't write there." if "code" in why else ".")
        )
    static = _collected(project, settings)
    if static and tracked(project, static.relative_to(APP)):
        found.append(
            f"collectstatic writes to {static}, and git tracks files there. Those ship, and what "
            "collectstatic writes again ships twice."
        )
    if left_out := keys(project):
        found.append(
            f"Left out of the image, as all keys and certificates: {', '.join(left_out[:3])}. "
            "Mount what the server needs."
        )
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _notes(
    project: Project,
    answers: Answers | None,
    parts: Collection[str],
    follows: bool,
    made_in: Collection[PurePosixPath],
) -> list[str]:
    if answers is None:
        return []
    found = [
        f"Django is managed by {project.manage}, with the settings {project.settings}.",
        f"Its packages are managed by {project.manager}"
        + (
            f": {', '.join(project.files)}." if project.files else ", so Django alone is installed."
        ),
        f"Python {project.python}, because of {project.python_from}.",
    ]
    reasons = dict(PARTS)
    if follows:
        reasons["database"] = "what it keeps in SQLite would lie among the code"
    if answers.settings["log_files"]:
        reasons["logging"] = "its logs would be files in the container, where nobody sees them"
    elif answers.settings.get("has_logging"):
        reasons["logging"] = "without DEBUG, no handler of its LOGGING prints the errors of pages"
    found += [f"Added to its settings: {part}, because {reasons[part]}." for part in parts]
    if answers.variables:
        listed = ", ".join(answers.variables)
        found.append(f"Its settings ask for {listed}. The build sets them to placeholders.")
    # The settings that are added turn files of logs off.
    logs = answers.settings["log_files"] if "logging" not in parts else ()
    if made_in:
        found.append(
            f"While its settings are imported, files are made in {_listed(map(str, made_in))}. "
            "None ships, and the process may make them there: mount a volume, so that they stay."
        )
    others = [path for path in answers.made if not {*PurePosixPath(path).parents} & {*made_in}]
    if made := [*others, *logs]:
        shown = ", ".join(made[:5])
        found.append(
            f"While its settings are imported, files are made: {shown}. They must not ship."
        )
    return found
