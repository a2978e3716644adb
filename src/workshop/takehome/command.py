"""The whole way: look, ask, say what was found, write what is wanted, prove it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WorkshopError
from ..show import live
from ..show.console import a_person_is_there, agrees, say
from ..show.display import shorten
from . import ask, install, plan, project, proof, write
from .plan import Plan
from .python import DEFAULT_PYTHON
from .write import File


@dataclass
class Wishes:
    """What the command line says: what can't be told from the folder, and what is wanted."""

    manage: str = ""
    settings: str = ""
    manager: str = ""
    python: str = ""
    groups: Collection[str] = ()
    without: Collection[str] = ()
    development: bool = False
    yes: bool = False
    dry_run: bool = False
    check: bool = False
    as_json: bool = False
    report: Path | None = None
    requirements: str = ""


class Steps:
    """Says each step of a build once, when it begins, if progress is wanted."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def tell(self, line: str) -> None:
        # What a step prints comes behind its name, which is shorter then.
        name = line.split("  ")[0]
        number = name.partition("]")[0]
        if live.is_wanted() and number not in self._said:
            self._said.add(number)
            say(f"  {shorten(name, 80)}")


def take_home(folder: Path, wishes: Wishes, ready: Callable[[str], object]) -> int:
    """Write the set for the project in ``folder``; the exit status.

    ``ready`` makes a base image present. Raises WorkshopError where a question has no answer.
    """
    found = project.find(
        folder, wishes.manage, wishes.manager, wishes.python, wishes.groups, wishes.settings,
        wishes.requirements,
    )  # fmt: skip
    if "assets" in wishes.without:
        found.assets = None
    say(f"… {found.folder}: Django's answers take a build of its packages")
    try:
        ready(f"python:{found.python}-slim")
    except WorkshopError as error:
        error.fix += (
            f" Or take another Python, if its packages allow it: --python {DEFAULT_PYTHON}."
        )
        raise
    if found.assets:
        ready(found.assets.base)
    if wishes.check:
        ready(proof.DATABASE)
    made = planned(found, wishes)
    files = write.files(made)
    dockerfile = next(file.path for file in files if file.path.endswith("Dockerfile"))
    if wishes.dry_run:
        print(json.dumps(as_json(made), indent=2) if wishes.as_json else _told(made, files))
        return 0
    say(_told(made, files))
    chosen = choose(files, wishes.yes)
    write.write(made, chosen)
    for file in chosen:
        say(f"✔ {file.path}")
    flag = "" if dockerfile == "Dockerfile" else f" -f {dockerfile}"
    say(f"Build it with `docker build{flag} -t NAME .` in {found.folder}.")
    if not wishes.check:
        return 0
    if beside := [file.path for file in chosen if file.path.endswith(".new")]:
        raise WorkshopError(
            f"Not checked, because {', '.join(beside)} would not be part of the image.",
            "Take over what you want of them, and delete them; then come back with --check.",
        )
    report = proof.prove(made, dockerfile)
    if wishes.report:
        wishes.report.write_text(report.page(), encoding="utf-8")
    if wishes.as_json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        # Who sits there has read it line by line, on standard error.
        print(report.verdict() if sys.stdout.isatty() else report.text())
    return 0 if report.holds else 1


def planned(found: project.Project, wishes: Wishes) -> Plan:
    """Ask Django, and decide. Raises WorkshopError where its settings can not be imported."""
    names = plan.locked(found)
    answers, more = ask.ask(found, names, Steps().tell)
    names |= set(answers.packages)
    first = plan.make(found, names, answers, wishes.without, more)
    pins = {**answers.packages, **ask.versions(first.extras, answers.packages)}
    made = plan.make(found, names, answers, wishes.without, more, pins)
    if made.parts and (files := project.assigning(found)):
        raise WorkshopError(
            f"{', '.join(files)} sets DJANGO_SETTINGS_MODULE, whatever the container says, so the "
            "settings that are added would not be used there.",
            'Write os.environ.setdefault("DJANGO_SETTINGS_MODULE", …) in it. Nothing was written.',
        )
    # Without a file that a style sheet names no manifest can be made.
    if not ask.is_whole_with_overlay(made):
        made = plan.make(found, names, answers, wishes.without, more, pins, is_strict=False)
    if wishes.development:
        made.context["development"] = install.development(found, bool(made.extras))
    return made


def as_json(made: Plan) -> dict[str, Any]:
    """What ``--dry-run --json`` prints."""
    assets = made.project.assets
    context = made.context
    return {
        "manage_py": str(made.project.manage),
        **context["applications"],
        "served": context["kind"],
        "settings": made.project.settings,
        "manager": made.project.manager,
        "python": made.project.python,
        "database": context["engine"],
        "static": context["static"] if context["collects"] else None,
        "worker": context["commands"].get("worker"),
        "assets": {"folder": str(assets.folder), "manager": assets.manager} if assets else None,
        "added": made.parts,
        "packages": context["extras"],
        "variables": sorted(context["variables"]),
        "files": [file.path for file in write.files(made)],
    }


def _told(made: Plan, files: list[File]) -> str:
    lines = [f"  {note}" for note in made.notes]
    lines += [f"  {file.state:8} {file.path}" for file in files]
    return "\n".join(lines)


def choose(files: list[File], yes: bool) -> list[File]:
    """The files to write. What is there is shown, and replaced only if somebody says so.

    The ignore file is only added to, so that is done where nobody can be asked.
    """
    chosen = []
    for file in files:
        if file.state == "same":
            continue
        if file.state == "differs" or file.beside:
            say(file.difference())
        if file.state == "differs":
            only_grows = file.path == ".dockerignore"
            if not yes and not _answer(f"Write {file.path}?"):
                continue
            if yes and not only_grows:
                file.path += ".new"
                say("It is there and differs, so the new one goes beside it.")
        chosen.append(file)
    return chosen


def _answer(question: str) -> bool:
    if not a_person_is_there():
        raise WorkshopError(
            f"{question} Nobody is there to answer.", "Give --yes, or use a terminal."
        )
    return agrees(question, unasked=False)
