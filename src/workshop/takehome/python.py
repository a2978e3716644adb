"""The version of Python that a project wants, by what its files say."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import WorkshopError
from .tree import files_named, text_of, toml_of

DEFAULT_PYTHON = "3.13"
# The newest Python, 3.N, that releases of Django know, each up to this one:
# https://docs.djangoproject.com/en/stable/faq/install/
DJANGO_KNOWS = (((3, 1), 9), ((4, 0), 10), ((4, 1), 11), ((5, 0), 12))
# In a requirements file, Pipfile.lock, and a lock file that is TOML.
_PINNED_DJANGO = re.compile(
    r"""(?:^django(?:\[[\w,-]+\])?\s*==\s*|"django":\s*\{[^}]*?"version":\s*"=="""
    r"""|^name = "django"\s+version = ")(\d+)\.(\d+)""",
    re.MULTILINE | re.IGNORECASE,
)


def python_of(folder: Path, root: PurePosixPath, files: list[str]) -> tuple[str, str]:
    """The version of Python, and what says so. ``files`` are those that pin packages."""
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
            text = text_of(folder / place / name)
            if match := re.search(pattern, text, re.MULTILINE | re.IGNORECASE):
                return match[1], str(place / name)
    for file in files_named(folder, "*Dockerfile*"):
        if match := re.search(of_image, text_of(folder / file), re.MULTILINE | re.IGNORECASE):
            return match[1] or match[2], str(file)
    version, where = (
        DEFAULT_PYTHON, "nothing in the project, so the newest that the tutorial knows"
    )  # fmt: skip
    for place in reversed(places):
        if asked := _requires_python(folder / place):
            file = place / "pyproject.toml"
            version, where = _newest(asked), f"requires-python {asked!r} in {file}"
    pins = (_PINNED_DJANGO.search(text_of(folder / file)) for file in files)
    if pin := next(filter(None, pins), None):
        release = (int(pin[1]), int(pin[2]))
        newest = next((minor for until, minor in DJANGO_KNOWS if release <= until), 99)
        if newest < int(version.split(".")[1]):
            return f"3.{newest}", f"Django {pin[1]}.{pin[2]}, which knows no newer one"
    return version, where


def require_allowed(folder: Path, root: PurePosixPath, version: str) -> None:
    """Raises WorkshopError for a version, 3.N, that pyproject.toml excludes."""
    for place in (root, *root.parents):
        if asked := _requires_python(folder / place):
            if not _allowed(asked, int(version.removeprefix("3."))):
                file = place / "pyproject.toml"
                raise WorkshopError(
                    f"{file} asks for Python {asked}, which leaves {version} out.",
                    "Name another version with --python, or change the file and lock anew.",
                )
            return


def _requires_python(place: Path) -> str:
    told = toml_of(place / "pyproject.toml")
    poetry: dict[str, Any] = told.get("tool", {}).get("poetry", {}).get("dependencies", {})
    asked = told.get("project", {}).get("requires-python") or poetry.get("python") or ""
    return str(asked)


def _newest(asked: str) -> str:
    """The newest minor version, up to the tutorial's, that a specifier allows."""
    newest = int(DEFAULT_PYTHON.split(".")[1])
    for minor in range(newest, 7, -1):
        if _allowed(asked, minor):
            return f"3.{minor}"
    first = re.search(r"3\.(\d+)", asked)
    return f"3.{first[1]}" if first else DEFAULT_PYTHON


def _allowed(asked: str, minor: int) -> bool:
    """Whether a specifier allows 3.minor; Poetry writes || between two that may do."""
    return any(
        all(_allows(part.strip(), minor) for part in re.split(r"[,\s]+(?=[<>=!~^])|,", one))
        for one in re.split(r"\|\|?", asked)
    )


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
