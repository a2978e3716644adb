"""Let Django answer: build the project's packages, and ask in a container of them."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ..build import buildx
from ..engine import session
from ..errors import WorkshopError
from ..run import containers
from . import install, packages, plan, probe, write
from .plan import Answers
from .project import Project

CHAPTER = "take-home"
PROBE_S = 900
# The first stage, and on top of it the project, to be imported.
ASKING = """
FROM builder AS asking
{libraries}
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH={path} DJANGO_SETTINGS_MODULE={settings}
WORKDIR {workdir}
COPY . /app
COPY --from=workshop probe.py /workshop/
"""
NO_CACHE = "ENV PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1\n"
TRIES = 4
# Prints what the overlay says and Django does not follow, and ends with this status then.
REPLACED = 9
IN_FORCE = f"""
import importlib, os, sys, django
django.setup()
from django.conf import settings
told = importlib.import_module(os.environ['DJANGO_SETTINGS_MODULE'])
names = 'DEBUG', 'ALLOWED_HOSTS', 'STATIC_ROOT', 'MIDDLEWARE', 'LOGGING'
names = [n for n in names if hasattr(told, n) and getattr(told, n) != getattr(settings, n)]
print(*names, sep=', ')
sys.exit({REPLACED} if names else 0)
"""
# Debian's packages with the libraries that compiled files name. objdump comes with a compiler.
LINKED = r"""
find /opt/venv -type f -name '*.so*' -exec objdump -p {} + 2>/dev/null \
    | awk '$1 == "NEEDED" { print $2 }' | sort -u > /tmp/needed
ldconfig -p | awk 'NR == FNR { needed[$1]; next } $1 in needed { print $NF }' /tmp/needed - \
    | xargs -r realpath | xargs -r dpkg -S 2>/dev/null | cut -d: -f1 | sort -u
"""
INSTALLED = r"dpkg-query --show --showformat '${Package}\n'"
# pip says these below every failed build of a package, whatever its cause was.
_NO_CAUSE = re.compile(
    r"note: This error|subprocess-exited-with-error|did not run successfully|exit code: \d"
    r"|See above for output|\[end of output\]"
)
# Where pip is, above what it says of a package whose own build failed.
_FAILED = "subprocess-exited-with-error"
_BUILDING = re.compile(r"^\s*(?:Collecting|Building wheel for) (\S+)", re.MULTILINE)
_NOT_BUILT = re.compile(r"Failed building wheel for (\S+)")


def ask(
    project: Project, names: Collection[str], tell: Callable[[str], None]
) -> tuple[Answers, tuple[str, ...]]:
    """What Django says of the project, and Debian's packages that its build turned out to need.

    Raises WorkshopError when the packages can't be installed or the settings not imported.
    """
    made, more = _installed(project, names, tell, ())
    told = _told()
    if compiled := set(told["compiled"]) - set(packages.NEEDS):
        # A wheel that is kept from an earlier build hides what compiling it takes, and so does
        # what a package that is only locked would bring.
        tell(f"{', '.join(sorted(compiled))}: compiled here, so once more without a cache")
        made, more = _installed(project, told["packages"], tell, more, is_cold=True)
        told = _told()
    if told["cloned"]:
        more = tuple(dict.fromkeys([*more, *packages.GIT]))
    if not told["answers"]:
        raise not_imported(
            project.settings, told["error"], told["variables"], install.left_out(project)
        )
    answers = Answers(
        told["variables"], told["answers"], told.get("other") or {}, told["is_random_key"],
        told["switch"], told["made"], told["packages"],
        _linked(project) if made.context["system"].build else [], told["odd"],
        told["health"],
    )  # fmt: skip
    return answers, more


def _installed(
    project: Project,
    names: Collection[str],
    tell: Callable[[str], None],
    more: tuple[str, ...],
    is_cold: bool = False,
) -> tuple[plan.Plan, tuple[str, ...]]:
    """Build what is asked: its plan, and ``more`` Debian packages that it turned out to need."""
    for _ in range(TRIES):
        made = plan.make(project, names, more=more)
        try:
            _build(project, made, tell, is_cold)
            return made, more
        except buildx.BuildFailed as failure:
            missing = packages.missing(str(failure)) or packages.missing(failure.output)
            if not missing or set(missing) <= set(more):
                raise not_installed(project, failure) from None
            more = tuple(dict.fromkeys([*more, *missing]))
            tell(f"the build needs {', '.join(missing)}; once more")
    raise WorkshopError("The packages could not be installed.", "See the lines above.")


def _told() -> dict[str, Any]:
    """What the probe prints, see there."""
    done = containers.run(tag(), ["python", "/workshop/probe.py"], timeout=PROBE_S, chapter=CHAPTER)
    lines = [line for line in done.stdout.splitlines() if line.startswith(probe.MARK)]
    if not lines:
        raise WorkshopError("Django could not be asked.", done.stderr.strip()[-1500:])
    told: dict[str, Any] = json.loads(lines[-1][len(probe.MARK) :])
    return told


def _linked(project: Project) -> list[str]:
    """Debian's packages that compiled files load, and that the base image lacks."""

    def listed(image: str, script: str) -> list[str]:
        command = ["sh", "-c", script]
        return containers.run(image, command, timeout=PROBE_S, chapter=CHAPTER).stdout.split()

    base = listed(f"python:{project.python}-slim", INSTALLED)
    return [name for name in listed(tag(), LINKED) if name not in base]


def not_imported(
    settings: str, error: str, variables: Collection[str], groups: Collection[str] = ()
) -> WorkshopError:
    """What to say when Django's setup ended with this traceback.

    ``groups`` are those of the project's whose packages are not installed.
    """
    last = (error.strip().splitlines() or ["?"])[-1]
    if "PackageNotFoundError" in last:
        fix = (
            "The project's packages are installed, and the project itself is not. Read its "
            "version from elsewhere, or catch PackageNotFoundError."
        )
    elif re.search("No such file or directory|unable to open database file", last):
        fix = (
            "A file or a folder is not in the image. .dockerignore may leave it out; a folder "
            "for data can be made by the settings: Path(...).mkdir(parents=True, exist_ok=True)."
        )
    elif "ModuleNotFoundError" in last and groups:
        fix = f"If a group or extra has it, install that, too: --group {' or '.join(groups)}."
    else:
        tried = ", ".join(variables) or "no variable of their own"
        fix = f"Look at what they ask for. Tried with: {tried}."
    return WorkshopError(
        f"The settings {settings} can't be imported: {last}", f"{fix} Nothing was written."
    )


def not_installed(project: Project, failure: buildx.BuildFailed) -> WorkshopError:
    """What to say when the packages can't be installed: the last lines that tell a cause."""
    cause = [line for line in failure.log if not _NO_CAUSE.search(line)]
    said = "\n".join(f"  │ {line}" for line in cause[-6:]) or f"  {failure}"
    what = f"The project's packages can't be installed with Python {project.python}"
    fix = "If they need another Python, name it with --python 3.N."
    above, failed, _ = failure.output.partition(_FAILED)
    if names := _NOT_BUILT.findall(failure.output) or (_BUILDING.findall(above) if failed else []):
        what += f", because {names[-1]} can't be built"
        fix = f"{fix} A newer version of {re.split('[=<>~!;[]', names[-1])[0]} may do, too."
    return WorkshopError(f"{what}:\n{said}", f"{fix} Nothing was written.")


def _build(project: Project, made: plan.Plan, tell: Callable[[str], None], is_cold: bool) -> None:
    """Build the first stage, and the project on top of it; without pip's cache if ``is_cold``."""
    builder, _, _ = write.dockerfile(made).partition("FROM ${PYTHON_IMAGE} AS final")
    if is_cold:
        top = "FROM ${PYTHON_IMAGE} AS builder\n"
        builder = builder.replace(top, top + NO_CACHE)
    run = made.context["system"].run
    libraries = (
        f"RUN apt-get update && apt-get install -y --no-install-recommends {' '.join(run)}"
        if run
        else ""
    )
    path = [str(project.workdir), *filter(None, made.context["pythonpath"].split(":"))]
    asking = ASKING.format(
        libraries=libraries, path=":".join(path), settings=project.settings,
        workdir=project.workdir,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "Dockerfile")
        file.write_text(builder + asking, encoding="utf-8")
        ignored = write.ignore_file(project.folder)
        Path(folder, "Dockerfile.dockerignore").write_text(ignored, encoding="utf-8")
        with session.replacing(tag()):
            buildx.build_image(
                ["docker", "build", "-f", str(file), "-t", tag(),
                 "--build-context", f"workshop={Path(probe.__file__).parent}", "."],
                cwd=project.folder, labels=session.labels(CHAPTER), tell=tell,
            )  # fmt: skip


def tag() -> str:
    """The name of the image in which Django is asked."""
    return f"{session.prefix()}/{CHAPTER}:asking"


def is_whole_with_overlay(made: plan.Plan) -> bool:
    """Whether `collectstatic` with the overlay ends well: every named file is there.

    Raises WorkshopError where the overlay is not in force.
    """
    if not made.parts:
        return True
    overlay = base64.b64encode(write.settings(made).encode()).decode()
    extras = " ".join(made.context["extras"])
    steps = [
        f"pip --python /opt/venv/bin/python install --quiet {extras}" if extras else "true",
        f"mkdir -p /app/container && echo {overlay} | base64 -d > /app/container/settings.py",
        f'{{ python -c "{IN_FORCE}"; [ $? -ne {REPLACED} ] || exit {REPLACED}; }}',
    ]
    if "whitenoise" in made.parts and made.context["collects"]:
        steps.append("python manage.py collectstatic --noinput --verbosity 0")
    script = " && ".join(steps)
    done = containers.run(
        tag(), ["sh", "-c", script],
        env={**made.answered, "DJANGO_SETTINGS_MODULE": "container.settings",
             "PYTHONPATH": f"{made.context['pythonpath']}:/app"},
        timeout=PROBE_S, chapter=CHAPTER,
    )  # fmt: skip
    if done.status == REPLACED:
        names = done.stdout.strip().splitlines()[-1]
        raise WorkshopError(
            f"The settings that are added would not be in force ({names}), "
            "because something in the project replaces Django's settings, as Dynaconf does.",
            "Say it in the project's own settings, and leave these parts out with --without. "
            "Nothing was written.",
        )
    return done.status == 0 or "could not be found" not in done.stderr


def versions(extras: Collection[str], installed: Mapping[str, str]) -> dict[str, str]:
    """The newest versions of packages that fit the project's own, by their normalized names.

    ``installed`` are the versions of the project's own, which stay as they are. Raises
    WorkshopError where nothing fits them.
    """
    if not extras:
        return {}
    script = (
        'echo "$1" > /tmp/installed && shift && pip --python /opt/venv/bin/python install '
        '--dry-run --quiet --report - --constraint /tmp/installed "$@"'
    )
    kept = "\n".join(f"{name}=={version}" for name, version in installed.items())
    done = containers.run(
        tag(), ["sh", "-c", script, "sh", kept, *extras], timeout=PROBE_S, chapter=CHAPTER
    )
    if done.status:
        raise WorkshopError(
            f"{', '.join(extras)} can't be added to the project's packages.",
            done.stderr.strip()[-800:],
        )
    found = json.loads(done.stdout)["install"]
    return {plan.normal(item["metadata"]["name"]): item["metadata"]["version"] for item in found}
