"""How the packages of a project get into /opt/venv, for each manager of packages."""

from __future__ import annotations

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
    if project.groups and project.manager not in ("uv", "Poetry"):
        raise WorkshopError(
            f"--group names a group of uv's or Poetry's. {project.manager} manages this project.",
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
    if project.manager == "Poetry":
        found = _poetry_groups(pyproject(project), project.groups)
        groups = ",".join(["main", *(name for kind, name in found if kind == "group")])
        extras = "".join(f" --extras {name}" for kind, name in found if kind == "extra")
        words = f"poetry export --format requirements.txt --only {groups}{extras}"
        export = f"{words} --output {exported}"
        steps = [venv, f"({inside}{export})" if inside else export, f"{pip} {exported}"]
    elif project.manager == "PDM":
        words = "pdm export --production --format requirements"
        steps = [venv, f"{words} --project {folder} --output {exported}", f"{pip} {exported}"]
    elif project.manager == "Pipenv":
        steps = [venv, f"(cd {folder} && pipenv requirements > {exported})", f"{pip} {exported}"]
    elif project.manager == "requirements":
        steps = [venv, f"{pip} {file}"]
    elif project.manager == "pyproject":
        code = (
            f"import tomllib; told = tomllib.load(open('{file}', 'rb')); "
            "print(*told['project']['dependencies'], sep='\\n')"
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
        itself = ["--all-packages", "--no-install-workspace"]
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
        raise WorkshopError(f"{path} is no TOML: {error}.", "Mend it, then come back.") from None
