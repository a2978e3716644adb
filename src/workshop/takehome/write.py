"""Write the set of files: rendered, compared with what is there, and never over it unsaid."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import jinja2

from .plan import Plan

FOLDER = "container"
# How the Dockerfile of each set begins: another one is the project's own.
BEGINS = "# Pin the base where it matters: --build-arg PYTHON_IMAGE="
ENDS = "# A shell reads no line that ends as on Windows.\n* text eol=lf\n"
IGNORED = Path(__file__).with_name("templates") / "dockerignore"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
)  # fmt: skip


@dataclass
class File:
    """One file of the set: where it goes, its text, and what is there now (None: nothing).

    ``beside`` is the text of the project's own file, in whose place this one could be used.
    """

    path: str
    text: str
    before: str | None
    beside: str = ""

    @property
    def state(self) -> str:
        """``new``, ``same`` or ``differs``."""
        if self.before is None:
            return "new"
        return "same" if self.before == self.text else "differs"

    def difference(self) -> str:
        """As a unified diff."""
        now = "the project's own" if self.before is None else f"{self.path}, as it is"
        lines = difflib.unified_diff(
            (self.before or self.beside).splitlines(), self.text.splitlines(),
            now, f"{self.path}, as it would be", lineterm="",
        )  # fmt: skip
        return "\n".join(lines)


def _render(name: str, made: Plan) -> str:
    return _TEMPLATES.get_template(name).render(made.context)


def dockerfile(made: Plan) -> str:
    """The text of the Dockerfile."""
    return _render("Dockerfile.j2", made)


def settings(made: Plan) -> str:
    """The text of the overlay, the settings module on top of the project's own."""
    return _render("settings.py.j2", made)


def ignore_file(folder: Path, private: Collection[str] = ()) -> str:
    """The project's own ignore file, and what it does not name yet.

    ``private`` are files and folders of whoever builds, relative to the project.
    """
    own = _read(folder / ".dockerignore")
    wanted = IGNORED.read_text(encoding="utf-8")
    # Virtual environments with names of their own.
    found = sorted([*folder.glob("*/pyvenv.cfg"), *folder.glob("*/*/pyvenv.cfg")])
    environments = [path.parent.relative_to(folder).as_posix() for path in found]
    known = wanted.splitlines()
    more = [n for n in dict.fromkeys([*environments, *private]) if f"**/{n}" not in known]
    if more:
        wanted += "\n".join(["\n# Of this machine only", *more]) + "\n"
    if own is None:
        return wanted
    # `.env` is the one at the top, `**/.env` is every one.
    has = {line.strip().rstrip("/") for line in own.splitlines()}
    missing = [
        line
        for line in wanted.splitlines()
        if line and not line.startswith("#") and line.rstrip("/") not in has
    ]
    # Where everything is left out but what is named, the set has to be named.
    if has & {"*", "**", "/*"}:
        missing.insert(0, f"!{FOLDER}")
    if not missing:
        return own
    added = "\n".join(["# What must not get into an image either", *missing])
    return f"{own.rstrip()}\n\n{added}\n"


def files(made: Plan) -> list[File]:
    """The set for a project, in the order in which it is told.

    A Dockerfile of the project's own stays: then the set's lies in its folder. One that an earlier
    set brought is compared, as every file.
    """
    folder = made.project.folder
    kind = made.context["kind"]
    texts = {
        "Dockerfile": dockerfile(made),
        ".dockerignore": ignore_file(folder, made.context["private"]),
        f"{FOLDER}/entrypoint.sh": _render("entrypoint.sh.j2", made),
        f"{FOLDER}/gunicorn.conf.py": _render("gunicorn.conf.py.j2", made),
        f"{FOLDER}/{kind}.py": _render("application.py.j2", made),
        f"{FOLDER}/migrate.py": _render("migrate.py.j2", made),
        f"{FOLDER}/.gitattributes": ENDS,
    }
    if made.parts:
        texts[f"{FOLDER}/settings.py"] = settings(made)
    if made.extras:
        lines = [
            "# What the image needs and the project's own files don't name.",
            *made.context["extras"],
        ]
        texts[f"{FOLDER}/requirements.txt"] = "\n".join(lines) + "\n"
    own = _read(folder / "Dockerfile") or ""
    if own and not own.startswith(BEGINS):
        texts[f"{FOLDER}/Dockerfile"] = texts.pop("Dockerfile")
    else:
        own = ""
    return [
        File(path, text, _read(folder / path), own if path == f"{FOLDER}/Dockerfile" else "")
        for path, text in texts.items()
    ]


def _read(path: Path) -> str | None:
    """The text of a file; None if it is not there, and the lines' ends as they are."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None


def write(made: Plan, chosen: list[File]) -> None:
    """Write the chosen files."""
    for file in chosen:
        path = made.project.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8", newline="\n")
