"""What lies in a project's folder: where it is managed from, who manages its packages.

Nothing is executed here. What only Django knows is asked in ask.py.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import WorkshopError

DEFAULT_PYTHON = "3.13"
# Folders that hold other people's files.
NOT_OURS = {
    ".git", ".hg", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "site-packages",
    "__pycache__", "build", "dist", "staticfiles", "container", ".workspaces",
}  # fmt: skip
LOCKS = {"uv.lock": "uv", "poetry.lock": "Poetry", "pdm.lock": "PDM", "Pipfile.lock": "Pipenv"}
# Requirements of a server before those of everything, and never a developer's.
REQUIREMENTS = (
    "requirements/production.txt", "requirements/prod.txt", "requirements/deploy.txt",
    "requirements/server.txt", "requirements-prod.txt", "requirements-production.txt",
    "requirements_prod.txt", "prod-requirements.txt", "requirements.txt",
    "requirements/requirements.txt", "requirements/base.txt", "requirements/common.txt",
    "requirements/main.txt",
)  # fmt: skip
# The newest Python, 3.N, that releases of Django know, each up to this one:
# https://docs.djangoproject.com/en/stable/faq/install/
DJANGO_KNOWS = (((3, 1), 9), ((4, 0), 10), ((4, 1), 11), ((5, 0), 12))
# In a requirements file, Pipfile.lock, and a lock file that is TOML.
_PINNED_DJANGO = re.compile(
    r"""(?:^django(?:\[[\w,-]+\])?\s*==\s*|"django":\s*\{[^}]*?"version":\s*"=="""
    r"""|^name = "django"\s+version = ")(\d+)\.(\d+)""",
    re.MULTILINE | re.IGNORECASE,
)
MANAGERS = (*LOCKS.values(), "requirements", "pyproject", "nothing")
_LOCKS_OF_NODE = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "package-lock.json": "npm"}
_NODE = "24"
# Where there are several, the one for production.
_BUILDS = ("build:production", "build:prod", "build")
# What installing reads besides package.json and the lock file.
_NODE_SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml")
# Scripts that installing runs.
_NODE_HOOKS = {"preinstall", "install", "postinstall", "prepublish", "prepare"}
_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")
# An import of it, or its name where an application or a database's engine is named.
_GIS = re.compile(
    r"""^\s*(?:from|import)\s+django\.contrib\.gis\b(?!\.geoip2)"""
    r"""|["']django\.contrib\.gis(?:\.db\.backends\.\w+)?["']""",
    re.MULTILINE,
)
_APPLICATION = re.compile(r"^\s*application\b|^from\b.*\bimport\b.*\bapplication\b", re.MULTILINE)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_SETTINGS_OF_IMAGE = re.compile(r"^\s*(?:ENV\s+)?DJANGO_SETTINGS_MODULE[ =]([\w.]+)", re.MULTILINE)
_STARTPROJECT = re.compile(r"startproject' using Django (\d+\.\d+)")
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", re.MULTILINE)
# A requirement that is a folder or a file of the project's.
_LOCAL = re.compile(
    r"^\s*(?:(?:-e|--editable)[\s=]+(?!\w+\+|\w+://)\S+"
    r"|\.{1,2}(?:/\S*)?(?:\[[^\]]*\])?|file:\S+|[\w.,\[\]-]+\s*@\s*file:\S+)"
    r"\s*(?:[;#].*)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Assets:
    """Files for browsers that a script of package.json builds, in ``folder``.

    ``first`` are the files that its packages are installed from; empty where installing runs a
    script that may need the whole project.
    """

    folder: PurePosixPath
    base: str
    manager: str
    lock: str
    first: tuple[str, ...]
    script: str = "build"


@dataclass
class Project:
    """What was found in ``folder``. Paths are relative to it, with / between their parts.

    ``manager`` is one of MANAGERS, ``files`` are those that its step reads, ``python`` is a
    version as 3.13 and ``python_from`` says where that stands. ``settings`` are the module that
    wsgi.py or asgi.py names, and the one that manage.py names. ``has_gis`` is true where a file
    names Django's GIS framework. ``groups`` are extras and groups of dependencies that somebody
    asked for. ``named`` are the settings that wsgi.py and asgi.py name, each empty if it does not.
    """

    folder: Path
    manage: PurePosixPath
    manager: str
    files: list[str]
    python: str
    python_from: str
    settings: str
    manage_settings: str
    wsgi: str
    asgi: str
    source: PurePosixPath
    django: str = ""
    procfile: dict[str, str] = field(default_factory=dict)
    assets: Assets | None = None
    needs_all: bool = False
    has_gis: bool = False
    groups: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)

    @property
    def workdir(self) -> PurePosixPath:
        """The folder of manage.py in the image."""
        return PurePosixPath("/app") / self.manage.parent


def find(
    folder: Path,
    manage: str = "",
    manager: str = "",
    python: str = "",
    groups: Collection[str] = (),
    settings: str = "",
    requirements: str = "",
) -> Project:
    """Look into a folder. The other arguments answer what can't be told from it.

    Raises WorkshopError where no Django project, or more than one answer, is found.
    """
    if not folder.is_dir():
        raise WorkshopError(f"There is no folder {folder}.", "Name the folder of your project.")
    managed = _manage(folder, manage)
    modules = list(_modules(folder, managed.parent))
    text = (folder / managed).read_text(encoding="utf-8", errors="replace")
    manage_settings = _named(text)
    wsgi, wsgi_settings = _application(folder, modules, "wsgi", manage_settings)
    asgi, asgi_settings = _application(folder, modules, "asgi", manage_settings)
    own = _settings_of_image(folder)
    settings = settings or wsgi_settings or asgi_settings or own or manage_settings
    if not settings:
        raise WorkshopError(
            f"Neither {managed} nor a wsgi.py or asgi.py names DJANGO_SETTINGS_MODULE, "
            f"so the project's settings are not known.",
            f"Name the module: --settings {_likely(modules, managed.parent)}.",
        )
    source = _source(folder, managed.parent, settings)
    if not _is_module(folder / source, settings):
        raise WorkshopError(
            f"The settings {settings} are not in the project's folder.",
            f"Name those that are: --settings {_likely(modules, source)}.",
        )
    found, files, needs_all = _manager(folder, managed.parent, manager, requirements)
    version, where = (python, "the command line") if python else _python(folder, managed.parent)
    if not python:
        version, where = _capped(folder, files, version, where)
    return Project(
        folder, managed, found, files, version, where, settings, manage_settings or settings,
        wsgi, asgi, source, _django(folder, modules),
        _procfile(folder), _assets(folder, managed.parent), needs_all,
        any(_GIS.search(_text(folder / path)) for path in modules), tuple(groups),
        {"wsgi": wsgi_settings, "asgi": asgi_settings},
    )  # fmt: skip


def likely_settings(project: Project) -> str:
    """Modules that look like settings of a server, as words of an advice."""
    found = _modules(project.folder, project.manage.parent)
    return _likely([path for path in found if path.name != "__init__.py"], project.source)


def _likely(modules: list[PurePosixPath], source: PurePosixPath) -> str:
    found = [
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for path in modules
        if path.is_relative_to(source) and re.search(r"settings|conf", str(path))
    ]
    return " or ".join(list(dict.fromkeys(found))[:4]) or "MODULE"


def _is_module(source: Path, name: str) -> bool:
    """Whether a module is below ``source``, or its first part is not: then it is a package's."""
    parts = name.split(".")
    first = source / parts[0]
    if not first.is_dir() and not first.with_suffix(".py").is_file():
        return True
    path = source.joinpath(*parts)
    # A package may make it as it is imported.
    return (
        path.is_dir() or path.with_suffix(".py").is_file() or not (first / "__init__.py").exists()
    )


def _manage(folder: Path, wanted: str) -> PurePosixPath:
    found = sorted(
        (path for path in _files(folder, "manage.py") if "django" in _text(folder / path).lower()),
        key=lambda path: (len(path.parts), path),
    )
    if wanted:
        if PurePosixPath(wanted) not in found:
            raise WorkshopError(f"{wanted} is no manage.py of a Django project.", _those(found))
        return PurePosixPath(wanted)
    if not found:
        raise WorkshopError(
            f"No manage.py of a Django project is in {folder} or below it.",
            "Name the folder that holds your project. Nothing was written.",
        )
    if len(found) > 1 and len(found[0].parts) == len(found[1].parts):
        raise WorkshopError(
            f"{len(found)} files manage.py are in {folder}: {', '.join(map(str, found))}.",
            "Say which one it is: --manage PATH.",
        )
    return found[0]


def _those(found: list[PurePosixPath]) -> str:
    return f"These are: {', '.join(map(str, found))}." if found else "There is none in the folder."


def _files(folder: Path, name: str) -> Iterator[PurePosixPath]:
    for path in folder.rglob(name):
        parts = path.relative_to(folder).parts
        if path.is_file() and not NOT_OURS & set(parts) and not any("{{" in p for p in parts):
            yield PurePosixPath(*parts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _named(text: str) -> str:
    """The settings that a Python file names, not in a comment; empty if none."""
    return _first(_SETTINGS, _COMMENT.sub("", text))


def _modules(folder: Path, root: PurePosixPath) -> Iterator[PurePosixPath]:
    """The project's own Python files, relative to the folder; those near manage.py first."""
    found = [path for path in _files(folder, "*.py") if path.is_relative_to(root)]
    yield from sorted(found, key=lambda path: (len(path.parts), path))


def _application(
    folder: Path, modules: list[PurePosixPath], kind: str, manage_settings: str
) -> tuple[str, str]:
    """The file that makes a WSGI or ASGI application, and the settings that it names.

    Of several the one that lies in the package of the settings.
    """
    names = (f"{kind}.py", f"{kind}/__init__.py")
    found = [
        path
        for path in modules
        if str(path).endswith(names) and _APPLICATION.search(_text(folder / path))
    ]
    package = manage_settings.split(".")[0]
    found.sort(key=lambda path: (package not in path.parts, len(path.parts), path))
    if not found:
        return "", ""
    return str(found[0]), _named(_text(folder / found[0]))


def _settings_of_image(folder: Path) -> str:
    """The settings that a Dockerfile of the project's own names, if it is not a developer's."""
    found = sorted(_files(folder, "*Dockerfile*"), key=lambda path: (len(path.parts), path))
    ours = [path for path in found if not re.search(r"dev|local|test", str(path), re.IGNORECASE)]
    named = (_first(_SETTINGS_OF_IMAGE, _text(folder / path)) for path in ours)
    return next(filter(None, named), "")


def _source(folder: Path, root: PurePosixPath, settings: str) -> PurePosixPath:
    """The folder from which the settings are imported: that of manage.py, or one beside it."""
    first = settings.split(".")[0]
    for place in (root, root / "src", PurePosixPath(), PurePosixPath("src")):
        if (folder / place / first).is_dir() or (folder / place / f"{first}.py").is_file():
            return place
    return root


def _django(folder: Path, modules: list[PurePosixPath]) -> str:
    """The Django that made the project, as its settings say; empty if they don't."""
    for path in modules:
        if "settings" in str(path) and (version := _first(_STARTPROJECT, _text(folder / path))):
            return version
    return ""


def _manager(
    folder: Path, root: PurePosixPath, wanted: str, requirements: str
) -> tuple[str, list[str], bool]:
    """Who manages the packages, the files that are read for it, and whether that is everything."""
    if requirements:
        if not (folder / requirements).is_file():
            raise WorkshopError(
                f"There is no {requirements} in {folder}.", "--requirements takes a path below it."
            )
        files, has_local = _included(folder, PurePosixPath(requirements))
        return "requirements", files, has_local
    places = list(dict.fromkeys([root, *root.parents]))
    locks = {
        LOCKS[name]: str(place / name)
        for place in reversed(places)
        for name in LOCKS
        if (folder / place / name).is_file()
    }
    if len(locks) > 1 and not wanted:
        raise WorkshopError(
            f"{len(locks)} lock files are there: {', '.join(sorted(locks.values()))}.",
            f"Say which one counts: --manager {'|'.join(locks)}.",
        )
    if locks and wanted in ("", *locks):
        name = wanted or next(iter(locks))
        lock = PurePosixPath(locks[name])
        beside = "Pipfile" if name == "Pipenv" else "pyproject.toml"
        files = [str(lock.parent / beside), str(lock)]
        if name == "uv":
            files += _members(folder, lock.parent)
        has_path = any(_has_path(folder / file) for file in files if file.endswith(".toml"))
        return name, files, has_path
    if wanted in ("", "requirements"):
        for place in places:
            for name in REQUIREMENTS:
                if (folder / place / name).is_file():
                    files, has_local = _included(folder, place / name)
                    return "requirements", files, has_local
    pyproject = next((p / "pyproject.toml" for p in places if _has_packages(folder / p)), None)
    if pyproject and wanted in ("", "pyproject"):
        return "pyproject", [str(pyproject)], False
    if wanted not in ("", "nothing"):
        raise WorkshopError(
            f"No file of {wanted} is in {folder}.", f"--manager takes {', '.join(MANAGERS)}."
        )
    if not wanted:
        _refuse_what_is_not_known(folder, places)
    return "nothing", [], False


def _refuse_what_is_not_known(folder: Path, places: list[PurePosixPath]) -> None:
    """Raises WorkshopError where packages are named in a way that may be meant, or not."""
    if any(_told(folder / p / "pyproject.toml").get("tool", {}).get("poetry") for p in places):
        raise WorkshopError(
            "pyproject.toml is Poetry's, and poetry.lock is not there.",
            "Make it with `poetry lock`, then come back. Nothing was written.",
        )
    found = [
        str(path)
        for path in sorted(_files(folder, "*.txt"), key=lambda path: (len(path.parts), path))
        if "requirements" in str(path) and not re.search(r"dev|test|docs|lint", str(path))
    ]
    if found:
        raise WorkshopError(
            f"{found[0]} is there, and nothing says that it holds what a server needs.",
            f"Say which file does: --requirements {' or '.join(found[:4])}. If none does, say "
            "--manager nothing.",
        )


def _has_path(pyproject: Path) -> bool:
    """Whether a dependency is a folder of the project's: uv's, Poetry's or PDM's.

    A member of uv's workspace is one, too.
    """
    told = _told(pyproject)
    tool, dependencies = told.get("tool", {}), told.get("project", {}).get("dependencies", [])
    poetry = tool.get("poetry", {})
    sources = [*tool.get("uv", {}).get("sources", {}).values()]
    for group in (poetry, *poetry.get("group", {}).values()):
        sources += group.get("dependencies", {}).values()
    flat = [one for source in sources for one in (source if isinstance(source, list) else [source])]
    return any(isinstance(one, dict) and {"path", "workspace"} & set(one) for one in flat) or any(
        re.search(r"@\s*file:", line) for line in dependencies
    )


def _told(file: Path) -> dict[str, Any]:
    """What a TOML file says; nothing if it is not there, or is none."""
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError:
        return {}


def _has_packages(place: Path) -> bool:
    """Whether a pyproject.toml names packages in a standard way."""
    told = _told(place / "pyproject.toml")
    return bool(told.get("project", {}).get("dependencies") or told.get("dependency-groups"))


def _members(folder: Path, root: PurePosixPath) -> list[str]:
    """The pyproject.toml files of a uv workspace, without that of its root."""
    told = _told(folder / root / "pyproject.toml")
    patterns = told.get("tool", {}).get("uv", {}).get("workspace", {}).get("members", [])
    return sorted(
        (path / "pyproject.toml").relative_to(folder).as_posix()
        for pattern in patterns
        for path in (folder / root).glob(pattern)
        if (path / "pyproject.toml").is_file()
    )


def _included(folder: Path, path: PurePosixPath) -> tuple[list[str], bool]:
    """A requirements file and those that it includes; and whether one installs the project."""
    found, waiting, has_local = [], [path], False
    while waiting:
        file = waiting.pop(0)
        if str(file) in found or not (folder / file).is_file():
            continue
        found.append(str(file))
        text = _text(folder / file)
        has_local |= bool(_LOCAL.search(text))
        waiting += [_normal(file.parent / name) for name in _INCLUDE.findall(text)]
    return found, has_local


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return PurePosixPath(*parts)


def _python(folder: Path, root: PurePosixPath) -> tuple[str, str]:
    """The version of Python, and the file that says so."""
    places = list(dict.fromkeys([root, *root.parents]))
    patterns = (
        (".python-version", r"^\s*(?:cpython-)?(3\.\d+)"),
        (".tool-versions", r"^python\s+(3\.\d+)"),
        ("runtime.txt", r"^python-(3\.\d+)"),
        ("Pipfile", r"^python_version\s*=\s*[\"'](3\.\d+)"),
    )
    of_image = (
        r"^FROM\s+(?:--\S+\s+)?(?:\S*/)?(?:uv:)?python:?(3\.\d+)|^ARG PYTHON_VERSION=(3\.\d+)"
    )
    for place in places:
        for name, pattern in patterns:
            text = _text(folder / place / name)
            if match := re.search(pattern, text, re.MULTILINE | re.IGNORECASE):
                return match[1], str(place / name)
    for file in sorted(_files(folder, "*Dockerfile*"), key=lambda path: (len(path.parts), path)):
        if match := re.search(of_image, _text(folder / file), re.MULTILINE | re.IGNORECASE):
            return match[1] or match[2], str(file)
    for place in places:
        if asked := _requires_python(folder / place):
            return _newest(asked), f"requires-python {asked!r} in {place / 'pyproject.toml'}"
    return DEFAULT_PYTHON, "nothing in the project, so the newest that the tutorial knows"


def _capped(folder: Path, files: list[str], version: str, where: str) -> tuple[str, str]:
    """The version, or the newest one that the pinned Django knows, if that is older."""
    pins = (re.search(_PINNED_DJANGO, _text(folder / file)) for file in files)
    pin = next((match for match in pins if match), None)
    if pin is None or "requires-python" not in where and "nothing" not in where:
        return version, where
    release = (int(pin[1]), int(pin[2]))
    newest = next((minor for until, minor in DJANGO_KNOWS if release <= until), 99)
    if newest < int(version.split(".")[1]):
        return f"3.{newest}", f"Django {pin[1]}.{pin[2]}, which knows no newer one"
    return version, where


def _requires_python(place: Path) -> str:
    told = _told(place / "pyproject.toml")
    poetry: dict[str, Any] = told.get("tool", {}).get("poetry", {}).get("dependencies", {})
    asked = told.get("project", {}).get("requires-python") or poetry.get("python") or ""
    return str(asked)


def _newest(asked: str) -> str:
    """The newest minor version, up to the tutorial's, that a specifier allows."""
    newest = int(DEFAULT_PYTHON.split(".")[1])
    for minor in range(newest, 7, -1):
        if all(_allows(part.strip(), minor) for part in re.split(r"[,\s]+(?=[<>=!~^])|,", asked)):
            return f"3.{minor}"
    first = re.search(r"3\.(\d+)", asked)
    return f"3.{first[1]}" if first else DEFAULT_PYTHON


def _allows(part: str, minor: int) -> bool:
    match = re.match(r"(\^|~=|~|>=|<=|==|!=|<|>|)\s*(\d+)(?:\.(\d+|\*))?(?:\.(\d+|\*))?", part)
    if not match:
        return True
    sign, major, second, third = match.groups()
    if second in (None, "*"):
        return sign not in ("<", "==") or int(major) > 3 or (sign == "==" and major == "3")
    wanted = int(second)
    if sign in ("^", ">="):
        return minor >= wanted if major == "3" else True
    if sign == "<":
        is_below = minor < wanted or (minor == wanted and third not in (None, "0", "*"))
        return is_below if major == "3" else True
    if sign == "<=":
        return minor <= wanted
    if sign == ">":
        return minor > wanted or third is not None
    if sign == "!=":
        return minor != wanted or third is not None
    if sign == "~=":
        return minor == wanted if third is not None else minor >= wanted
    return minor == wanted


def _procfile(folder: Path) -> dict[str, str]:
    lines = re.findall(r"^([\w-]+):\s*(.+)$", _text(folder / "Procfile"), re.MULTILINE)
    return dict(lines)


def _has_build(package: Path) -> bool:
    """Whether a package.json has a script that builds."""
    try:
        return "build" in json.loads(_text(package)).get("scripts", {})
    except (json.JSONDecodeError, AttributeError, TypeError):
        return False


def _assets(folder: Path, root: PurePosixPath) -> Assets | None:
    for place in dict.fromkeys([PurePosixPath(), root, PurePosixPath("frontend")]):
        there = folder / place
        # With a Dockerfile of its own it is another program.
        is_another = place not in (PurePosixPath(), root) and (there / "Dockerfile").is_file()
        if is_another or not _has_build(there / "package.json"):
            continue
        package = json.loads(_text(there / "package.json"))
        scripts = package["scripts"]
        lock = next((name for name in _LOCKS_OF_NODE if (there / name).is_file()), "")
        manager = _LOCKS_OF_NODE.get(lock, "npm")
        first = [name for name in ("package.json", lock, *_NODE_SETTINGS) if name]
        first = [name for name in first if (there / name).is_file()]
        # What one of these starts may need any file of the project.
        has_patches = (there / ".yarn").is_dir() or (there / "patches").is_dir()
        # Those of a workspace are installed with the package.json of each member.
        is_workspace = "workspaces" in package or "packages:" in _text(
            there / "pnpm-workspace.yaml"
        )
        if _NODE_HOOKS & set(scripts) or has_patches or is_workspace:
            first = []
        told = _text(there / ".nvmrc") or _text(there / ".node-version")
        version = re.match(r"v?(\d+)", told.strip())
        base = f"node:{version[1] if version else _NODE}-slim"
        script = next(name for name in _BUILDS if name in scripts)
        return Assets(place, base, manager, lock, tuple(first), script)
    return None


def assigning(project: Project) -> list[str]:
    """The files that set DJANGO_SETTINGS_MODULE, whatever the environment says."""
    names = ("manage.py", "wsgi.py", "asgi.py", "celery.py")
    paths = _modules(project.folder, project.manage.parent)
    return [
        str(path) for path in paths if path.name in names and _assigns(_text(project.folder / path))
    ]


def _assigns(text: str) -> bool:
    """True where os.environ["DJANGO_SETTINGS_MODULE"] gets a value under no condition."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    lines = [*tree.body, *(line for function in functions for line in function.body)]
    targets = [t for line in lines if isinstance(line, ast.Assign) for t in line.targets]
    return any(
        isinstance(target, ast.Subscript)
        and ast.unparse(target.value).endswith("environ")
        and getattr(target.slice, "value", "") == "DJANGO_SETTINGS_MODULE"
        for target in targets
    )


def untranslated(project: Project) -> list[str]:
    """Sources of translations with nothing compiled beside them."""
    found = [p for p in _files(project.folder, "django*.po") if p.parent.name == "LC_MESSAGES"]
    return sorted(str(p) for p in found if not (project.folder / p.with_suffix(".mo")).is_file())


def unbuilt(project: Project) -> list[str]:
    """Each package.json whose script `build` no stage runs."""
    own = project.assets.folder if project.assets else None
    # The packages of a workspace are built by its own script.
    is_workspace = own is not None and (
        '"workspaces"' in _text(project.folder / own / "package.json")
        or (project.folder / own / "pnpm-workspace.yaml").is_file()
    )
    return sorted(
        str(path)
        for path in _files(project.folder, "package.json")
        if path.parent != own
        and not (own is not None and is_workspace and path.is_relative_to(own))
        and _has_build(project.folder / path)
    )


def server_settings(project: Project) -> str:
    """A server's settings beside those of a developer that the project names; empty if none."""
    place, _, last = project.settings.rpartition(".")
    folder = project.folder / project.source / place.replace(".", "/")
    if last not in ("dev", "develop", "development", "local") or not place:
        return ""
    names = (n for n in ("production", "prod", "deploy") if (folder / f"{n}.py").is_file())
    return next((f"{place}.{name}" for name in names), "")


def celery_module(project: Project) -> str:
    """The module in which the project makes its Celery application; empty without one."""
    modules = list(_modules(project.folder, project.manage.parent))
    # The one that Django's tasks are found by, where there are several.
    modules.sort(key=lambda path: not path.name.startswith("celery"))
    for path in modules:
        text = _text(project.folder / path)
        if "Celery(" not in text:
            continue
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        if any(getattr(n.func, "id", getattr(n.func, "attr", "")) == "Celery" for n in calls):
            return module_of(project, str(path))
    return ""


def module_of(project: Project, path: str) -> str:
    """The dotted name under which a file of the project is imported."""
    file = PurePosixPath(path)
    for root in (project.source, project.manage.parent):
        if file.is_relative_to(root):
            file = file.relative_to(root)
            break
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")
