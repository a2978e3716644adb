"""What lies in a project's folder: where it is managed from, its settings and applications.

Nothing is executed here. What only Django knows is asked in ask.py.
"""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from ..errors import WorkshopError
from .assets import Assets, assets_of, build_script
from .manager import manager_of
from .python import python_of, require_allowed
from .tree import files_named, text_of

_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")
# An import of it, or its name where an application or a database's engine is named.
_GIS = re.compile(
    r"""^\s*(?:from|import)\s+django\.contrib\.gis\b(?!\.geoip2)"""
    r"""|["']django\.contrib\.gis(?:\.db\.backends\.\w+)?["']""",
    re.MULTILINE,
)
_APPLICATION = re.compile(r"^\s*application\b|^from\b.*\bimport\b.*\bapplication\b", re.MULTILINE)
_LIKE_SETTINGS = re.compile(r"^\s*INSTALLED_APPS\b|^from \S+ import \*", re.MULTILINE)
_OF_A_DEVELOPER = re.compile(r"dev|local|test|ci$")
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
# Not those that take-home wrote.
_SETTINGS_OF_IMAGE = re.compile(
    r"^\s*(?:ENV\s+)?DJANGO_SETTINGS_MODULE[ =](?!container\.)([\w.]+)", re.MULTILINE
)
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
# What is a server, or migrates: the set has its own of these.
_SERVES = re.compile(r"\b(?:runserver|gunicorn|uvicorn|daphne|hypercorn|migrate)\b")
_STARTPROJECT = re.compile(r"startproject' using Django (\d+\.\d+)")


@dataclass
class Project:
    """What was found in ``folder``. Paths are relative to it, with / between their parts.

    ``manager`` is one of manager.MANAGERS, ``files`` are those that its step reads, ``python`` is a
    version as 3.13 and ``python_from`` says where that stands. ``settings`` are the module that
    wsgi.py or asgi.py names, and the one that manage.py names. ``has_gis`` is true where a file
    names Django's GIS framework. ``groups`` are extras and groups of dependencies that somebody
    asked for. ``named`` are the settings that wsgi.py and asgi.py name, each empty if it does not.
    ``procfile`` and ``compose`` are commands by name, of a Procfile and of the services that a
    Compose file builds.
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
    compose: dict[str, str] = field(default_factory=dict)

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
    modules = _modules(folder, managed.parent)
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
            f"Name the module: --settings {_likely(folder, modules, managed.parent)}.",
        )
    source = _source(folder, managed.parent, settings)
    _require_name(folder, {PurePosixPath(), managed.parent, source})
    if not _is_module(folder / source, settings):
        raise WorkshopError(
            f"The settings {settings} are not in the project's folder.",
            f"Name those that are: --settings {_likely(folder, modules, source)}.",
        )
    found, files, needs_all = manager_of(folder, managed.parent, manager, requirements)
    version, where = python, "the command line"
    if not python:
        version, where = python_of(folder, managed.parent, files)
    elif not re.fullmatch(r"3\.\d+", python):
        raise WorkshopError(f"There is no Python {python}.", "Name one as --python 3.13.")
    elif found in ("uv", "Poetry", "PDM", "pyproject"):  # the others don't read pyproject.toml
        require_allowed(folder, managed.parent, python)
    return Project(
        folder, managed, found, files, version, where, settings, manage_settings or settings,
        wsgi, asgi, source, _django(folder, modules),
        _procfile(folder), assets_of(folder, managed.parent), needs_all,
        any(_GIS.search(text_of(folder / path)) for path in modules), tuple(groups),
        {"wsgi": wsgi_settings, "asgi": asgi_settings}, _compose(folder),
    )  # fmt: skip


def likely_settings(project: Project) -> str:
    """Modules that look like other settings than the project's, as words of an advice."""
    modules = _modules(project.folder, project.manage.parent)
    return _likely(project.folder, modules, project.source, project.settings)


def _likely(
    folder: Path, modules: list[PurePosixPath], source: PurePosixPath, refused: str = ""
) -> str:
    """Those that name applications, or take all that another one says; a developer's last."""
    found = [
        path
        for path in modules
        if path.is_relative_to(source)
        and re.search(r"settings|conf", str(path))
        and "." not in path.stem
        and _LIKE_SETTINGS.search(text_of(folder / path))
    ]
    found.sort(key=lambda path: _OF_A_DEVELOPER.search(path.stem) is not None)
    names = dict.fromkeys(
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for path in found
    )
    names.pop(refused, None)
    return " or ".join(list(names)[:4]) or "MODULE"


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
    found = [
        path
        for path in files_named(folder, "manage.py")
        if "django" in text_of(folder / path).lower()
    ]
    if wanted:
        if PurePosixPath(wanted) not in found:
            raise WorkshopError(f"{wanted} is no manage.py of a Django project.", _those(found))
        return PurePosixPath(wanted)
    if not found:
        raise WorkshopError(
            f"No manage.py of a Django project is in {folder} or below it.",
            "Name the folder that holds your project. Nothing was written.",
        )
    # The one at the top is the project's. Below it, a shorter path says nothing.
    if len(found) > 1 and len(found[0].parts) > 1:
        raise WorkshopError(
            f"{len(found)} files manage.py are in {folder}: {', '.join(map(str, found))}.",
            "Say which one it is: --manage PATH.",
        )
    return found[0]


def _require_name(folder: Path, places: Collection[PurePosixPath]) -> None:
    """Raises WorkshopError where another module than the set's folder is named `container`."""
    for place in places:
        names = ["container.py", *(["container/__init__.py"] if place.parts else [])]
        for name in names:
            if (folder / place / name).is_file():
                raise WorkshopError(
                    f"Python would import {place / name} in the place of the folder container/, "
                    "which the set is written to.",
                    "Give it another name. Nothing was written.",
                )


def _those(found: list[PurePosixPath]) -> str:
    return f"These are: {', '.join(map(str, found))}." if found else "There is none in the folder."


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _named(text: str) -> str:
    """The settings that a Python file names, not in a comment; empty if none."""
    return _first(_SETTINGS, _COMMENT.sub("", text))


def _modules(folder: Path, root: PurePosixPath) -> list[PurePosixPath]:
    """The project's own Python files below the folder of manage.py."""
    return [path for path in files_named(folder, "*.py") if path.is_relative_to(root)]


def _application(
    folder: Path, modules: list[PurePosixPath], kind: str, manage_settings: str
) -> tuple[str, str]:
    """The file that makes a WSGI or ASGI application, and the settings that it names.

    Of several the one that lies in the package of the settings.
    """
    found = [
        path
        for path in modules
        if (path.name == f"{kind}.py" or path.parts[-2:] == (kind, "__init__.py"))
        and _APPLICATION.search(text_of(folder / path))
    ]
    package = manage_settings.split(".")[0]
    found.sort(key=lambda path: (package not in path.parts, len(path.parts), path))
    if not found:
        return "", ""
    return str(found[0]), _named(text_of(folder / found[0]))


def _settings_of_image(folder: Path) -> str:
    """The settings that a Dockerfile of the project's own names, if it is not a developer's."""
    found = files_named(folder, "*Dockerfile*")
    ours = [path for path in found if not re.search(r"dev|local|test", str(path), re.IGNORECASE)]
    named = (_first(_SETTINGS_OF_IMAGE, text_of(folder / path)) for path in ours)
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
        if "settings" in str(path) and (version := _first(_STARTPROJECT, text_of(folder / path))):
            return version
    return ""


def _procfile(folder: Path) -> dict[str, str]:
    lines = re.findall(r"^([\w-]+):\s*(.+)$", text_of(folder / "Procfile"), re.MULTILINE)
    return dict(lines)


def _compose(folder: Path) -> dict[str, str]:
    """The commands of the services that a Compose file builds, but for servers and migrations."""
    file = next((folder / name for name in _COMPOSE if (folder / name).is_file()), None)
    try:
        told = yaml.safe_load(text_of(file)) if file else {}
        services = [(n, s) for n, s in told.get("services", {}).items() if isinstance(s, dict)]
    except (yaml.YAMLError, AttributeError):
        return {}
    built = {service.get("image") for _, service in services if "build" in service} - {None}
    found = {}
    for name, service in services:
        command = service.get("command") or ""
        command = command if isinstance(command, str) else " ".join(map(str, command))
        command = " ".join(command.split())
        is_own = "build" in service or service.get("image") in built
        # One word is what an entrypoint knows.
        if is_own and " " in command and not _SERVES.search(command):
            found[name] = command
    return found


def assigning(project: Project) -> list[str]:
    """The files that set DJANGO_SETTINGS_MODULE, whatever the environment says."""
    names = ("manage.py", "wsgi.py", "asgi.py", "celery.py")
    paths = _modules(project.folder, project.manage.parent)
    return [
        str(path)
        for path in paths
        if path.name in names and _assigns(text_of(project.folder / path))
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
    found = [p for p in files_named(project.folder, "django*.po") if p.parent.name == "LC_MESSAGES"]
    return sorted(str(p) for p in found if not (project.folder / p.with_suffix(".mo")).is_file())


def unbuilt(project: Project) -> dict[str, str]:
    """The script that builds, of each package.json that no stage runs, by its path."""
    own = project.assets.folder if project.assets else None
    # The packages of a workspace are built by its own script.
    is_workspace = own is not None and (
        '"workspaces"' in text_of(project.folder / own / "package.json")
        or (project.folder / own / "pnpm-workspace.yaml").is_file()
    )
    found = {
        str(path): build_script(project.folder / path)
        for path in sorted(files_named(project.folder, "package.json"))
        if path.parent != own
        and not (own is not None and is_workspace and path.is_relative_to(own))
    }
    return {path: script for path, script in found.items() if script}


def holds_python(project: Project, folder: PurePosixPath) -> bool:
    """Whether code lies in a folder of the project."""
    return any(path.is_relative_to(folder) for path in files_named(project.folder, "*.py"))


def tracked(project: Project, folder: PurePosixPath) -> list[str]:
    """The files in a folder of the project that git tracks, but for those that only keep it."""
    words = ["git", "-C", str(project.folder), "ls-files", "--", str(folder)]
    with contextlib.suppress(OSError):
        found = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
        return [path for path in found if not PurePosixPath(path).name.startswith(".git")]
    return []


def is_ignored(project: Project, folder: PurePosixPath) -> bool:
    """Whether git is told to ignore what lies in a folder of the project, but not all of it."""
    one, other = str(folder / "file"), "file"
    words = ["git", "-C", str(project.folder), "check-ignore", "--", one, other]
    with contextlib.suppress(OSError):
        return subprocess.run(words, capture_output=True, text=True).stdout.splitlines() == [one]
    return False


def keys(project: Project) -> list[str]:
    """The files of the project that the set's ignore file leaves out as keys or certificates."""
    endings = ("*.pem", "*.key", "*.p12", "*.pfx")
    return sorted(str(path) for ending in endings for path in files_named(project.folder, ending))


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
    modules = _modules(project.folder, project.manage.parent)
    # The one that Django's tasks are found by, where there are several.
    modules.sort(key=lambda path: not path.name.startswith("celery"))
    for path in modules:
        text = text_of(project.folder / path)
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
