"""What the workspace, the session and the magic do before an engine is asked."""

import contextlib
import json
import re
from typing import ClassVar

import docker
import pytest

from workshop.build.buildx import Build
from workshop.build.progress import Step
from workshop.engine import session
from workshop.errors import WorkshopError
from workshop.lesson import explain, magic, results, terminal, workspace
from workshop.lesson.results import Added, Diff, StepResult
from workshop.lesson.terminal import Answer, Answers
from workshop.run import containers
from workshop.show import live
from workshop.show.display import Listing
from workshop.show.growth import Growth


@pytest.fixture
def new_ident():
    """Forget the session's id before and after."""
    session.ident.cache_clear()
    yield
    session.ident.cache_clear()


# The plan of a chapter


def test_planned_steps_are_the_names_of_the_dockerfile_cells_in_order(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "%%dockerfile not-first-line"]},
        {"cell_type": "code", "source": ["ws = checkpoint('x')"]},
        {"cell_type": "code", "source": []},
        {"cell_type": "code", "source": ["%%dockerfile base\n", "FROM a"]},
        {"cell_type": "code", "source": "%%dockerfile  env \nENV A=1"},
        {"cell_type": "code", "source": ["%%dockerfile\n", "RUN no name"]},
        {"cell_type": "code", "source": ["%%dockerfile base\n", "FROM b"]},
        {"cell_type": "code", "source": ["%%time\n", "x"]},
    ]
    (tmp_path / "07-x.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path)
    assert workspace.planned_steps("07-x") == ["base", "env"]


def test_a_chapter_without_a_notebook_has_no_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "NOTEBOOKS", tmp_path)
    assert workspace.planned_steps("no-such-chapter") == []


def test_a_cell_before_the_checkpoint_names_the_cell_to_run_first(monkeypatch):
    monkeypatch.setattr(workspace, "_current", None)
    with pytest.raises(WorkshopError) as caught:
        magic.dockerfile("base", "FROM a")
    assert "no workspace yet" in caught.value.what
    assert "checkpoint(…)" in caught.value.fix


@pytest.mark.parametrize(
    "line", ["", "  ", "two names", "x --replace", "x --replace a b c", 'x --replace "a']
)
def test_the_magic_wants_one_name(line):
    with pytest.raises(WorkshopError, match="needs one name"):
        magic.dockerfile(line, "FROM a")


# Terminal cells and files


class Recorded:
    """A workspace that notes what its magics ask of it; its commands end with ``status``."""

    status = 0

    def __init__(self, path):
        self.path, self.terminal, self.asked = path, self, []
        self.variables = {}

    def run(self, cell):
        self.asked.append(("run", cell))
        return Answer("docker ps", self.status, cell)

    def wait_for(self, cell, text):
        self.asked.append(("wait_for", cell, text))
        return Answer("docker ps", 0, "done\n")

    def write(self, path, text):
        self.asked.append(("write", path, text))


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    made = Recorded(tmp_path)
    monkeypatch.setattr(workspace, "_current", made)
    return made


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", ("run", "docker ps\n")),
        ("--wait", ("wait_for", "docker ps\n", "")),
        ("--until 'it is up'", ("wait_for", "docker ps\n", "it is up")),
    ],
)
def test_the_options_of_a_terminal_cell(recorded, line, asked):
    magic.terminal(line, "docker ps\n")
    assert recorded.asked == [asked]


NEEDING = ["%%needs KUBE_CONTEXT\n", "%%terminal --out x\n", "kubectl get pods\n"]


def test_a_cell_that_needs_a_variable_is_skipped_and_says_so(recorded, monkeypatch):
    monkeypatch.delenv("KUBE_CONTEXT", raising=False)
    (line,) = magic.skip_without(NEEDING)
    assert line == 'print("Skipped, because KUBE_CONTEXT is not set.")\n'
    assert recorded.terminal.variables == {}


def test_a_cell_runs_whose_variable_is_set_and_may_use_it(recorded, monkeypatch):
    monkeypatch.setenv("KUBE_CONTEXT", "kind-kind")
    assert magic.skip_without(NEEDING) == NEEDING[1:]
    assert recorded.terminal.variables == {"KUBE_CONTEXT": "kind-kind"}


@pytest.mark.parametrize("lines", [[], ["print(1)\n"], ["%%terminal\n", "docker ps\n"]])
def test_any_other_cell_stays_as_it_is(recorded, lines):
    assert magic.skip_without(lines) == lines


def test_what_printed_nothing_shows_nothing(recorded):
    assert magic.terminal("", "") is None
    assert magic.terminal("", "docker ps").text() == "docker ps"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("--first 2", "a1\nb2\n… and 1 more line"),
        ("--first 9", "a1\nb2\na3"),
        ("--only a", "a1\na3\n… and 1 more line"),
        ("--only a --first 1", "a1\n… and 2 more lines"),
        ("--hide", "… and 3 more lines"),
    ],
)
def test_a_part_of_what_was_printed(recorded, line, shown):
    assert magic.terminal(line, "a1\nb2\na3\n").text() == shown


def test_the_whole_can_be_unfolded_up_to_a_limit(recorded, monkeypatch):
    assert "<details>" not in magic.terminal("--first 9", "a1\nb2\n").html()
    assert magic.terminal("--only b", "a1\nb2\n").html() == (
        "<pre><code>b2</code></pre>"
        "<details><summary>… and 1 more line</summary><pre><code>a1\nb2</code></pre></details>"
    )
    monkeypatch.setattr(terminal, "UNFOLDED", 1)
    longer = magic.terminal("--only b", "a1\nb2\n").html()
    assert "<pre><code>b2</code></pre><details><summary>… and 1 more line</summary>" in longer
    assert "More than 1 lines." in longer
    assert "a1" not in longer


class Shell:
    """A kernel's own names."""

    user_ns: ClassVar[dict] = {}


def test_out_keeps_the_answer_under_a_name(recorded, monkeypatch):
    monkeypatch.setattr(magic, "get_ipython", lambda: Shell)
    shown = magic.terminal("--out listed", "docker ps")
    assert Shell.user_ns == {"listed": shown}


def test_a_hidden_command_that_fails_is_shown_unless_a_claim_may_look_at_it(recorded, monkeypatch):
    monkeypatch.setattr(magic, "get_ipython", lambda: Shell)
    recorded.status = 3
    assert magic.terminal("--hide", "no\n").text() == "$ docker ps\nno\n(exit status 3)"
    assert magic.terminal("--hide --out seen", "no\n").text() == "… and 2 more lines"


def test_of_several_hidden_commands_those_that_fail_are_shown():
    both = Answers([Answer("docker ps -q", 0, "1\n"), Answer("docker x", 1, "", "no x\n")])
    assert terminal.failed(both).text() == "$ docker x\nno x\n(exit status 1)"


# A remote engine


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("--publish 127.0.0.1:5000:8000 i", "--publish 5000:8000 i"),
        ("-p 127.0.0.1::8000 --detach i", "-p 8000 --detach i"),
        ("--publish=127.0.0.1:5000:8000 i", "--publish=5000:8000 i"),
        ("-p127.0.0.1:5000:8000 i", "-p5000:8000 i"),
        ("-p 8000:8000 i runserver 127.0.0.1:8000", "-p 8000:8000 i runserver 127.0.0.1:8000"),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7"])
def test_a_remote_engine_publishes_where_this_machine_reaches_it(
    monkeypatch, tmp_path, address, words, run
):
    monkeypatch.setattr(terminal.session, "ident", lambda: "aaaa0001")
    monkeypatch.setattr(terminal.client, "address", lambda: address)
    here = terminal.Terminal(tmp_path, "04")
    carried_out, _ = here._with_whose(["run", *words.split()])
    expected = (words if address == "127.0.0.1" else run).split()
    assert carried_out[-len(expected) :] == expected


@pytest.mark.parametrize("line", ["--out", "--out 1x", "--nothing", "name", "--until 'open"])
def test_an_option_that_is_wrong_is_said_in_a_line(recorded, line):
    with pytest.raises(WorkshopError, match="%%terminal: "):
        magic.terminal(line, "docker ps")
    assert recorded.asked == []


def test_a_file_cell_writes_within_the_folder(recorded):
    magic.file("Dockerfile.typo", "RUNN x\n")
    magic.file("sub/x", "")
    assert recorded.asked == [("write", "Dockerfile.typo", "RUNN x\n"), ("write", "sub/x", "")]


@pytest.mark.parametrize("line", ["", "two names", "/etc/passwd", "../../Dockerfile"])
def test_a_file_cell_writes_nothing_elsewhere(recorded, line):
    with pytest.raises(WorkshopError):
        magic.file(line, "x")
    assert recorded.asked == []


def test_several_answers_are_shown_with_their_commands():
    both = Answers([Answer("docker ps -q", 0, "1\n"), Answer("docker x", 1, "", "no x\n")])
    assert both.text() == "$ docker ps -q\n1\n$ docker x\nno x\n(exit status 1)"
    assert "<pre>" in both.html()


@pytest.mark.parametrize("typed", ["docker compose up --build", "docker compose up"])
def test_a_compose_command_that_builds_takes_a_turn_among_the_builds(monkeypatch, tmp_path, typed):
    held = []

    @contextlib.contextmanager
    def slot(tell):
        held.append("a slot")
        yield
        held.append("free")

    def complete(words, *_, **__):
        held.append(words[-1])
        return containers.Output(words, 0, "", "", 0.0)

    monkeypatch.setattr(terminal.slots, "slot", slot)
    monkeypatch.setattr(terminal.containers, "complete", complete)
    monkeypatch.setattr(terminal.compose, "labelled", lambda words, *_: words)
    monkeypatch.setattr(terminal.session, "ident", lambda: "aaaa0001")
    monkeypatch.setattr(terminal.session, "tags", lambda _: [])
    monkeypatch.setattr(terminal.session, "replacing", contextlib.nullcontext)
    monkeypatch.setattr(terminal.client, "cli", lambda: "docker")
    monkeypatch.setattr(terminal.client, "environment", dict)
    terminal.Terminal(tmp_path, "18").run(typed)
    assert held == (["a slot", "--build", "free"] if "--build" in typed else ["up"])


# What a step changed


def test_changed_settings():
    before = {"Env": ["PATH=/bin", "A=1"], "Cmd": ["python3"], "User": "", "Labels": {"x": "1"}}
    now = {
        "Env": ["PATH=/bin", "A=2", "B=3"],
        "Cmd": ["server"],
        "User": "appuser",
        "WorkingDir": "/app",
        "Labels": {"x": "2"},
    }
    assert results.changed_settings(before, now) == [
        "ENV A=2",
        "ENV B=3",
        "WORKDIR /app",
        "USER appuser",
        'CMD ["server"]',
    ]


def test_nothing_changed():
    assert results.changed_settings({"Env": None}, {"Env": ["A=1"]}) == ["ENV A=1"]
    assert results.changed_settings({"Env": ["A=1"]}, {"Env": ["A=1"], "Cmd": None}) == []
    assert results.changed_settings({}, {"User": "", "ExposedPorts": {}}) == []


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (Added(0, 0, 0, ["ENV A=1"]), "Added no layer.\nSet ENV A=1"),
        (Added(1, 1, 5000, []), "Added 1 layer: 5.0 kB in 1 file."),
        (Added(2, 1234, 0, []), "Added 2 layers: 0 B in 1,234 files."),
        (Added(0, 0, 2_000_000, [], base="x:1"), "Starts from x:1: 2.0 MB."),
    ],
)
def test_what_a_step_added_in_words(added, text):
    assert added.text() == text
    words = re.sub(r"</?span[^>]*>", "", added.html())
    assert words == "".join(f"<p>{line}</p>" for line in text.splitlines())


def test_a_difference_has_no_line_numbers():
    assert Diff("x, edited", ["-a", "+b"]).text() == "x, edited\n-a\n+b"
    assert isinstance(Diff("x", []), Listing)


def test_lines_that_came_and_went_have_colours_of_their_own():
    shown = Diff("x, edited", ["…", "-a", "+<b>", " c"]).html()
    came, went = (
        re.search(f'<span style="background: ([^"]*)">{line}</span>', shown)
        for line in (r"\+&lt;b&gt;", "-a")
    )
    assert came[1] != went[1]
    assert shown.count("<span") == 2


def test_the_card_of_a_step_in_four_lines_and_with_all_steps_folded():
    steps = [
        Step("", 1, 2, "FROM a", None, 0.0),
        Step("", 2, 2, "RUN true", False, 1.25),
    ]
    build = Build("docker build -t $IMAGE .", "tag", steps, 2.0)
    growth = Growth([3_000_000, 1_000_000], 1, 1)
    card = StepResult("x", build, Added(1, 2, 1_000_000, []), steps[1:], growth)
    assert card.text().splitlines() == [
        "$ docker build -t $IMAGE .",
        "[2/2] RUN true  ran        1.2 s",
        "Added 1 layer: 1.0 MB in 2 files.",
        "░" * 45 + "█" * 15 + "  4.0 MB",
        "2 steps in this build",
    ]
    html = card.html()
    assert "<code>[2/2] RUN true</code> <b>ran</b> 1.2 s" in html
    assert "<details><summary>2 steps in this build</summary><table>" in html


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        (5_000_000, 4_000_000, "1.0 MB less: the image has 4.0 MB; before, it had 5.0 MB."),
        (4_000_000, 4_001_000, "1.0 kB more: the image has 4.0 MB; before, it had 4.0 MB."),
        (4_000_999, 4_000_000, "Less than 1 kB more or less: the image has 4.0 MB."),
    ],
)
def test_what_a_change_made_of_the_size_in_words(before, now, text):
    resized = results.Resized(before, now)
    assert resized.text() == text
    large = re.search(r"<span[^>]*>(.*)</span>", resized.html())[1]
    assert text.startswith(large)


def test_the_card_of_a_change_has_the_difference_above_it():
    steps = [Step("", 1, 2, "FROM a", None, 0.0), Step("", 2, 2, "RUN true", True, 0.0)]
    build = Build("docker build -t $IMAGE .", "tag", steps, 2.0)
    growth = Growth([3_000_000, 1_000_000], 1, 1, "from this change on")
    difference = results.difference("Dockerfile", "FROM a\n", "FROM a\nRUN true\n")
    change = results.Change(difference, build, steps[1:], growth, 5_000_000, 4_000_000)
    assert change.text().splitlines() == [
        "Dockerfile, edited",
        " FROM a",
        "+RUN true",
        "$ docker build -t $IMAGE .",
        "[2/2] RUN true  cached",
        "1.0 MB less: the image has 4.0 MB; before, it had 5.0 MB.",
        "░" * 45 + "█" * 15 + "  4.0 MB",
        "2 steps in this build",
    ]
    html = change.html()
    assert "<code>[2/2] RUN true</code> <b>cached</b>" in html
    assert "<details><summary>2 steps in this build</summary><table>" in html


def test_a_step_before_the_first_from_says_that_there_is_nothing_to_build():
    assert "Nothing to build yet" in StepResult("x", None, Added(0, 0, 0, [])).text()


def test_the_cell_of_working_in_the_root_has_no_step():
    built = Build("docker build .", "t", [Step("", 2, 3, "RUN z", False, 1.0)], 1.0)
    text = "FROM a\n\nRUN z\n\nWORKDIR /\n"
    assert workspace._own(built, text, ["FROM a", "RUN z"], "WORKDIR /") == []
    assert workspace._own(built, text, ["FROM a"], "RUN z\nWORKDIR /") == built.steps


def test_the_steps_of_a_cell_in_the_middle_are_told_from_equal_ones():
    base = Step("", 1, 1, "FROM a", None, 0.0)
    first, second, last = (
        Step("one", 2, 2, "WORKDIR /x", True, 0.0),
        Step("two", 2, 3, "WORKDIR /x", True, 0.0),
        Step("two", 3, 3, "RUN z", False, 1.0),
    )
    built = Build("docker build .", "t", [base, first, second, last], 1.0)
    steps = ["FROM a AS one", "WORKDIR /x", "FROM a AS two", "ENV A=1\nWORKDIR /x", "RUN z"]

    def own(at):
        return workspace._own(built, "\n\n".join(steps) + "\n", steps[:at], steps[at])

    assert [own(at) for at in range(5)] == [[base], [first], [base], [second], [last]]


def test_a_folder_that_cannot_be_removed_is_told_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(session.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(WorkshopError, match="can't be removed") as error:
        session.remove_folder(tmp_path)
    assert "sudo rm -r" in error.value.fix


# A cell that runs before its turn

CELLS = [
    "from workshop import check\nws = checkpoint('x')",
    "%%dockerfile base\nFROM a",
    "\nanswers = [x for x in range(3)]\ndef both(measure):\n    inner = 1",
    "with open('f') as file:\n    (first, *rest), more.part = file\nimport os.path, json as j",
    "%%needs NAME\n%%terminal --hide --out told\ndocker ps",
    "print(answers)",
    "answers = later = 1",
]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("ws", "from workshop import check"),
        ("check", "from workshop import check"),
        ("answers", "answers = ["),
        ("both", "answers = ["),
        ("told", "%%needs NAME"),
        *[(name, "with open") for name in ("file", "first", "rest", "os", "j")],
    ],
)
def test_a_name_that_a_cell_above_defines(name, begins):
    what, fix = explain.missing_cell(name, CELLS, "print(answers)")
    assert repr(name) in what
    assert f"it begins with `{begins}" in fix


@pytest.mark.parametrize("name", ["x", "inner", "measure", "more", "later", "no_such_name"])
def test_a_name_that_no_cell_above_defines(name):
    assert explain.missing_cell(name, CELLS, "print(answers)") == []


def test_a_cell_that_defines_a_name_too_late_is_not_named_itself():
    assert explain.missing_cell("both", CELLS[2:], CELLS[2]) == []


def test_an_edited_cell_is_told_of_all_others():
    assert explain.missing_cell("later", CELLS, "print(later, 1)")


def test_before_the_first_cell_there_is_no_chapter(monkeypatch):
    monkeypatch.setattr(workspace, "_current", None)
    assert explain.chapter_cells() == []


# Whose things these are


def test_the_session_is_the_one_of_the_environment(new_ident, monkeypatch):
    monkeypatch.setenv("WORKSHOP_SESSION", "0123abcd")
    assert session.ident() == "0123abcd"
    assert session.prefix() == "workshop-0123abcd"
    assert session.labels() == {"dockerfile-workshop.session": "0123abcd"}


@pytest.mark.parametrize("name", ["/", "..", ".", "0123abc", "0123ABCD", "0123abcde", "a/b"])
def test_a_session_that_would_name_another_folder_is_refused(new_ident, monkeypatch, name):
    monkeypatch.setenv("WORKSHOP_SESSION", name)
    with pytest.raises(WorkshopError, match="eight hex digits") as caught:
        session.ident()
    assert caught.value.fix


def test_a_broken_file_of_the_session_is_written_anew(new_ident, monkeypatch, tmp_path):
    monkeypatch.delenv("WORKSHOP_SESSION", raising=False)
    monkeypatch.setattr(session, "WORKSPACES", tmp_path)
    (tmp_path / "session").write_text("")
    assert len(bytes.fromhex(session.ident())) == 4


class Listing404:
    """An engine that fails to list its images some times, because one is removed meanwhile."""

    def __init__(self, failures):
        self.api, self.failures = self, failures

    def images(self, filters):
        self.failures -= 1
        if self.failures >= 0:
            raise docker.errors.NotFound("No such image")
        return [{"RepoTags": ["workshop-x/a:1", "other:1"]}]


def test_a_list_of_images_that_fails_is_asked_for_again(monkeypatch):
    monkeypatch.setattr(session.client, "connect", lambda: engine)
    engine = Listing404(session.LIST_TRIES - 1)
    assert session.tags("workshop-x/a") == ["workshop-x/a:1"]
    engine = Listing404(session.LIST_TRIES)
    with pytest.raises(docker.errors.NotFound):
        session.tags("workshop-x/a")


class Holding:
    """An engine with these images."""

    def __init__(self, *images):
        self.api, self.found = self, list(images)

    def images(self, filters):
        return self.found


def test_names_that_begin_with_a_registry_are_of_the_session_too(monkeypatch):
    engine = Holding(
        {
            "RepoTags": ["localhost:5000/workshop-x/a:1"],
            "RepoDigests": ["localhost:5000/workshop-x/a@sha256:1"],
        },
        {"RepoTags": ["ghcr.io/me/workshop-x/a/b:1"], "RepoDigests": None},
        {"RepoTags": ["<none>:<none>"], "RepoDigests": ["localhost/workshop-x/a@sha256:2"]},
        # Its tag in the registry is another image's now.
        {"RepoTags": ["workshop-x/b:1"], "RepoDigests": ["localhost/workshop-x/a@sha256:3"]},
        {"RepoTags": None, "RepoDigests": ["<none>@<none>"]},
        {"RepoTags": ["my/workshop-x/a:1", "workshop-x/ab:1", "r.io/a/b/workshop-x/a:1"]},
    )
    monkeypatch.setattr(session.client, "connect", lambda: engine)
    assert session.tags("workshop-x/a") == [
        "ghcr.io/me/workshop-x/a/b:1",
        "localhost/workshop-x/a@sha256:2",
        "localhost/workshop-x/a@sha256:3",
        "localhost:5000/workshop-x/a:1",
    ]


def test_images_are_recorded_once(new_ident, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "WORKSPACES", tmp_path)
    assert session.recorded() == set()
    for image_id in ("sha256:1", "sha256:2", "sha256:1"):
        session.record(image_id)
    assert session.recorded() == {"sha256:1", "sha256:2"}


class Engine:
    """An engine with one thing of a kind, which refuses to remove some."""

    def __init__(self, refused):
        self.refused = refused
        self.removed = []
        self.api = self

    def _remove(self, name, **_):
        if name in self.refused:
            raise self.refused[name]
        self.removed.append(name)

    remove_container = remove_network = remove_volume = remove_image = _remove


@pytest.mark.parametrize("kind", ["containers", "networks", "volumes", "images"])
def test_what_the_engine_refuses_stays_and_the_rest_goes(new_ident, monkeypatch, kind):
    things = {
        name: [f"{name}-1", f"{name}-2", f"{name}-3"]
        for name in ("containers", "images", "networks", "volumes")
    }
    conflict = docker.errors.APIError("409", explanation="in use")
    engine = Engine({f"{kind}-1": conflict, f"{kind}-2": docker.errors.NotFound("404")})
    monkeypatch.setattr(session.client, "connect", lambda: engine)
    monkeypatch.setattr(session, "leftovers", lambda: things)
    done = session.remove_leftovers()
    assert done.stayed == {f"{kind}-1": "in use"}
    assert done.removed == {**things, kind: [f"{kind}-3"]}
    assert sorted(engine.removed) == sorted(sum(done.removed.values(), []))


def test_without_one_a_clone_makes_its_own_and_keeps_it(new_ident, monkeypatch, tmp_path):
    monkeypatch.delenv("WORKSHOP_SESSION", raising=False)
    monkeypatch.setattr(session, "WORKSPACES", tmp_path / "new")
    first = session.ident()
    session.ident.cache_clear()
    assert session.ident() == first
    assert len(bytes.fromhex(first)) == 4


# Live progress


def test_nobody_watches_outside_a_notebook(monkeypatch):
    monkeypatch.delenv("WORKSHOP_PROGRESS", raising=False)
    assert live.somebody_is_watching() is False


def test_progress_shows_nothing_when_nobody_watches(capsys):
    with live.Live() as line:
        line.line("working")
    assert capsys.readouterr().out == ""
