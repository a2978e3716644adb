"""The folder that a chapter builds in, and the Dockerfile that grows there.

A workspace is a fresh copy of the sample project with the Dockerfile and the
entrypoint beside manage.py. What the Dockerfile holds is decided in draft.py; here it is
written, built and looked at.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from ..build import buildx, grammar, progress
from ..build.progress import Step, makes_a_step
from ..engine import client, session
from ..errors import WorkshopError
from ..layers.image import Image
from ..layers.layer import Contents
from ..layers.look import Look, look_into
from ..layers.sources import contents_of, digests_of, of_image
from ..paths import DOCKERFILE, ENTRYPOINT, NOTEBOOKS, ROOT, SAMPLE_PROJECT, WORKSPACES
from ..run import containers
from ..run.containers import Container, Output
from ..run.site import Site
from ..show.display import Listing, Table, shorten, size
from ..show.drawing import Flow, Stages
from ..show.growth import Growth
from ..show.live import Live
from . import drawings
from .draft import Draft
from .results import Added, Change, Diff, StepResult, changed_settings, difference
from .terminal import Terminal

# Dockerfiles with few files of their own: the rest is that of another one.
ON_TOP_OF = {"smallest": "production", "stack": "production"}
NOT_COPIED = (
    ".venv",
    ".ruff_cache",
    "__pycache__",
    "*.sqlite3",
    "staticfiles",
    "Dockerfile",
    "entrypoint.sh",
)


@dataclass(frozen=True)
class _Described:
    """What of an image the next step is compared with: how many layers, which settings."""

    layers: int
    config: dict[str, Any]


class Workspace:
    """One chapter's build context, its Dockerfile and the images made from it.

    ``plan`` names the steps that the chapter's notebook adds, in order; ``given`` are
    the steps that the chapter starts from. ``tag`` is the image of the Dockerfile so far,
    ``before`` the one from before the newest change. What an earlier run of the chapter
    left on the engine is removed, its images included.
    """

    def __init__(self, chapter: str, given: Sequence[str] = (), plan: Sequence[str] = ()) -> None:
        self.chapter = chapter
        self.path = WORKSPACES / session.ident() / chapter
        self.tag = f"{session.prefix()}/{chapter}"
        self.before = f"{self.tag}:before"
        self.draft = Draft(tuple(given), tuple(plan))
        self.results: dict[str, StepResult] = {}
        names = {"IMAGE": self.tag, "ME": f"{session.prefix()}-{chapter}", "PORT": _free_port()}
        self.terminal = Terminal(self.path, chapter, names)
        self._described: dict[str, _Described] = {}  # by the text of the Dockerfile
        self._is_of_draft = False  # the image under ``tag``, with the files as they are
        self._remove_leftovers()
        session.remove_folder(self.path)
        shutil.copytree(SAMPLE_PROJECT, self.path, ignore=shutil.ignore_patterns(*NOT_COPIED))
        shutil.copy2(ENTRYPOINT, self.path)
        self._save(self.draft)

    def __repr__(self) -> str:
        count = len(self.draft.steps)
        state = f"{count} step{'s' if count > 1 else ''}" if count else "empty"
        return "\n".join(
            [
                f"A fresh copy of the sample project; Dockerfile: {state}.",
                "For the same in a terminal, at the top of the repository:",
                *(f"  {line}" for line in self.to_paste()),
            ]
        )

    def to_paste(self) -> list[str]:
        """What makes a terminal at the top of the repository one of this chapter."""
        variables = " ".join(f"{name}={value}" for name, value in self.terminal.variables.items())
        lines = [f"cd {self.path.relative_to(ROOT).as_posix()}", f"export {variables}"]
        if client.host() != client.DEFAULT_HOST:
            lines.append(f"export DOCKER_HOST={client.host()}")
        if client.kit_configuration().exists():
            lines.append(
                f"export DOCKER_CONFIG={shlex.quote(str(client.kit_configuration().parent))}"
            )
        return lines

    # The Dockerfile

    @property
    def text(self) -> str:
        """The Dockerfile so far."""
        return (self.path / "Dockerfile").read_text(encoding="utf-8")

    def dockerfile(self, new: str = "") -> Listing:
        """The Dockerfile so far, numbered; the lines of step ``new`` are marked.

        Without ``new`` the newest step is marked.
        """
        lines = self.text.splitlines()
        wanted = self.draft.step(new).splitlines()
        marked: frozenset[int] = frozenset()
        for at in range(len(lines) if wanted else 0):
            if lines[at : at + len(wanted)] == wanted:
                marked = frozenset(range(at + 1, at + 1 + len(wanted)))
        return Listing("Dockerfile", lines, marked)

    def stages(self) -> Stages:
        """The stages of the Dockerfile so far, drawn, with what one copies from another."""
        return drawings.stages(self.text)

    def flow(self, build: buildx.Build) -> Flow:
        """What ``build`` took out of the folder, its steps, and the layers that they left."""
        return drawings.flow(self.path, build, self.look())

    def containers(self) -> Flow:
        """The chapter's containers on their network, drawn, and which of them knows which."""
        return drawings.containers(self.chapter)

    def put(self, name: str, text: str) -> StepResult:
        """Make ``text`` the step ``name``, build the image so far, say what the step added.

        A step that was there is replaced, and the Dockerfile ends with it. After a
        failed build everything is as it was before.
        """
        draft = self.draft.put(name, text)
        with self._trying(draft):
            if grammar.stages(draft.text):
                built = self.build()
                layers = _contents(self.tag)
                added = self._added(draft, layers)
                growth = self._growth(layers, added.layers)
                own = _own(built, draft.text, draft.above, text)
                result = StepResult(name, built, added, own, growth)
            else:
                self._remove_images()
                result = StepResult(name, None, Added(0, 0, 0, []))
        self.results[name] = result
        return result

    def replace(self, name: str, text: str, first: str, last: str = "") -> Change:
        """Put ``text`` in place of the steps from ``first`` to ``last``, and build.

        Each of the two is a part of one step; without ``last`` only ``first`` is replaced.
        ``text`` may hold several steps. Made once more, the change ``name`` starts from
        the Dockerfile that it found the first time, so later changes are undone. After a
        failed build everything is as it was before.
        """
        found = self.draft.before(name)
        draft = self.draft.replace(name, text, first, last)
        with self._trying(draft):
            self._keep_before(found)
            built = self.build()
            layers = _contents(self.tag)
            growth = self._growth(layers, self._made_anew(), "from this change on")
        above = draft.steps[: found.position_of(first)]
        return Change(
            difference("Dockerfile", found.text, draft.text),
            built,
            _own(built, draft.text, above, text),
            growth,
            self.size(self.before),
            _size(layers),
        )

    def use(self, path: Path) -> None:
        """Make ``path`` the Dockerfile, whole, with what belongs beside it.

        That is what lies in the folder of its name: production/ of production.Dockerfile. Some
        need another one's files as well, and theirs come on top.
        """
        shutil.copy2(path, self.path / "Dockerfile")
        self.draft = Draft(tuple(grammar.steps(self.text)), self.draft.plan)
        self._is_of_draft = False
        names = [ON_TOP_OF.get(path.stem), path.stem] if path.suffix else []
        for folder in [path.with_name(name) for name in names if name]:
            if folder.is_dir():
                shutil.copytree(folder, self.path, dirs_exist_ok=True)

    @contextlib.contextmanager
    def _trying(self, draft: Draft) -> Iterator[None]:
        """Write a draft. It is kept if the block succeeds, else the one of before is back."""
        was_of_draft = self._is_of_draft
        self._save(draft)
        try:
            yield
        except BaseException:
            self._save(self.draft)
            self._is_of_draft = was_of_draft
            raise
        self.draft, self._is_of_draft = draft, bool(grammar.stages(draft.text))

    def _save(self, draft: Draft) -> None:
        self._write("Dockerfile", draft.text)

    def _keep_before(self, found: Draft) -> None:
        """Give the image of ``found`` the tag ``before``."""
        if not (self._is_of_draft and found == self.draft):
            self._build_text(found.text, self.before)
            return
        repository, _, tag = self.before.rpartition(":")
        with session.replacing(self.before):
            client.connect().api.tag(self.tag, repository, tag)

    # What a step added

    def _added(self, draft: Draft, layers: Sequence[Contents]) -> Added:
        """What the newest step, which was just built, added to the image of the steps above.

        ``layers`` are those of the image that it made.
        """
        above, own = _opened_and_own(draft.steps[-1])
        if above and not own:
            base = grammar.stages(draft.text)[-1].base
            return Added(0, 0, 0 if base == "scratch" else _size(layers), [], base)
        before = self._before(grammar.join([*draft.above, *above]), bool(above))
        now = self._described[draft.text] = _described(_inspected(self.tag))
        fresh = layers[before.layers :] if now.layers > before.layers else []
        entries = [entry for layer in fresh for entry in layer.entries]
        return Added(
            len(fresh),
            sum(entry.kind != "folder" for entry in entries),
            sum(entry.size for entry in entries),
            changed_settings(before.config, now.config),
        )

    def _growth(self, layers: Sequence[Contents], new: int, newest: str = "this step") -> Growth:
        """The layers of the image so far; the last ``new`` of them come from the newest cell."""
        base = grammar.base_image(self.text)
        below = _described(_inspected(base)).layers if base else 0
        return Growth([_size([layer]) for layer in layers], below, new, newest)

    def _made_anew(self) -> int:
        """How many layers of the image so far, from the first other one on, ``before`` lacks."""
        before, now = (
            digests_of(image, client=client.connect()) for image in (self.before, self.tag)
        )
        return len(now) - len(os.path.commonprefix([before, now]))

    def _before(self, text: str, opens_a_stage: bool) -> _Described:
        """The image of the Dockerfile ``text``, as its own step left it, or its base.

        Only what no step left is built, from the cache: the steps that a chapter starts from.
        """
        if text not in self._described:
            stages = grammar.stages(text)
            image = None
            if opens_a_stage and grammar.earlier_stage(stages, len(stages) - 1) is None:
                image = _inspected(stages[-1].base)
            if image is None:
                tag = f"{self.tag}:above"
                self._build_text(text, tag)
                image = _inspected(tag)
                client.connect().api.remove_image(tag)
            self._described[text] = _described(image)
        return self._described[text]

    # Building

    def build(
        self, *options: str, target: str = "", file: str = "", name: str = ""
    ) -> buildx.Build:
        """Build the Dockerfile so far, or ``file``; ``options`` go to `docker build` as they are.

        ``target`` stops at that stage, ``name`` gives the image a tag of its own.
        """
        if not file and not grammar.instructions(self.text):
            raise WorkshopError(
                "The Dockerfile is still empty.", "Run the first `%%dockerfile` cell."
            )
        if not name:
            self._is_of_draft = False
        return self._build(f"{self.tag}:{name}" if name else self.tag, file, options, target)

    def _build(
        self, tag: str, file: str = "", options: Sequence[str] = (), target: str = ""
    ) -> buildx.Build:
        words = ["docker", "build", *options]
        words += ["-f", file] if file else []
        words += ["--target", target] if target else []
        words += ["-t", tag, "."]
        with session.replacing(tag), Live() as live:
            built = buildx.build_image(
                words, cwd=self.path, labels=session.labels(), tell=live.line
            )
        built.typed = built.typed.replace(self.tag, "$IMAGE")
        return built

    def _build_text(self, text: str, tag: str) -> None:
        """Build another Dockerfile than the one so far, which lies outside the context."""
        file = f"../{self.chapter}.Dockerfile"
        self._write(file, text)
        try:
            self._build(tag, file)
        finally:
            (self.path / file).unlink()

    def _remove_images(self) -> None:
        """Remove the chapter's images, the reader's own tags excepted."""
        tags = session.tags(self.tag)
        with session.replacing(*tags):
            for tag in tags:
                with contextlib.suppress(docker.errors.APIError):
                    client.connect().api.remove_image(tag, force=True)

    # Files of the build context

    def read(self, path: str) -> str:
        """The text of a file of the workspace."""
        return (self.path / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """Write a file of the workspace; folders are made."""
        self._is_of_draft = False
        self._write(path, text)

    def _write(self, path: str, text: str) -> None:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")

    def edit(self, path: str, old: str, new: str) -> Diff:
        """Replace ``old``, which must occur once, by ``new``; returns the difference."""
        before = self.read(path)
        count = before.count(old)
        if count != 1:
            fix = "Give a longer part of the text, which is there once."
            if not count:
                fix = "`print(ws.read(…))` shows what the file holds."
            if not count and new in before:
                fix = (
                    "It was edited already, so you can go on. To do it once more, run the "
                    "chapter's first cell again, then the cells from there on."
                )
            raise WorkshopError(f"{path} holds {old!r} {count} times, not once.", fix)
        after = before.replace(old, new)
        self.write(path, after)
        return difference(path, before, after)

    def add_comment(self, path: str) -> None:
        """Put one more line at the end of ``path``: a comment that no file had before.

        So no cache can know the file.
        """
        note = f"edited {secrets.token_hex(8)}"
        comment = {".html": f"<!-- {note} -->", ".css": f"/* {note} */"}
        line = comment.get(Path(path).suffix, f"# {note}")
        self.write(path, f"{self.read(path).rstrip()}\n{line}\n")

    def restore(self, path: str) -> None:
        """Put a file of the sample project back as it was when the chapter began."""
        self.write(path, (SAMPLE_PROJECT / path).read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def edited(self, path: str) -> Iterator[None]:
        """For the length of a ``with`` block, ``path`` has one more line: a new comment."""
        with self.changed({path: self.read(path)}):
            self.add_comment(path)
            yield

    @contextlib.contextmanager
    def changed(self, files: Mapping[str, str]) -> Iterator[None]:
        """For the length of a ``with`` block, these files, which are there, have other texts."""
        before = {path: self.read(path) for path in files}
        try:
            for path, text in files.items():
                self.write(path, text)
            yield
        finally:
            for path, text in before.items():
                self.write(path, text)

    # Containers

    def run(self, *command: str, image: str = "", **settings: Any) -> Output:
        """Run one command in the image so far, or in ``image``; see containers.run."""
        return containers.run(image or self.tag, command, chapter=self.chapter, **settings)

    def sh(self, script: str, image: str = "", **settings: Any) -> Output:
        """Run a line of shell in the image so far, past its entrypoint."""
        options = [*settings.pop("options", ()), "--entrypoint", "sh"]
        return self.run("-c", script, image=image, options=options, **settings)

    def start(self, *command: str, image: str = "", **settings: Any) -> Container:
        """Start a container of the image so far, or of ``image``; see containers.start."""
        settings = {"name": "container", "chapter": self.chapter, **settings}
        return containers.start(image or self.tag, command, **settings)

    def network(self) -> str:
        """Make the chapter's network, anew if it is there already; returns its name."""
        name = f"{session.prefix()}-{self.chapter}"
        self.remove_network(name)
        client.connect().networks.create(name, labels=session.labels(self.chapter))
        return name

    def remove_network(self, name: str) -> None:
        """Remove a network with the containers in it."""
        containers.remove_network(name)

    def _remove_leftovers(self) -> None:
        """Remove what an earlier run of this chapter left, also one whose kernel was killed."""
        containers.remove_of(self.chapter)
        self._remove_images()

    def site(self) -> Site:
        """The site on the chapter's $PORT; waits until it answers, see Site."""
        return Site(self.terminal.variables["PORT"]).wait()

    # Looking at images

    def size(self, image: str = "") -> int:
        """Bytes that the image's layers store, the base's included: what their entries say."""
        return _size(_contents(self._present(image)))

    def history(self, image: str = "", first: int | None = None) -> Table:
        """One row an instruction, newest first, with the bytes of its layer.

        The rows are those of `docker history`; the bytes are what the layer's entries say,
        and 0 for an instruction that made no layer.
        """
        found = _image(self._present(image))
        sizes = [layer.size for layer in found.layers]
        rows = []
        for entry in reversed(found.config.get("history") or []):
            has_layer = sizes and not entry.get("empty_layer")
            created_by = entry.get("created_by", "").removesuffix("# buildkit")
            rows.append((shorten(created_by, 66), size(sizes.pop() if has_layer else 0)))
        return Table(
            f"docker history {image or self.tag}",
            ("instruction", "size"),
            rows[:first],
            right=("size",),
            least={"size": 9},
        )

    def look(self, image: str = "") -> Look:
        """Look into the image, layer by layer; see look.Look for what you can ask it.

        The layers of the image that the last stage starts from are shown as one.
        """
        base = grammar.base_image(self.text)
        known = base if base and _inspected(base) else ""
        return look_into(self._present(image), known, client=client.connect())

    def config(self, image: str = "") -> dict[str, Any]:
        """The image's settings, as `docker image inspect` shows them under Config."""
        return _described(_inspected(self._present(image))).config

    def _present(self, image: str) -> str:
        """``image``, or the image so far. Raises WorkshopError if that is not built yet."""
        name = image or self.tag
        if containers.is_ours(name) and not _inspected(name):
            raise containers.not_there(name)
        return name


def _free_port() -> str:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as asked:
        asked.bind((client.LOOPBACK, 0))
        return str(asked.getsockname()[1])


_current: Workspace | None = None


def checkpoint(chapter: str, after: str = "") -> Workspace:
    """Start a chapter: a fresh workspace, its Dockerfile cut from the finished one.

    ``chapter`` is the notebook's name; ``after`` names the stage of the finished
    Dockerfile that is already there, with all before it. Without it the chapter
    starts from an empty Dockerfile.
    """
    global _current
    finished = DOCKERFILE.read_text(encoding="utf-8")
    given = grammar.upto_stage(finished, after) if after else []
    _current = Workspace(chapter, given, planned_steps(chapter))
    lines = [f"cd {shlex.quote(str(_current.path))}", *_current.to_paste()[1:]]
    if shutil.which("docker") != client.cli():  # the first one on PATH can't build
        lines.append(f"export PATH={shlex.quote(str(Path(client.cli()).parent))}:$PATH")
    terminal_file().write_text("\n".join([*lines, ""]), encoding="utf-8")
    return _current


def terminal_file() -> Path:
    """What makes a shell the terminal of the chapter that began last; there or not."""
    return WORKSPACES / session.ident() / "terminal.sh"


def current() -> Workspace:
    """The workspace of the chapter that runs in this kernel."""
    if _current is None:
        raise WorkshopError(
            "This notebook has no workspace yet.",
            "Run its first code cell, the one with checkpoint(…), then the cells from there on.",
        )
    return _current


def planned_steps(chapter: str) -> list[str]:
    """The names of the ``%%dockerfile`` cells of a notebook, in order."""
    path = NOTEBOOKS / f"{chapter}.ipynb"
    if not path.exists():
        return []
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    heads = ["".join(c["source"]).split("\n", 1)[0].split() for c in cells if c["source"]]
    names = [head[1] for head in heads if len(head) == 2 and head[0] == "%%dockerfile"]
    return list(dict.fromkeys(names))


def _own(built: buildx.Build, text: str, above: Sequence[str], new: str) -> list[Step]:
    """The steps of a build of the Dockerfile ``text`` that its part ``new`` wrote.

    ``above`` are the steps of the Dockerfile that stand above that part.
    """
    start, count = (
        sum(map(makes_a_step, grammar.instructions(part))) for part in (grammar.join([*above]), new)
    )
    if count:
        own = progress.written(text)[start : start + count]
        return [made for made in built.steps if (made.stage, made.number, made.instruction) in own]
    opens = any(map(grammar.stage_of, grammar.instructions(new)))
    return [made for made in built.steps if made.cached is None][-1:] if opens else []


def _opened_and_own(step: str) -> tuple[list[str], list[str]]:
    """The instructions of a step up to its last FROM, and those after it."""
    found = grammar.instructions(step)
    opened = [number for number, text in enumerate(found) if grammar.stage_of(text)]
    cut = opened[-1] + 1 if opened else 0
    return found[:cut], found[cut:]


def _inspected(image: str) -> dict[str, Any] | None:
    """What `docker image inspect` says; None if the engine does not have it."""
    found = session.image(image)
    return found.attrs if found else None


def _described(image: dict[str, Any] | None) -> _Described:
    image = image or {}
    layers = image.get("RootFS", {}).get("Layers") or []
    return _Described(len(layers), image.get("Config") or {})


def _size(layers: Sequence[Contents]) -> int:
    return sum(entry.size for layer in layers for entry in layer.entries)


def _contents(image: str) -> list[Contents]:
    return contents_of(image, client=client.connect())


def _image(image: str) -> Image:
    return of_image(image, client=client.connect())
