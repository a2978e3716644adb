"""The folder that a chapter builds in, and the Dockerfile that grows there.

A workspace is a fresh copy of the sample project with the Dockerfile and the
entrypoint beside manage.py.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from ..build import buildx, grammar
from ..engine import client, session
from ..errors import WorkshopError
from ..layers.look import Look, look_into
from ..layers.sources import contents_of
from ..paths import DOCKERFILE, ENTRYPOINT, NOTEBOOKS, ROOT, SAMPLE_PROJECT, WORKSPACES
from ..run import containers
from ..run.containers import Container, Output
from ..show.display import Composed, Listing, Stack, Table, shorten, size
from ..show.live import Live

NOT_COPIED = (".venv", "__pycache__", "*.sqlite3", "staticfiles", "Dockerfile", "entrypoint.sh")


@dataclass(repr=False)
class Added(Composed):
    """What a step added to the image: layers, files, bytes; and the settings it changed.

    For a step that only opens a stage ``base`` names the image that the stage starts
    from, and ``bytes`` is that image's size.
    """

    layers: int
    files: int
    bytes: int
    settings: list[str]
    base: str = ""

    def parts(self) -> Stack:
        if self.base:
            return Stack([f"Starts from {self.base}: {size(self.bytes)}."])
        lines = ["Added no layer."]
        if self.layers:
            layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
            files = "1 file" if self.files == 1 else f"{self.files:,} files"
            lines = [f"Added {layers}: {size(self.bytes)} in {files}."]
        return Stack(lines + [f"Set {setting}" for setting in self.settings])


@dataclass(repr=False)
class StepResult(Composed):
    """The answer of a ``%%dockerfile`` cell: the build, and what the step added."""

    name: str
    build: buildx.Build
    added: Added

    def parts(self) -> Stack:
        return Stack([self.build, self.added])


@dataclass(repr=False)
class Change(Composed):
    """The answer of a ``%%dockerfile`` cell that replaces steps: the difference and the build.

    ``bytes_before`` and ``bytes`` are those of the whole image.
    """

    diff: Diff
    build: buildx.Build
    bytes_before: int
    bytes: int

    def parts(self) -> Stack:
        change = f"The image has {size(self.bytes)}; before, it had {size(self.bytes_before)}."
        return Stack([self.diff, self.build, change])


class Workspace:
    """One chapter's build context, its Dockerfile and the images made from it.

    ``plan`` names the steps that the chapter's notebook adds, in order; ``given`` are
    the steps that the chapter starts from. ``tag`` is the image of the Dockerfile so far,
    ``before`` the one from before the newest change.
    """

    def __init__(self, chapter: str, given: Sequence[str] = (), plan: Sequence[str] = ()) -> None:
        self.chapter = chapter
        self.path = WORKSPACES / session.ident() / chapter
        self.tag = f"{session.prefix()}/{chapter}"
        self.plan = list(plan)
        self.given = list(given)
        self.written: dict[str, str] = {}
        self.results: dict[str, StepResult] = {}
        self.before = f"{self.tag}:before"
        self._undone: dict[str, list[str]] = {}
        self._position = ""
        self._known: dict[str, dict[str, Any]] = {}
        self._remove_leftovers()
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(SAMPLE_PROJECT, self.path, ignore=shutil.ignore_patterns(*NOT_COPIED))
        shutil.copy2(ENTRYPOINT, self.path)
        self._save(self._steps())

    def __repr__(self) -> str:
        state = f"{len(self.given)} steps" if self.given else "empty"
        return f"Workspace {self.chapter}: a fresh copy of the sample project; Dockerfile: {state}."

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
        marked: frozenset[int] = frozenset()
        step = self.written.get(new or self._position)
        if step:
            wanted = step.splitlines()
            for at in range(len(lines)):
                if lines[at : at + len(wanted)] == wanted:
                    marked = frozenset(range(at + 1, at + 1 + len(wanted)))
        return Listing("Dockerfile", lines, marked)

    def put(self, name: str, text: str) -> StepResult:
        """Make ``text`` the step ``name``, build the image so far, say what the step added.

        A step that was there is replaced, and the Dockerfile ends with it. After a
        failed build everything is as it was before.
        """
        text = text.strip("\n")
        if not grammar.instructions(text):
            raise WorkshopError(
                f"The step {name!r} holds no instruction.", "Write one below the first line."
            )
        if len(grammar.steps(text)) > 1:
            raise WorkshopError(
                f"The step {name!r} holds a blank line, which ends a step.",
                "Remove the blank line, or give each step a cell of its own.",
            )
        self._refuse_a_gap(name)
        before = dict(self.written), list(self.plan), self._position, self._steps()
        self.written[name] = text
        if name not in self.plan:
            self.plan.insert(
                self.plan.index(self._position) + 1 if self._position in self.plan else 0, name
            )
        self._position = name
        try:
            before_image = self._before(text)
            self._save(self._steps())
            built = self.build()
            added = self._added(text, before_image)
        except BaseException:
            self.written, self.plan, self._position, steps = before
            self._save(steps)
            raise
        self.results[name] = StepResult(name, built, added)
        return self.results[name]

    def replace(self, name: str, text: str, first: str, last: str = "") -> Change:
        """Put ``text`` in place of the steps from ``first`` to ``last``, and build.

        Each of the two is a part of one step; without ``last`` only ``first`` is replaced.
        ``text`` may hold several steps. Made once more, the change ``name`` starts from
        the Dockerfile that it found the first time, so later changes are undone. After a
        failed build everything is as it was before.
        """
        now = self._steps()
        steps = self._undone.get(name, now)
        start, end = (self._position_of(part, steps) for part in (first, last or first))
        if start > end:
            raise WorkshopError(f"{last!r} comes before {first!r}.", "Name them the other way.")
        changed = [*steps[:start], *grammar.steps(text), *steps[end + 1 :]]
        before, after = grammar.join(steps), grammar.join(changed)
        self._save(steps)
        try:
            self.build(name="before")
            self._save(changed)
            built = self.build()
        except BaseException:
            self._save(now)
            raise
        self._undone[name], self.given = steps, changed
        self.written, self._position = {}, ""
        return Change(
            _difference("Dockerfile", before, after), built, self.size(self.before), self.size()
        )

    def _position_of(self, part: str, steps: list[str]) -> int:
        found = [number for number, step in enumerate(steps) if part in step]
        if len(found) != 1:
            raise WorkshopError(
                f"{len(found) or 'No'} steps of the Dockerfile hold {part!r}.",
                "Run the cells above first." if not found else "Name more of the one you mean.",
            )
        return found[0]

    def _refuse_a_gap(self, name: str) -> None:
        earlier = self.plan[: self.plan.index(name)] if name in self.plan else []
        missing = next((step for step in earlier if step not in self.written), None)
        if missing:
            raise WorkshopError(
                f"The step {name!r} comes after {missing!r}, which is not there yet.",
                f"Run the cell `%%dockerfile {missing}` first.",
            )

    def _steps(self) -> list[str]:
        """The steps up to the newest one, in the order of the notebook."""
        if not self._position:
            return self.given
        upto = self.plan[: self.plan.index(self._position) + 1]
        return [*self.given, *(self.written[name] for name in upto if name in self.written)]

    def _save(self, steps: list[str]) -> None:
        text = grammar.join(steps) if steps else ""
        (self.path / "Dockerfile").write_text(text, encoding="utf-8", newline="\n")

    def _before(self, step: str) -> dict[str, Any]:
        """What the engine says of the image as it was before ``step``.

        That is the image of the steps above; for a step that opens a stage, its base.
        """
        opened = grammar.stages(step)
        steps = self._steps()  # the last one is the new one
        above = grammar.join(steps[:-1]) if steps[:-1] else ""
        if opened:
            earlier = [stage.name for stage in grammar.stages(above)]
            if opened[-1].base not in earlier:
                return _described(opened[-1].base)
        elif above in self._known:
            return self._known[above]
        self._save(grammar.steps(above))
        self.build(target=opened[-1].base if opened else "")
        self._save(steps)
        return _described(self.tag)

    def _added(self, step: str, before: dict[str, Any]) -> Added:
        now = self._known[self.text] = _described(self.tag)
        old, new = before["RootFS"]["Layers"], now["RootFS"]["Layers"]
        entries = [i for i in grammar.instructions(step) if not grammar.stage_of(i)]
        if not entries:
            return Added(0, 0, before["Size"], [], base=grammar.stages(step)[-1].base)
        engine = client.connect()
        fresh = contents_of(self.tag, client=engine)[len(old) :] if len(new) > len(old) else []
        history = engine.images.get(self.tag).history()
        return Added(
            len(fresh),
            sum(entry.kind != "folder" for layer in fresh for entry in layer.entries),
            sum(entry["Size"] for entry in history[: len(entries)]),
            _changed_settings(before["Config"], now["Config"]),
        )

    def use(self, path: Path) -> None:
        """Make ``path`` the Dockerfile, whole, with what belongs beside it.

        That is what lies in the folder of its name: production/ of production.Dockerfile.
        """
        shutil.copy2(path, self.path / "Dockerfile")
        self.given, self.written, self._position = grammar.steps(self.text), {}, ""
        beside = path.with_suffix("")
        if path.suffix and beside.is_dir():
            shutil.copytree(beside, self.path, dirs_exist_ok=True)

    # Building

    def build(
        self, *options: str, target: str = "", file: str = "", name: str = ""
    ) -> buildx.Build:
        """Build the Dockerfile so far, or ``file``; ``options`` go to `docker build` as they are.

        ``target`` stops at that stage, ``name`` gives the image a tag of its own.
        """
        text = (self.path / (file or "Dockerfile")).read_text(encoding="utf-8")
        if not grammar.instructions(text):
            raise WorkshopError(
                "The Dockerfile is still empty.", "Run the first `%%dockerfile` cell."
            )
        tag = f"{self.tag}:{name}" if name else self.tag
        replaced = _described(tag)["Id"]
        with Live() as live:
            built = buildx.build_image(
                tag=tag,
                shown_as=self.path.relative_to(ROOT).as_posix(),
                cwd=ROOT,
                target=target,
                file=file,
                labels=session.labels(),
                options=options,
                progress=live.line,
            )
        if replaced and replaced != _described(tag)["Id"]:
            _forget_image(replaced)
        return built

    # Files of the build context

    def read(self, path: str) -> str:
        """The text of a file of the workspace."""
        return (self.path / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """Write a file of the workspace; folders are made."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")

    def edit(self, path: str, old: str, new: str) -> Diff:
        """Replace ``old``, which must occur once, by ``new``; returns the difference."""
        before = self.read(path)
        if before.count(old) != 1:
            raise WorkshopError(f"{path} holds {old!r} {before.count(old)} times, not once.")
        after = before.replace(old, new)
        self.write(path, after)
        return _difference(path, before, after)

    @contextlib.contextmanager
    def edited(self, path: str) -> Iterator[None]:
        """For the length of a ``with`` block, ``path`` has one more line: a new comment.

        The comment differs every time, so no cache can know the file.
        """
        note = f"edited {secrets.token_hex(8)}"
        comment = {".html": f"<!-- {note} -->", ".css": f"/* {note} */"}
        line = comment.get(Path(path).suffix, f"# {note}")
        with self.changed({path: f"{self.read(path).rstrip()}\n{line}\n"}):
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
        return containers.run(image or self.tag, command, **settings)

    def sh(self, script: str, image: str = "", **settings: Any) -> Output:
        """Run a line of shell in the image so far, past its entrypoint."""
        options = [*settings.pop("options", ()), "--entrypoint", "sh"]
        return containers.run(image or self.tag, ["-c", script], options=options, **settings)

    def start(self, *command: str, image: str = "", **settings: Any) -> Container:
        """Start a container of the image so far, or of ``image``; see containers.start."""
        name = f"{self.chapter}-{settings.pop('name', 'container')}"
        return containers.start(image or self.tag, command, name=name, **settings)

    def network(self) -> str:
        """Make the chapter's network, anew if it is there already; returns its name."""
        name = f"{session.prefix()}-{self.chapter}"
        self.remove_network(name)
        client.connect().networks.create(name, labels=session.labels())
        return name

    def remove_network(self, name: str) -> None:
        """Remove a network with the containers in it."""
        with contextlib.suppress(docker.errors.NotFound):
            found = client.connect().networks.get(name)
            for container in found.containers:
                container.remove(force=True, v=True)
            found.remove()

    def _remove_leftovers(self) -> None:
        """What an earlier run of this chapter left because its kernel was killed."""
        engine = client.connect()
        mine = {"label": f"{session.LABEL}={session.ident()}"}
        for container in engine.containers.list(all=True, filters=mine, ignore_removed=True):
            if container.name.startswith(f"{session.prefix()}-{self.chapter}-"):
                engine.api.remove_container(container.name, force=True, v=True)
        self.remove_network(f"{session.prefix()}-{self.chapter}")

    # Looking at images

    def size(self, image: str = "") -> int:
        """Bytes of the image's layers, the base's included."""
        return sum(e["Size"] for e in client.connect().images.get(image or self.tag).history())

    def history(self, image: str = "", first: int | None = None) -> Table:
        """One row an instruction, newest first, with its bytes, like `docker history`."""
        entries = client.connect().images.get(image or self.tag).history()
        rows = [
            (shorten(e["CreatedBy"].removesuffix("# buildkit"), 66), size(e["Size"]))
            for e in entries[:first]
        ]
        return Table(
            f"docker history {image or self.tag}",
            ("instruction", "size"),
            rows,
            right=("size",),
            least={"size": 9},
        )

    def look(self, image: str = "") -> Look:
        """Look into the image, layer by layer; see look.Look for what you can ask it.

        The layers of the image that the last stage starts from are shown as one.
        """
        bases = {stage.name: stage.base for stage in grammar.stages(self.text)}
        base = list(bases.values())[-1] if bases else ""
        while base in bases:
            base = bases[base]
        return look_into(image or self.tag, base, client=client.connect())

    def config(self, image: str = "") -> dict[str, Any]:
        """The image's settings, as `docker image inspect` shows them under Config."""
        return client.connect().images.get(image or self.tag).attrs["Config"]


@dataclass(repr=False)
class Diff(Listing):
    """Lines of a difference, without numbers."""

    def _numbered(self) -> list[str]:
        return list(self.lines)


def _difference(path: str, before: str, after: str) -> Diff:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    told = ["…" if line.startswith("@@") else line for line in lines]
    return Diff(f"{path}, edited", told[3:])


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
    return _current


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


def _described(image: str) -> dict[str, Any]:
    """What `docker image inspect` says; without any layer if the engine does not have it."""
    try:
        return client.connect().images.get(image).attrs
    except docker.errors.ImageNotFound:
        return {"Id": "", "RootFS": {"Layers": []}, "Config": {}, "Size": 0}


def _forget_image(image_id: str) -> None:
    """Remove an image that lost its tag to a newer build; the build cache keeps its layers."""
    try:
        if not client.connect().images.get(image_id).tags:
            client.connect().api.remove_image(image_id)
    except docker.errors.APIError:
        pass  # a container still uses it; `workshop clean` removes it later


def _changed_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings of an image that differ, as ``NAME value``; labels are left out."""
    changed = []
    old_env, new_env = before.get("Env") or [], now.get("Env") or []
    changed += [f"ENV {entry}" for entry in new_env if entry not in old_env]
    for key, word in (
        ("WorkingDir", "WORKDIR"), ("User", "USER"), ("Entrypoint", "ENTRYPOINT"), ("Cmd", "CMD"),
        ("ExposedPorts", "EXPOSE"), ("Healthcheck", "HEALTHCHECK"), ("StopSignal", "STOPSIGNAL"),
    ):  # fmt: skip
        if now.get(key) != before.get(key):
            value = now.get(key)
            shown = value if isinstance(value, str) else json.dumps(value)
            changed.append(f"{word} {shown}")
    return changed
