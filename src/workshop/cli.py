"""The command line: ``workshop COMMAND``. Exit status 0 only when it did what it was asked."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import doctor
from .bases import images, standin
from .engine import client, embedded, session
from .engine.error_texts import as_problem
from .errors import WorkshopError
from .kit import proxy
from .layers.look import look_into
from .layers.sources import forget
from .lesson import exercises
from .lesson.workspace import Workspace
from .paths import DOCKERFILE, EXECUTED, NOTEBOOKS, ROOT, SLIDES, WORKSPACES, copy_carried
from .show.console import say, write_anywhere
from .show.display import size
from .takehome.manager import MANAGERS
from .takehome.plan import PARTS

# A name in the grammar of container images, without a digest: [HOST[:PORT]/]PATH[:TAG].
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE_NAME = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[a-zA-Z0-9_][\w.-]{{0,127}})?", re.A
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Errors of the engine and of the operating system become one message on standard error.
    """
    write_anywhere()
    try:
        return _run_command(arguments)
    except BrokenPipeError:  # `workshop … | head`: who read that has seen enough
        status = 1
    except KeyboardInterrupt:
        say("✘ Stopped.")
        status = 130
    except Exception as error:
        problem = as_problem(error)
        if problem is None:
            raise
        say(f"✘ {problem}")
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more at its end, and would say so if that failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _run_command(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options) or 0)
    finally:
        # What can't be written, as on a full disk, must be known before the exit status is.
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workshop", description="Dockerfile for Django Devs: the tutorial's own command line."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    made = command("doctor", _doctor, "Can this machine run the tutorial?")
    made.add_argument("--json", action="store_true", help="print the answers as JSON")
    made = command("engine", _engine, "Show, start or stop the engine.")
    made.add_argument("action", choices=("status", "start", "stop"))
    made.add_argument(
        "--store",
        choices=embedded.STORES,
        help="start: the image store of the tutorial's own engine; default: the one it had, "
        f"at first {embedded.DEFAULT_STORE}",
    )
    command("images", _images, "Make the base images present: found, pulled, or a stand-in.")
    made = command("take-home", _take_home, "Write an image for a project of your own.")
    made.add_argument("folder", type=Path, help="the project's folder")
    made.add_argument("--manage", default="", help="which manage.py, where there are several")
    made.add_argument(
        "--settings", default="", metavar="MODULE", help="the server's settings, where no file says"
    )
    made.add_argument(
        "--manager",
        default="",
        choices=("", *MANAGERS),
        metavar="NAME",
        help="who manages the packages, where several lock files are there",
    )
    made.add_argument(
        "--requirements", default="", metavar="PATH", help="the file that names what a server needs"
    )
    made.add_argument("--python", default="", metavar="3.N", help="the version of Python")
    made.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME",
        help="install a group or extra of the project's, too, such as one with Celery",
    )
    made.add_argument(
        "--without",
        action="append",
        default=[],
        choices=(*PARTS, "assets"),
        metavar="PART",
        help=f"leave a part of the settings out: {', '.join(PARTS)}; or the stage for assets",
    )
    made.add_argument(
        "--development", action="store_true", help="with a stage to develop in (projects of uv)"
    )
    made.add_argument("--yes", action="store_true", help="ask nothing; only add to what is there")
    made.add_argument("--dry-run", action="store_true", help="say what would be written")
    made.add_argument("--check", action="store_true", help="build it, run it, say what holds")
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    made.add_argument("--report", type=Path, metavar="FILE", help="write the report as a page")
    made = command("lab", _lab, "Prepare everything, then open JupyterLab on the first notebook.")
    made.add_argument("--no-browser", action="store_true", help="print the address only")
    made = command("run", _run, "Execute notebooks headless; results under _executed/.")
    made.add_argument("notebook", nargs="*", help="a file or its number; all without one")
    made.add_argument("--in-place", action="store_true", help="also store outputs in notebooks/")
    made = command("slides", _slides, "Make slides of chapters, under _slides/.")
    made.add_argument("notebook", nargs="*", help="a file or its number; all without one")
    made = command("pack", _pack, "Pack a kit for a room without a network: half an hour or more.")
    made.add_argument("kit", type=Path, help="the file to write")
    made.add_argument("notebook", nargs="*", help="a file or its number; all without one")
    made = command("unpack", _unpack, "Work with a kit in place of the network.")
    made.add_argument("kit", type=Path, nargs="?", help="the file of a kit")
    made.add_argument("--undo", action="store_true", help="go back to the network")
    made = command("progress", _progress, "Which exercises are solved.")
    instead = made.add_mutually_exclusive_group()
    instead.add_argument(
        "--reset", metavar="NOTEBOOK", help="begin this chapter anew: a file or its number"
    )
    instead.add_argument(
        "--save", type=Path, metavar="FILE", help="write it to a file to hand over"
    )
    instead.add_argument(
        "--collect", type=Path, metavar="FOLDER", help="the table of a room, from such files"
    )
    command("minutes", _minutes, "How long each chapter takes, and its exercises.")
    made = command("build", _build, "Build a Dockerfile against the sample project.")
    made.add_argument("-f", "--file", type=Path, default=DOCKERFILE, help="default: Dockerfile")
    made.add_argument("-t", "--tag", default="", help="default: one of this session's")
    made.add_argument("--target", default="", help="stop at this stage")
    made = command(
        "layers", _layers, "What each layer of an image holds, and what of it is hidden."
    )
    made.add_argument("image", help="a name on the engine, or the file of an archive")
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    made = command("bench", _bench, "Measure the Dockerfiles side by side: half an hour or more.")
    made.add_argument(
        "--rounds", type=int, default=3, help="of builds, also with --variations; default: 3"
    )
    instead = made.add_mutually_exclusive_group()
    for name, text in (
        ("variations", "the builds of the article's variations instead"),
        ("migrators", "three containers that migrate at once, instead"),
        ("workers", "a worker that is stopped in the middle of its tasks, instead"),
        ("pushes", "the bytes that a deploy sends to a registry, instead"),
        ("pooler", "connections to PostgreSQL, with a pooler in front and without, instead"),
        ("machines", "updates and faults on three machines, under load, instead"),
        ("room", "several readers at once, from an empty build cache, instead"),
    ):
        instead.add_argument(f"--{name}", action="store_true", help=text)
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    made = command("clean", _clean, "Remove what the tutorial made, and nothing else.")
    made.add_argument("--all", action="store_true", help="with base images and embedded engine")
    return parser


def _doctor(options: argparse.Namespace) -> int:
    if options.json:
        checks = doctor.examine()
        print(json.dumps(doctor.as_json(checks), indent=2))
    else:
        checks = doctor.examine(lambda check: print(check, flush=True))
    return 0 if all(check.ok for check in checks) else 1


def _engine(options: argparse.Namespace) -> int:
    if options.store and options.action != "start":
        raise WorkshopError("--store belongs to `workshop engine start`.", "Leave it out.")
    if options.action == "start":
        embedded.ensure(options.store)
    elif options.action == "stop":
        stopped = embedded.stop()
        print("The embedded engine is stopped." if stopped else "The embedded engine did not run.")
        return 0
    host, text = embedded.status()
    print(text)
    if host == client.EMBEDDED_HOST:
        print(f"For your own docker commands: export DOCKER_HOST={host}")
    return 0 if host else 1


def _require_tutorial() -> None:
    if not NOTEBOOKS.is_dir():
        raise WorkshopError(
            f"The notebooks are not in {ROOT}.",
            "`workshop lab` puts them there. If you have moved them, go into their folder first.",
        )


def prepare() -> None:
    """What every command that builds needs: an engine and the base images."""
    embedded.ensure()
    client.check_engine()
    if client.kit_configuration().exists():
        proxy.lead_to_it()
    images.ensure()


def _images(_: argparse.Namespace) -> None:
    prepare()


def _take_home(options: argparse.Namespace) -> int:
    from .takehome import command

    if options.check and options.dry_run:
        raise WorkshopError("--dry-run writes nothing that --check could try.", "Leave one out.")
    if options.report and not options.check:
        raise WorkshopError("--report keeps what --check finds.", "Add --check.")
    if options.json and not (options.check or options.dry_run):
        raise WorkshopError("--json is an answer of --check or --dry-run.", "Add one of them.")
    embedded.ensure()
    client.check_engine()
    wishes = command.Wishes(
        options.manage, options.settings, options.manager, options.python, options.group,
        options.without, options.development, options.yes, options.dry_run, options.check,
        options.json, options.report, options.requirements,
    )  # fmt: skip
    return command.take_home(options.folder, wishes, lambda name: images.ensure([name]))


def _lab(options: argparse.Namespace) -> int:
    from .lesson import notebooks  # takes a second to load, which no other command should wait for

    if copy_carried():
        say(f"✔ The notebooks are yours to change, in {ROOT}.")
    prepare()
    if not notebooks.is_of_a_hub():  # who runs the hub has asked, once for all
        doctor.examine(lambda check: say(str(check)))
    return notebooks.lab(browser=not options.no_browser)


def _run(options: argparse.Namespace) -> None:
    _require_tutorial()
    from .lesson import notebooks

    notebooks.chapters(options.notebook)
    _refuse_what_cannot_be_written(EXECUTED)
    prepare()
    written = notebooks.run(options.notebook, EXECUTED, options.in_place)
    print(f"Wrote {len(written)} file{'s' * (len(written) > 1)} to {EXECUTED}.")


def _slides(options: argparse.Namespace) -> None:
    from .lesson import slides

    _require_tutorial()
    _refuse_what_cannot_be_written(SLIDES)
    for page in slides.make(options.notebook, SLIDES):
        print(page)


def _pack(options: argparse.Namespace) -> None:
    from .kit import pack

    prepare()
    packed = pack.pack(options.kit, options.notebook)
    held = size(options.kit.stat().st_size)
    whose = f"{packed.architecture} and Python {packed.python}"
    print(f"Wrote {options.kit}: {held}, {packed.answers} answers, for {whose}.")
    print("docs/teaching.md says what to do with it.")


def _unpack(options: argparse.Namespace) -> None:
    from .kit import unpack

    if bool(options.kit) == options.undo:
        raise WorkshopError("Name the file of a kit, or say --undo, and not both.")
    embedded.ensure()
    client.check_engine()
    if not options.undo:
        unpacked = unpack.unpack(options.kit)
        print(f"The kit is ready, without a network: {', '.join(unpacked.chapters)}.")
        print("`workshop unpack --undo` goes back to the network.")
        return
    missing = unpack.undo()
    print("Back to the network.")
    if missing:
        print(f"These base images have to be fetched: {', '.join(missing)} (`workshop images`).")


def _progress(options: argparse.Namespace) -> None:
    _require_tutorial()
    if options.reset:
        from .lesson import notebooks

        (chapter,) = notebooks.chapters([options.reset])
        prepare()
        Workspace(chapter.stem)  # what an earlier one left is removed
        exercises.forget(chapter.stem)
        print(f"{chapter.stem} begins anew. Its cells are yours: git restores them, if you like.")
    if options.save:
        exercises.save(options.save)
        print(f"Wrote {options.save}.")
    print(exercises.collect(options.collect) if options.collect else exercises.progress())


def _minutes(_: argparse.Namespace) -> None:
    _require_tutorial()
    from .lesson import minutes, notebooks

    print(minutes.as_table(notebooks.chapters()))


def _refuse_what_cannot_be_written(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WorkshopError(
            f"The results go to {folder}, which can't be written: {error.strerror}.",
            "Move away what is there, or look at who may write there.",
        ) from None


def _build(options: argparse.Namespace) -> None:
    _require_tutorial()
    if not options.file.is_file():
        raise WorkshopError(f"There is no file {options.file}.", "Name a Dockerfile with -f.")
    try:
        options.file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise WorkshopError(
            f"{options.file} is not UTF-8 text.", "Name a Dockerfile with -f, saved as UTF-8."
        ) from None
    if options.tag and not IMAGE_NAME.fullmatch(options.tag):
        raise WorkshopError(
            f"{options.tag!r} is no name for an image.",
            "Use lower-case letters, digits and . _ - /, then a tag after a colon: my-site:1.",
        )
    prepare()
    space = Workspace("command-line")
    space.use(options.file)
    built = space.build(target=options.target)
    if options.tag:
        client.connect().images.get(built.tag).tag(options.tag)
    print(built)
    print(f"Built {options.tag or built.tag}: {size(space.size())}.")


def _layers(options: argparse.Namespace) -> None:
    # The file of an archive needs no engine.
    engine = None if os.path.isfile(options.image) else client.connect()
    found = look_into(options.image, client=engine)
    print(json.dumps(found.as_json(), indent=2) if options.json else found)


def _bench(options: argparse.Namespace) -> None:
    _require_tutorial()
    from .bench import machines, measure, migrators, pooler, pushes, room, workers

    prepare()
    found: Any
    if options.migrators:
        found = migrators.run()
    elif options.workers:
        found = workers.run()
    elif options.pushes:
        found = pushes.run()
    elif options.pooler:
        found = pooler.run()
    elif options.machines:
        found = machines.run()
    elif options.room:
        found = room.run()
    elif options.variations:
        found = measure.variations(options.rounds)
    else:
        found = measure.run(options.rounds)
    print(json.dumps(found.as_json(), indent=2) if options.json else found)


def _clean(options: argparse.Namespace) -> None:
    if client.find():
        done = session.remove_leftovers()
        for kind, names in done.removed.items():
            print("\n  ".join([f"Removed {len(names)} {kind}{':' if names else '.'}", *names]))
        for name, reason in done.stayed.items():
            print(f"Stayed: {name}, because the engine says: {reason}")
        if options.all:
            from .kit import unpack

            unpack.undo()
            print(f"Removed {len(images.remove())} base images.")
    else:
        print("No engine answers, so there is nothing to remove on one.")
    if options.all:
        if embedded.stop():
            print("Stopped the embedded engine.")
        embedded.remove_data()
        standin.remove_archives()
        forget()
    session.remove_folder(WORKSPACES / session.ident())


if __name__ == "__main__":
    sys.exit(main())
