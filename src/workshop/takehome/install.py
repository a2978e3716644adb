"""How the packages of a project get into /opt/venv, for each manager of packages."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import WorkshopError
from .project import Project

# The tools, in the versions that this tutorial was tested with.
TOOLS = {
    "uv": "uv==0.13.9",
    "Poetry": "poetry==2.5.1 poetry-plugin-export==1.10.1",
    "PDM": "pdm==2.29.4",
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
    """The commands that fill /opt/venv."""
    folder = next((str(PurePosixPath(f).parent) for f in project.files), ".")
    file = project.files[0] if project.files else ""
    venv = "python -m venv --without-pip /opt/venv"
    pip = "pip --python /opt/venv/bin/python install --requirement"
    exported = "/tmp/requirements.txt"
    if project.manager == "uv":
        words = "uv sync --locked --no-dev --no-install-project --compile-bytecode"
        told = pyproject(project)
        if "default-groups" in told.get("tool", {}).get("uv", {}):
            words = words.replace("--no-dev", "--no-default-groups")
        if len(project.files) > 2:
            words = words.replace("--no-install-project", "--all-packages --no-install-workspace")
        words += "".join(f" --{kind} {name}" for kind, name in _groups(told))
        words += f" --project {folder}" if folder != "." else ""
        extras = "uv pip install --python /opt/venv/bin/python --compile-bytecode --requirement"
        return [words, *([f"{extras} container/requirements.txt"] if has_extras else [])]
    inside = f"cd {folder} && " if folder != "." else ""
    if project.manager == "Poetry":
        groups = ",".join(["main", *_poetry_groups(pyproject(project))])
        steps = [
            venv,
            f"({inside}poetry export --format requirements.txt --only {groups} --output {exported})"
            if inside
            else f"poetry export --format requirements.txt --only {groups} --output {exported}",
            f"{pip} {exported}",
        ]
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


def pyproject(project: Project) -> dict[str, Any]:
    """The first of the files that the project's packages are managed by, which is TOML."""
    path = project.folder / project.files[0]
    return read_toml(path.read_text(encoding="utf-8"), path)


def _groups(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The extras and groups that hold what only a server needs."""
    extras = told.get("project", {}).get("optional-dependencies", {})
    groups = told.get("dependency-groups", {})
    found = [("extra", name) for name in SERVER_GROUPS if name in extras]
    return found + [("group", name) for name in SERVER_GROUPS if name in groups]


def _poetry_groups(told: Mapping[str, Any]) -> list[str]:
    groups = told.get("tool", {}).get("poetry", {}).get("group", {})
    return [name for name in SERVER_GROUPS if name in groups]


def read_toml(text: str, path: Path) -> dict[str, Any]:
    """Raises WorkshopError where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WorkshopError(f"{path} is no TOML: {error}.", "Mend it, then come back.") from None
