"""Who manages a project's packages, and in which files."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from ..errors import WorkshopError
from .tree import files_named, text_of, toml_of

LOCKS = {"uv.lock": "uv", "poetry.lock": "Poetry", "pdm.lock": "PDM", "Pipfile.lock": "Pipenv"}
# Requirements of a server before those of everything, and never a developer's.
REQUIREMENTS = (
    "requirements/production.txt", "requirements/prod.txt", "requirements/deploy.txt",
    "requirements/server.txt", "requirements-prod.txt", "requirements-production.txt",
    "requirements_prod.txt", "prod-requirements.txt", "requirements.txt",
    "requirements/requirements.txt", "requirements/base.txt", "requirements/common.txt",
    "requirements/main.txt",
)  # fmt: skip
MANAGERS = (*LOCKS.values(), "requirements", "pyproject", "nothing")
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", re.MULTILINE)
# A requirement that is a folder or a file of the project's.
_LOCAL = re.compile(
    r"^\s*(?:(?:-e|--editable)[\s=]+(?!\w+\+|\w+://)\S+"
    r"|\.{1,2}(?:/\S*)?(?:\[[^\]]*\])?|file:\S+|[\w.,\[\]-]+\s*@\s*file:\S+)"
    r"\s*(?:[;#].*)?$",
    re.MULTILINE,
)


def manager_of(
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
    if any(toml_of(folder / p / "pyproject.toml").get("tool", {}).get("poetry") for p in places):
        raise WorkshopError(
            "pyproject.toml is Poetry's, and poetry.lock is not there.",
            "Make it with `poetry lock`, then come back. Nothing was written.",
        )
    found = [
        str(path)
        for path in files_named(folder, "*.txt")
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
    told = toml_of(pyproject)
    tool, dependencies = told.get("tool", {}), told.get("project", {}).get("dependencies", [])
    poetry = tool.get("poetry", {})
    sources = [*tool.get("uv", {}).get("sources", {}).values()]
    for group in (poetry, *poetry.get("group", {}).values()):
        sources += group.get("dependencies", {}).values()
    flat = [one for source in sources for one in (source if isinstance(source, list) else [source])]
    return any(isinstance(one, dict) and {"path", "workspace"} & set(one) for one in flat) or any(
        re.search(r"@\s*file:", line) for line in dependencies
    )


def _has_packages(place: Path) -> bool:
    """Whether a pyproject.toml names packages in a standard way."""
    told = toml_of(place / "pyproject.toml")
    return bool(told.get("project", {}).get("dependencies") or told.get("dependency-groups"))


def _members(folder: Path, root: PurePosixPath) -> list[str]:
    """The pyproject.toml files of a uv workspace, without that of its root."""
    told = toml_of(folder / root / "pyproject.toml")
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
        text = text_of(folder / file)
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
