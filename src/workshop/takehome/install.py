"""How the packages of a project get into /opt/venv, for each manager of packages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import WorkshopError
from .project import Project

# The tools, in the versions that this tutorial was tested with.
TOOLS = {
    "uv": "uv==0.13.9",
    "Poetry": "poetry==2.5.1 poetry-plugin-export==1.10.1",
    # It asks for any hishel from 1.4 on, and fails with 2.
    "PDM": "pdm==2.29.4 'hishel<2'",
    "Pipenv": "pipenv==2026.10.3",
}
_WITH_GROUPS = ("uv", "Poetry", "pyproject")
# Names of groups that hold what only a server needs.
SERVER_GROUPS = ("prod", "production", "deploy", "deployment", "server", "web", "postgres")


def mounts(project: Project, has_extras: bool) -> list[str]:
    """What the step that installs is lent of the project's folder."""
    if project.needs_all:
        return ["."]
    return [*project.files, *(["container/requirements.txt"] if has_extras else [])]


def commands(project: Project, has_extras: bool) -> list[str]:
    """The commands that fill /opt/venv.

    Raises WorkshopError where a group is asked for that is not there.
    """
    if project.groups and project.manager not in _WITH_GROUPS:
        raise WorkshopError(
            f"--group names a group of pyproject.toml. {project.manager} manages this project.",
            "Write what is missing into its requirements.",
        )
    folder = next((str(PurePosixPath(f).parent) for f in project.files), ".")
    file = project.files[0] if project.files else ""
    venv = "python -m venv --without-pip /opt/venv"
    pip = "pip --python /opt/venv/bin/python install --requirement"
    exported = "/tmp/requirements.txt"
    if project.manager == "uv":
        return _uv(project, has_extras, "--no-dev", "--compile-bytecode")
    inside = f"cd {folder} && " if folder != "." else ""
    # pip takes hashes for all or for none, and what comes from git or a folder has none.
    unhashed = " --without-hashes" if _is_unhashed(project) else ""
    if project.manager == "Poetry":
        found = _poetry_groups(pyproject(project), project.groups)
        groups = ",".join(["main", *(name for kind, name in found if kind == "group")])
        extras = "".join(f" --extras {name}" for kind, name in found if kind == "extra")
        words = f"poetry export --format requirements.txt --only {groups}{extras}{unhashed}"
        export = f"{words} --output {exported}"
        steps = [venv, f"({inside}{export})" if inside else export, f"{pip} {exported}"]
    elif project.manager == "PDM":
        words = f"pdm export --production --format requirements{unhashed}"
        steps = [venv, f"{words} --project {folder} --output {exported}", f"{pip} {exported}"]
    elif project.manager == "Pipenv":
        steps = [venv, f"(cd {folder} && pipenv requirements > {exported})", f"{pip} {exported}"]
    elif project.manager == "requirements":
        steps = [venv, f"{pip} {file}"]
    elif project.manager == "pyproject":
        # Before 3.11, Python has none of its own, and pip has.
        version = re.match(r"3\.(\d+)", project.python)
        old = version is not None and int(version[1]) < 11
        parser = "pip._vendor.tomli" if old else "tomllib"
        lists = _standard_lists(pyproject(project), project.groups)
        code = (
            f"import {parser}; told = {parser}.load(open('{file}', 'rb')); "
            f"print({', '.join(lists)}, sep='\\n')"
        )
        steps = [venv, f'python -c "{code}" > {exported}', f"{pip} {exported}"]
    elif has_extras:
        steps = [venv]
    else:
        django = f"django~={project.django}.0" if project.django else "django"
        steps = [venv, f"pip --python /opt/venv/bin/python install '{django}'"]
    if has_extras:
        steps.append(f"{pip} container/requirements.txt")
    return steps


def _standard_lists(told: Mapping[str, Any], groups: Collection[str]) -> list[str]:
    """Where the packages stand in a pyproject.toml, as Python that prints them.

    Raises WorkshopError where only groups name packages, and none is wanted.
    """
    extras = told.get("project", {}).get("optional-dependencies", {})
    known = told.get("dependency-groups", {})
    found = ["*told['project']['dependencies']"] * bool(told.get("project", {}).get("dependencies"))
    for kind, name in _chosen(extras, known, groups):
        if kind == "extra":
            found.append(f"*told['project']['optional-dependencies']['{name}']")
        else:
            # What includes another group is a table, not a text.
            found.append(f"*[x for x in told['dependency-groups']['{name}'] if type(x) is str]")
    if not found:
        raise WorkshopError(
            "pyproject.toml names packages in groups only.",
            f"Say which a server needs: --group NAME. It has {', '.join([*extras, *known])}. "
            "If none of them, say --manager nothing.",
        )
    return found


def _is_unhashed(project: Project) -> bool:
    """Whether the lock file of Poetry or PDM has a package from git, a URL or a folder."""
    if project.manager not in ("Poetry", "PDM"):
        return False
    path = project.folder / project.files[1]
    locked = read_toml(path.read_text(encoding="utf-8"), path).get("package", [])
    return any(
        package.get("source", {}).get("type") in ("git", "url", "directory", "file")
        or {"git", "url", "path"} & set(package)
        for package in locked
    )


def development(project: Project, has_extras: bool) -> list[str]:
    """The commands that add what a developer needs: for uv, the group dev.

    Raises WorkshopError for another manager.
    """
    if project.manager != "uv":
        raise WorkshopError(
            f"--development knows the groups of uv's projects. {project.manager} manages this one.",
            "Leave it out, and write a stage of your own: FROM builder AS development.",
        )
    return _uv(project, has_extras)


def _uv(project: Project, has_extras: bool, without: str = "", bytecode: str = "") -> list[str]:
    """uv's commands; ``without`` and ``bytecode`` are options that production has."""
    told = pyproject(project)
    folder = str(PurePosixPath(project.files[0]).parent)
    if without and "default-groups" in told.get("tool", {}).get("uv", {}):
        without = "--no-default-groups"
    itself = ["--no-install-project"]
    if len(project.files) > 2:
        # Members that others depend on are installed; their code is where it is mounted now.
        left_out = "project" if project.needs_all else "workspace"
        itself = ["--all-packages", f"--no-install-{left_out}"]
    groups = [f"--{kind} {name}" for kind, name in _groups(told, project.groups)]
    place = [f"--project {folder}"] if folder != "." else []
    sync = ["uv sync --locked", without, *itself, bytecode, *groups, *place]
    extras = [
        "uv pip install --python /opt/venv/bin/python", bytecode,
        "--requirement container/requirements.txt",
    ]  # fmt: skip
    return [" ".join(filter(None, words)) for words in ([sync, extras] if has_extras else [sync])]


def pyproject(project: Project) -> dict[str, Any]:
    """The first of the files that the project's packages are managed by, which is TOML."""
    path = project.folder / project.files[0]
    return read_toml(path.read_text(encoding="utf-8"), path)


def left_out(project: Project) -> list[str]:
    """The names of the project's extras and groups that are not installed."""
    if project.manager not in _WITH_GROUPS:
        return []
    told = pyproject(project)
    poetry = told.get("tool", {}).get("poetry", {})
    known = [
        *told.get("project", {}).get("optional-dependencies", {}), *poetry.get("extras", {}),
        *told.get("dependency-groups", {}), *poetry.get("group", {}),
    ]  # fmt: skip
    return [name for name in known if name not in (*SERVER_GROUPS, *project.groups)]


def _groups(told: Mapping[str, Any], wanted: Collection[str]) -> list[tuple[str, str]]:
    """The extras and groups that hold what only a server needs, and those that are wanted.

    Raises WorkshopError for a wanted one that is not there.
    """
    extras = told.get("project", {}).get("optional-dependencies", {})
    return _chosen(extras, told.get("dependency-groups", {}), wanted)


def _poetry_groups(told: Mapping[str, Any], wanted: Collection[str]) -> list[tuple[str, str]]:
    """The same for Poetry, which has words of its own beside the standard ones."""
    poetry = told.get("tool", {}).get("poetry", {})
    extras = [
        *told.get("project", {}).get("optional-dependencies", {}), *poetry.get("extras", {}),
    ]  # fmt: skip
    return _chosen(extras, [*poetry.get("group", {}), *told.get("dependency-groups", {})], wanted)


def _chosen(
    extras: Collection[str], groups: Collection[str], wanted: Collection[str]
) -> list[tuple[str, str]]:
    known = [*extras, *groups]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise WorkshopError(
            f"The project has no group or extra named {', '.join(unknown)}.",
            f"It has {', '.join(known) or 'none'}.",
        )
    installed = dict.fromkeys([*SERVER_GROUPS, *wanted])
    found = [("extra", name) for name in installed if name in extras]
    return found + [("group", name) for name in installed if name in groups]


def read_toml(text: str, path: Path) -> dict[str, Any]:
    """Raises WorkshopError where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WorkshopError(
            f"{path} is no TOML: {error}.", "Correct it, then run this again."
        ) from None
