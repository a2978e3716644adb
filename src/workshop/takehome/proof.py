"""Build a project's image, run it, and say what holds: property by property."""

from __future__ import annotations

import html
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import requests

from ..build import buildx
from ..engine import client, session
from ..errors import WorkshopError
from ..layers.look import Look, look_into
from ..layers.unwanted import Finding
from ..run import containers, drain
from ..run.containers import Container
from ..show.console import say
from ..show.display import Composed, Table, size
from . import ask, plan, probe
from .plan import Plan

DATABASE = "postgres:17"
PASSWORD = "only-for-the-proof"
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
# Pages that a project may have where / is none.
PAGES = ("/", "/admin/login/", "/accounts/login/", "/login/", "/api/", "/en/")
NAMED = """
import django; django.setup()
from django.conf import settings
from django.shortcuts import resolve_url
for name in ("admin:login", settings.LOGIN_URL):
    try:
        print(resolve_url(name))
    except Exception:
        pass  # no page has this name
"""
DATABASES = {"psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary"}
REDIRECTS = 5
# A virtual environment is known by its file pyvenv.cfg, whatever its folder is named.
_OF_A_DEVELOPER = re.compile(
    r"(.*?/node_modules)/|(.+)/pyvenv\.cfg$"
    r"|(.+\.(?:dump|pgdump|sql\.gz|sqlite3)|.*/(?:dump|backup)[^/]*\.sql)$"
)
WAIT_S = 90.0
MIGRATE_S = 600.0

State = Literal["holds", "fails", "untried"]
MARKS: Mapping[State, str] = {"holds": "✔", "fails": "✘", "untried": "–"}


@dataclass(frozen=True)
class Property:
    """One property of the image: whether it holds, and what was seen."""

    name: str
    state: State
    seen: str = ""

    def __str__(self) -> str:
        seen = f": {self.seen}" if self.seen else ""
        return f"{MARKS[self.state]} {self.name}{seen}"


@dataclass(repr=False)
class Report(Composed):
    """All properties of one image, in the order in which they were tried."""

    project: str
    properties: list[Property] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """True when none fails. What could not be tried does not count."""
        return not any(found.state == "fails" for found in self.properties)

    def parts(self) -> Table:
        rows = [(MARKS[p.state], p.name, p.seen) for p in self.properties]
        return Table(f"The image of {self.project}", ("", "property", "seen"), rows)

    def text(self) -> str:
        return "\n".join([f"The image of {self.project}", *(f"  {p}" for p in self.properties)])

    def verdict(self) -> str:
        """The whole in a line."""
        held = sum(found.state == "holds" for found in self.properties)
        return f"{held} of {len(self.properties)} properties hold for the image of {self.project}."

    def as_json(self) -> dict[str, Any]:
        """What ``--check --json`` prints."""
        return {
            "project": self.project,
            "holds": self.holds,
            "properties": [
                {"name": p.name, "state": p.state, "seen": p.seen} for p in self.properties
            ],
        }

    def page(self) -> str:
        """A page of HTML to keep."""
        title = html.escape(f"The image of {self.project}")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            "<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}"
            "td,th{padding:.3em .6em;text-align:left;vertical-align:top}</style>"
            f"{self.html()}</html>\n"
        )


class Proof:
    """Tries one property after the other on one image."""

    def __init__(self, made: Plan, dockerfile: str) -> None:
        self.made, self.dockerfile = made, dockerfile
        self.tag = f"{session.prefix()}/{ask.CHAPTER}:proof"
        self.report = Report(made.context["title"])

    def add(self, name: str, holds: bool, seen: str = "") -> None:
        self._tell(Property(name, "holds" if holds else "fails", seen))

    def skip(self, name: str, because: str) -> None:
        self._tell(Property(name, "untried", f"could not be tried, because {because}"))

    def _tell(self, found: Property) -> None:
        self.report.properties.append(found)
        say(f"  {found}")

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """A property that could not be tried to its end fails, with the reason."""
        try:
            yield
        except (WorkshopError, requests.RequestException) as error:
            self.add(name, False, _short(str(error)))

    def run(self) -> Report:
        try:
            self._build(self.dockerfile, self.tag)
        except buildx.BuildFailed as failure:
            self.add("it builds", False, _said(failure))
            return self.report
        self.add("it builds", True)
        self._commands()
        self._contents(look_into(self.tag, self.made.context["base"], client=client.connect()))
        with ExitStack() as stack:
            self._serve(stack)
        self._weight()
        return self.report

    def _build(self, file: str, tag: str) -> None:
        with session.replacing(tag):
            buildx.build_image(
                ["docker", "build", "-f", file, "-t", tag, "."],
                cwd=self.made.project.folder, labels=session.labels(ask.CHAPTER), tell=_quiet,
            )  # fmt: skip

    def _ask(self, *command: str, **settings: Any) -> containers.Output:
        return containers.run(self.tag, command, chapter=ask.CHAPTER, **settings)

    def _commands(self) -> None:
        statuses = [self._ask("sh", "-c", f"exit {n}").status for n in (0, 7)]
        self.add("it passes the exit status of a command on", statuses == [0, 7])
        unknown = self._ask("no-such-command")
        self.add("an unknown command fails, and says what is known", unknown.status == 127)
        user = self._ask("id", "-u").stdout.strip()
        config = client.connect().images.get(self.tag).attrs["Config"]["User"]
        self.add(
            "its user is a number, and not root",
            config[:1].isdigit() and user != "0",
            f"user {user}",
        )
        found = self._ask(
            "sh", "-c",
            "find /app /opt/venv /usr -xdev -writable -not -type l 2>/dev/null | head -n 2000",
        )  # fmt: skip
        writable = self.made.context["writable"]
        code = not_in(found.lines, writable)
        code += self._ask("find", *writable, "-name", "*.py").lines
        self.add("the process can't write its own code", not code, ", ".join(code[:3]))
        rights = self._ask("sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null")
        self.add("no program has a setuid bit", not rights.lines, ", ".join(rights.lines[:3]))

    def _contents(self, look: Look) -> None:
        own = [
            f for f in look.unwanted().findings if f.layer is None or f.layer >= look.base_layers
        ]
        tools = [f"{f.kind} at {f.place}" for f in own if is_for_building(f)]
        tools += [f"/{path}" for path in look.files if path.startswith("tmp/")]
        self.add("it holds no compiler and no cache", not tools, ", ".join(tools[:3]))
        left = left_by_a_developer(look.files)
        self.add("it holds nothing that only a developer needs", not left, ", ".join(left[:3]))
        kept = private(own, self.made.answered)
        self.add("it holds no secret and no history of git", not kept, _places(kept))
        hidden: Counter[str] = Counter()
        for path, lost, stored, _ in look.superseded_paths:
            if stored >= look.base_layers:
                hidden["/" + "/".join(path.split("/")[:2])] += lost
        is_little = hidden.total() < 1_000_000
        most = "" if is_little else f", most of them below {hidden.most_common(1)[0][0]}"
        self.add("it hides next to no bytes of its own", is_little, f"{size(hidden.total())}{most}")

    # The server

    def _environment(self) -> dict[str, str]:
        names = "localhost,127.0.0.1,server"
        env = {**self.made.answered, "ALLOWED_HOSTS": names, "DJANGO_ALLOWED_HOSTS": names}
        for name in [name for name in env if "SECRET" in name or name.endswith("_KEY")]:
            env[name] = secrets.token_hex(25)
        env["SECRET_KEY"] = secrets.token_hex(25)
        # On a machine with more processors, drain.stop would keep too few of the threads busy.
        env["WEB_CONCURRENCY"] = "1"
        return env

    def _serve(self, stack: ExitStack) -> None:
        env = self._environment()
        network = f"{session.prefix()}-{ask.CHAPTER}"
        containers.remove_network(network)
        client.connect().networks.create(network, labels=session.labels(ask.CHAPTER))
        stack.callback(containers.remove_network, network)
        database = None
        if DATABASES & set(self.made.context["packages"]):
            options = ["--network", network, "--network-alias", "db"]
            told = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "proof"}
            database = stack.enter_context(
                self._start(DATABASE, (), "db", options, told, ready="listening on IPv4")
            )
            database.wait_until("pg_isready", "--host", "127.0.0.1", "--dbname", "proof")
            address = f"postgres://postgres:{PASSWORD}@db:5432/proof"
            # Further databases have an address in a variable of their own.
            env |= {name: address for name, value in env.items() if value == probe.SQLITE}
            env["DATABASE_URL"] = address
        elif self.made.context["sqlite"] or "sqlite" in self.made.context["engine"]:
            env.setdefault("DATABASE_URL", "sqlite:////tmp/db.sqlite3")
        options = ["--network", network, "--network-alias", "server", *HARDENED, "--tmpfs=/tmp"]
        for folder in self.made.context["writable"]:
            options += ["--mount", f"type=volume,target={folder}"]
        server = self._started(stack, options, env)
        if server is None:
            return
        self._migrate(server, database)
        self._pages(server)
        self._ready(server, database)
        self._stop(server, network)

    def _start(
        self, image: str, command: tuple[str, ...], name: str, options: list[str],
        env: Mapping[str, str], **settings: Any,
    ) -> Container:  # fmt: skip
        return containers.start(
            image, command, name=name, options=options, env=env, chapter=ask.CHAPTER, **settings
        )

    def _started(
        self, stack: ExitStack, options: list[str], env: Mapping[str, str]
    ) -> Container | None:
        name = "it starts on a read-only root, without capabilities, and is healthy"
        with self.trying(name):
            server = self._start(self.tag, (), "server", options, env, port=8000, wait=False)
            stack.enter_context(server)
            server.wait_until("sh", "/app/container/entrypoint.sh", "live", timeout=WAIT_S)
            self.add(name, True)
            return server
        return None

    def _needs_another_server(self) -> str:
        """The engine of a database that needs a server, which is not PostgreSQL's; or empty."""
        engine = str(self.made.context["engine"])
        return "" if "sqlite" in engine else engine

    def _migrate(self, server: Container, database: Container | None) -> None:
        name = "its migrations run"
        if database is None and (server_of := self._needs_another_server()):
            self.skip(name, f"no server for {server_of} is started here")
            return
        with self.trying(name):
            words = ("sh", "/app/container/entrypoint.sh", "migrate")
            done = server.exec(*words, timeout=MIGRATE_S)
            self.add(name, done.status == 0, "" if done.status == 0 else _last(done))

    def _pages(self, server: Container) -> None:
        """A page, and the style sheet that it names; as behind a proxy that ends TLS."""
        name = "a page is answered"
        with self.trying(name):
            others = []
            for path in chain(PAGES, self._named(server)):
                page, host = followed(server, path)
                if page.status_code == 200:
                    break
                others += [host] if host else []
            seen = f"{path} with {page.status_code}"
            if page.status_code >= 500:
                seen += f", because of {_raised(server.logs())}"
            if page.status_code != 200 and others:
                self.skip(name, f"it sends to {others[0]}")
            else:
                self.add(name, page.status_code == 200, seen)
        name = "a static file is answered"
        if not self.made.context["collects"]:
            self.skip(name, "the project keeps its static files elsewhere")
            return
        with self.trying(name):
            self._static(server, name)

    def _named(self, server: Container) -> Iterator[str]:
        """The addresses of pages that Django has names for; asked where no other page was there."""
        yield from server.exec("python", "-c", NAMED).stdout.split()

    def _static(self, server: Container, name: str) -> None:
        script = (
            "from django.conf import settings; import os; "
            "root = settings.STATIC_ROOT; "
            "names = sorted(os.path.relpath(os.path.join(d, f), root) "
            "for d, _, fs in os.walk(root) for f in fs); "
            "css = [n for n in names if n.endswith(('.css', '.js', '.svg', '.png'))]; "
            "import re; hashed = [n for n in css if re.search(r'\\.[0-9a-f]{12}\\.', n)]; "
            "print((settings.STATIC_URL or '/') + ((hashed or css or ['none'])[0]))"
        )
        done = server.exec("python", "-c", script)
        path = "/" + done.stdout.strip().lstrip("/")
        answer = _get(server, path)
        hashed = re.search(r"\.[0-9a-f]{12}\.", path) is not None
        self.add(name, answer.status_code == 200, f"{path} with {answer.status_code}")
        name = "static files have a hash in their names, so that browsers may keep them"
        if hashed or ("whitenoise" in self.made.parts and not self.made.context["own_storage"]):
            self.add(name, hashed)
        else:
            self.skip(name, "the project's own settings say how they are stored")

    def _ready(self, server: Container, database: Container | None) -> None:
        before = server.exec("sh", "/app/container/entrypoint.sh", "ready").status
        if database is None and (server_of := self._needs_another_server()):
            self.skip("it says that it is ready", f"no server for {server_of} is started here")
            return
        if database is None:
            self.add("it says that it is ready", before == 0)
            return
        name = "it says that it is ready only while its database answers"
        client.connect().api.stop(database.name)
        during = server.exec("sh", "/app/container/entrypoint.sh", "ready").status
        alive = server.exec("sh", "/app/container/entrypoint.sh", "live").status
        client.connect().api.start(database.name)
        database.wait_until("pg_isready", "--host", "127.0.0.1", "--dbname", "proof")
        after = server.exec("sh", "/app/container/entrypoint.sh", "ready").status
        self.add(
            name, (before, during, alive, after) == (0, 1, 0, 0),
            "" if before == 0 else "it is never ready",
        )  # fmt: skip

    def _stop(self, server: Container, network: str) -> None:
        name = "it answers what it accepted before it stops"
        if self.made.context["kind"] == "asgi":
            self.skip(name, "the clients of this test expect threads")
            return
        with self.trying(name):
            answered, lost = drain.stop(server, network, self.tag, "/livez", ask.CHAPTER)
            self.add(name, (answered, lost) == (8, 0), f"{lost} of {answered + lost} lost")

    def _weight(self) -> None:
        """Against what most people would write first: one stage with everything."""
        name = "it is smaller than the plain image with one stage"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "Dockerfile")
            file.write_text(plan.one_stage(self.made), encoding="utf-8")
            try:
                self._build(str(file), f"{self.tag}-plain")
            except buildx.BuildFailed as failure:
                self.skip(name, f"that one does not build: {_said(failure)}")
                return
        sizes = [
            look_into(tag, client=client.connect()).size for tag in (self.tag, f"{self.tag}-plain")
        ]
        self.add(name, sizes[0] < sizes[1], f"{size(sizes[0])} and {size(sizes[1])}")


def prove(made: Plan, dockerfile: str) -> Report:
    """Try all properties of the image that ``dockerfile``, in the project's folder, makes."""
    return Proof(made, dockerfile).run()


def _get(server: Container, path: str) -> requests.Response:
    """As a proxy that ends TLS asks."""
    return server.site.http.get(
        server.url + path, headers={"X-Forwarded-Proto": "https"}, timeout=30, allow_redirects=False
    )


def followed(server: Container, path: str) -> tuple[requests.Response, str]:
    """What a browser gets that follows the server's redirects to itself.

    With the name of another host, if the last answer sends there.
    """
    for _ in range(REDIRECTS):
        page = _get(server, path)
        if not page.is_redirect:
            break
        target = urlsplit(urljoin(server.url + path, page.headers["Location"]))
        if target.hostname not in ("localhost", urlsplit(server.url).hostname):
            return page, target.hostname or ""
        path = f"{target.path}?{target.query}" if target.query else target.path
    return page, ""


def not_in(paths: Sequence[str], folders: Sequence[str]) -> list[str]:
    """The paths that are none of the folders, nor in one."""
    return [p for p in paths if not any(p == f or p.startswith(f"{f}/") for f in folders)]


def is_for_building(found: Finding) -> bool:
    """Whether it is a compiler, a cache, or what programs are built of.

    Packages may bring headers and libraries for those who build on them.
    """
    return found.kind in ("compilers", "caches") or (
        found.kind in ("headers", "static libraries") and not found.place.startswith("/opt/venv/")
    )


def left_by_a_developer(paths: Iterable[str]) -> list[str]:
    """The paths, without their first slash, of environments, Node's packages and dumps."""
    found = (_OF_A_DEVELOPER.match(path) for path in paths if path.startswith("app/"))
    return list(dict.fromkeys(f"/{match[match.lastindex or 0]}" for match in found if match))


def _quiet(_: str) -> None:
    """A build that nobody watches."""


def _said(failure: buildx.BuildFailed) -> str:
    """The last words of the step that failed."""
    return " … ".join(failure.log[-3:])[-400:] or _short(str(failure))


def _short(text: str) -> str:
    lines = [line.strip(" │") for line in text.splitlines() if line.strip(" │")]
    return " … ".join([lines[0], *lines[-2:]])[:400] if len(lines) > 3 else " ".join(lines)[:400]


def _raised(log: str) -> str:
    """The last exception in a server's log."""
    found = re.findall(
        r"^[\w.]*(?:Error|Exception|DoesNotExist|Configured)\b.*$", log, re.MULTILINE
    )
    return found[-1][:200] if found else "something that its log does not say"


def _last(done: containers.Output) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1][:200] if lines else f"exit status {done.status}"


def private(findings: Sequence[Finding], answered: Mapping[str, str]) -> list[Finding]:
    """The secrets, and what git keeps.

    What packages bring is public: some have keys for their own tests. And what was ``answered``
    for the build, by name, are placeholders.
    """
    return [
        f
        for f in findings
        if f.kind == ".git"
        or (
            "secret" in f.kind
            and "/site-packages/" not in f.place
            and f.place.partition("=")[0] not in answered
        )
    ]


def _places(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{f.kind} at {f.place}" for f in findings[:3])
