"""A Dockerfile that grows step by step, whatever the order and whatever goes wrong."""

import secrets

import pytest

from workshop.build import grammar
from workshop.build.buildx import BuildFailed
from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.lesson import workspace
from workshop.lesson.results import Added
from workshop.lesson.workspace import Workspace

pytestmark = pytest.mark.usefixtures("left_clean")

BASE = "FROM python:3.13-slim"
A_FILE = "RUN head -c 5000 /dev/zero > /a"


@pytest.fixture
def ws():
    """A workspace that begins with two steps and has two more planned."""
    return Workspace("test-steps", [BASE, A_FILE], ["b", "c"])


def text_of(*steps):
    return grammar.join([BASE, *steps])


# The order of steps


def test_a_step_in_the_middle_run_again_gives_the_same_and_the_next_one_still_works(ws):
    in_order = [ws.put("b", "RUN echo b > /b"), ws.put("c", "RUN echo c > /c")]
    whole = ws.text
    again = ws.put("b", "RUN echo b > /b")
    assert ws.text == text_of(A_FILE, "RUN echo b > /b")
    assert again.added == in_order[0].added
    assert again.build.ran == []
    assert ws.put("c", "RUN echo c > /c").added == in_order[1].added
    assert ws.text == whole
    assert ws.sh("cat /b /c").stdout == "b\nc\n"


# Replacing steps


def test_steps_are_replaced_from_the_first_to_the_last_that_is_named(ws):
    ws.put("b", "ENV B=1")
    before = ws.size()
    change = ws.replace("smaller", "RUN head -c 900 /dev/zero > /a\n\nENV C=1", "/a", "ENV B")
    assert ws.text == text_of("RUN head -c 900 /dev/zero > /a", "ENV C=1")
    assert "-RUN head -c 5000 /dev/zero > /a" in change.diff.lines
    assert (change.bytes_before, change.bytes) == (before, before - 4100) == (before, ws.size())
    assert ws.run("wc", "-c", "/a").stdout == "900 /a\n"
    assert ws.run("wc", "-c", "/a", image=ws.before).stdout == "5000 /a\n"
    ws.put("c", "ENV D=1")
    assert ws.text == text_of("RUN head -c 900 /dev/zero > /a", "ENV C=1", "ENV D=1")


def test_a_change_that_fails_leaves_everything_as_it_was(ws):
    ws.replace("one", "ENV ONE=1", "/a")
    with pytest.raises(BuildFailed):
        ws.replace("one", "RUN false", "/a")
    assert ws.text == text_of("ENV ONE=1")
    assert "ONE=1" in ws.config()["Env"]
    assert ws.replace("two", "ENV TWO=1", "ONE").diff.lines[-2:] == ["-ENV ONE=1", "+ENV TWO=1"]


def test_images_from_before_a_change_do_not_pile_up(ws):
    for number in range(3):
        ws.replace(f"n{number}", f"RUN echo {secrets.token_hex(4)} > /a", "/a")
    mine = {"label": f"{session.LABEL}={session.ident()}"}
    assert client.connect().api.images(filters={**mine, "dangling": True}) == []


def test_a_new_workspace_forgets_the_old_one(ws):
    ws.write("extra.txt", "x")
    fresh = Workspace("test-steps")
    assert fresh.text == ""
    assert not (fresh.path / "extra.txt").exists()
    assert (fresh.path / "manage.py").exists()
    with pytest.raises(WorkshopError, match="still empty"):
        fresh.build()


# Bad input


@pytest.mark.parametrize(
    ("name", "step", "seen", "status"),
    [
        ("b", "RUN echo in vain >&2; exit 7", "  │ in vain\n  exit status: 7", 7),
        ("b", "RUNN echo", "unknown instruction: RUNN", None),
        ("b", "COPY no-such-file /", '"/no-such-file": not found', None),
        ("not-planned", "RUN false", "exit status: 1", 1),
    ],
)
def test_a_step_that_fails_leaves_everything_as_it_was(ws, name, step, seen, status):
    before = ws.text
    with pytest.raises(BuildFailed) as caught:
        ws.put(name, step)
    assert seen in caught.value.what
    assert step in caught.value.step
    assert caught.value.status == status
    assert ws.text == before
    assert ws.put("b", "ENV B=1").added.settings == ["ENV B=1"]
    assert ws.text == text_of(A_FILE, "ENV B=1")


def test_a_step_that_fails_when_it_is_edited_keeps_its_good_form(ws):
    ws.put("b", "ENV B=1")
    with pytest.raises(BuildFailed):
        ws.put("b", "RUN false")
    assert ws.text == text_of(A_FILE, "ENV B=1")
    ws.put("c", "ENV C=1")
    assert ws.text == text_of(A_FILE, "ENV B=1", "ENV C=1")


def test_a_full_disk_is_said_in_those_words(ws):
    small = "--mount=type=tmpfs,target=/small,size=1m"
    with pytest.raises(BuildFailed, match="The disk of the engine is full") as caught:
        ws.put("b", f"RUN {small} dd if=/dev/zero of=/small/x bs=1M count=3")
    assert "workshop clean" in caught.value.fix
    # The command wrote this line in three pieces.
    assert "dd: error writing '/small/x': No space left on device" in caught.value.log


def test_a_registry_out_of_reach_is_said_in_those_words():
    ws = Workspace("test-steps")
    with pytest.raises(BuildFailed, match="The registry is out of reach") as caught:
        ws.put("base", "FROM 127.0.0.1:9/nothing:1")
    assert caught.value.step == "FROM 127.0.0.1:9/nothing:1"
    assert ws.text == ""


@pytest.mark.parametrize(
    "command",
    [
        "pip download --no-cache-dir --retries 1 --timeout 5 uv",
        "apt-get -o Acquire::Retries=0 update --error-on=any",
    ],
)
def test_a_package_index_out_of_reach_is_said_in_those_words(ws, command):
    ws.write("offline.Dockerfile", f"{BASE}\nRUN {command}\n")
    with pytest.raises(BuildFailed, match="The package index is out of reach") as caught:
        ws.build("--network=none", file="offline.Dockerfile")
    assert "workshop doctor" in caught.value.fix
    assert command in caught.value.step


# What a step added


def test_a_layer_is_counted_in_files_and_bytes(ws):
    added = ws.put(
        "b", "RUN mkdir /d \\\n    && head -c 7000 /dev/zero > /d/x && ln -s x /d/y"
    ).added
    assert (added.layers, added.files, added.bytes, added.settings) == (1, 2, 7000, [])
    assert added.text() == "Added 1 layer: 7.0 kB in 2 files."


def test_a_setting_adds_no_layer(ws):
    added = ws.put("b", "ENV B=1 C=2\nUSER 1234").added
    assert (added.layers, added.files, added.bytes) == (0, 0, 0)
    assert added.settings == ["ENV B=1", "ENV C=2", "USER 1234"]


def test_a_step_of_several_instructions_is_counted_as_a_whole(ws):
    added = ws.put("b", "RUN head -c 10 /dev/zero > /x\nENV B=1\nRUN head -c 20 /dev/zero > /y")
    assert (added.added.layers, added.added.files, added.added.bytes) == (2, 2, 30)


def test_removing_a_file_adds_a_layer_and_makes_nothing_smaller(ws):
    ws.build()
    before = ws.size()
    added = ws.put("b", "RUN rm /a").added
    assert (added.layers, added.files, added.bytes) == (1, 0, 0)
    assert ws.size() == before
    assert ws.sh("ls /a").status == 2


def test_the_same_line_twice_adds_twice(ws):
    line = "RUN echo line >> /log"
    ws.put("b", line)
    added = ws.put("c", line).added
    assert (added.layers, added.files, added.bytes) == (1, 1, 10)


def test_a_stage_starts_from_an_image_or_from_an_earlier_stage():
    ws = Workspace("test-steps")
    base = ws.size("python:3.13-slim")
    one = ws.put("one", "FROM python:3.13-slim AS one").added
    assert (one.base, one.layers, one.bytes) == ("python:3.13-slim", 0, base)
    ws.put("a", A_FILE)
    assert ws.put("two", "FROM one AS two").added.base == "one"
    added = ws.put("b", "COPY --from=one /a /b").added
    assert (added.layers, added.files, added.bytes) == (1, 1, 5000)


def test_a_step_of_heredocs_is_one_step(ws):
    result = ws.put("b", "RUN <<EOF\necho one > /b\n\necho two >> /b\nEOF")
    assert (result.added.layers, result.added.files, result.added.bytes) == (1, 1, 8)
    assert str(result.build.steps[-1]) == "[3/3] RUN <<EOF (echo one > /b...)"
    assert ws.run("cat", "/b").stdout == "one\ntwo\n"


def test_an_argument_for_from_has_a_cell_of_its_own():
    ws = Workspace("test-steps", plan=["argument", "base", "setting"])
    nothing = ws.put("argument", "ARG IMAGE=python:3.13-slim")
    assert (nothing.build, nothing.added.layers) == (None, 0)
    base = ws.put("base", "FROM ${IMAGE} AS one")
    assert (base.added.base, base.added.bytes) == ("python:3.13-slim", ws.size("python:3.13-slim"))
    assert [str(step) for step in base.build.steps] == ["FROM python:3.13-slim"]
    assert ws.put("setting", "ENV A=1").added.settings == ["ENV A=1"]
    ws.put("argument", "ARG IMAGE=python:3.13-slim")
    with pytest.raises(WorkshopError, match="not there yet"):
        ws.run("true")


def test_a_stage_from_nothing():
    ws = Workspace("test-steps")
    assert ws.put("base", "FROM scratch").added == Added(0, 0, 0, [], base="scratch")
    added = ws.put("file", "COPY manage.py /").added
    assert (added.layers, added.files) == (1, 1)
    assert added.bytes == len(ws.read("manage.py").encode())
    assert ws.look().base == ""
    both = Workspace("test-steps").put("base", "FROM scratch\nENV A=1\nCOPY manage.py /").added
    assert (both.layers, both.files, both.settings) == (1, 1, ["ENV A=1"])


def test_a_stage_that_is_named_like_its_base(ws):
    tag = f"{ws.tag}:node"
    client.connect().api.tag("python:3.13-slim", ws.tag, "node")
    ws.write("Dockerfile", f"FROM {tag} AS {tag.replace('/', '-').replace(':', '-')}\nENV A=1\n")
    ws.build()
    assert ws.look().base == tag
    ws.write("Dockerfile", "FROM python:3.13-slim AS python:3.13-slim\n")
    assert ws.look(tag).base == "python:3.13-slim"


def test_a_base_that_only_the_builder_has(ws, monkeypatch):
    inspected = workspace._inspected
    monkeypatch.setattr(
        workspace,
        "_inspected",
        lambda name: None if name == "python:3.13-slim" else inspected(name),
    )
    ws = Workspace("test-steps")
    assert ws.put("one", f"{BASE} AS one").added.bytes == ws.size("python:3.13-slim")
    added = ws.put("two", f"{BASE} AS two\nENV A=1\n{A_FILE}").added
    assert (added.layers, added.bytes, added.settings) == (1, 5000, ["ENV A=1"])
    assert ws.look().base == ""


def test_a_cell_is_one_file_one_build_and_one_look(ws, monkeypatch):
    done = []

    def counted(owner, name):
        real = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, **more: (done.append(name), real(*args, **more))[1]
        )

    ws.put("b", "ENV B=1")
    counted(ws, "_write")
    counted(workspace.buildx, "build_image")
    counted(workspace, "contents_of")
    counted(session, "image")
    ws.put("c", "RUN echo c > /c")
    # The engine is asked for the image that had the tag; then for the new one, and its base.
    assert done == ["_write", "image", "build_image", "contents_of", "image", "image"]


def test_what_a_step_added_does_not_depend_on_files_that_were_edited_since(ws):
    ws.put("b", "COPY manage.py /app/")
    ws.edit("manage.py", "#!/usr/bin/env python", "#!/usr/bin/env python3")
    added = ws.put("c", "RUN echo c > /c").added
    assert (added.layers, added.files, added.bytes) == (1, 1, 2)


def test_the_image_before_a_change_has_the_files_as_they_are(ws):
    ws.put("b", "COPY manage.py /app/")
    with ws.edited("manage.py"):
        ws.build()
    ws.replace("x", "COPY manage.py /app/\n\nENV X=1", "COPY")
    assert ws.run("cat", "/app/manage.py", image=ws.before).stdout == ws.read("manage.py")
    assert ws.size() == ws.size(ws.before)


def test_the_history_has_the_bytes_of_the_layers(ws):
    ws.put("b", "RUN head -c 300 /dev/zero > /b\nENV B=1\nWORKDIR /new")
    rows = ws.history(first=4).rows
    assert [row[1] for row in rows] == ["0 B", "0 B", "300 B", "5.0 kB"]
    assert rows[1][0].startswith("ENV B=1")
    assert len(ws.history().rows) > 4


# Starting anew


def test_a_chapter_that_starts_again_has_no_image(ws):
    ws.build()
    ws.build(name="other")
    assert "Dockerfile: 2 steps." in repr(ws)
    ws.put("b", "ENV B=1")
    assert "Dockerfile: 3 steps." in repr(ws)
    again = Workspace("test-steps")
    assert "Dockerfile: empty." in repr(again)
    for question in (again.run, again.start, again.size, again.history, again.look, again.config):
        with pytest.raises(WorkshopError, match="is not there yet") as caught:
            question()
        assert "first cell" in caught.value.fix
    with pytest.raises(WorkshopError, match="is not there yet"):
        again.sh("true", image=f"{again.tag}:other")


# Building


def test_an_edited_file_runs_what_depends_on_it_and_nothing_else(ws):
    ws.put("b", "COPY manage.py /app/")
    ws.put("c", "RUN true")
    before = ws.read("manage.py")
    again = ws.build()
    assert (again.ran, again.cached) == ([], [A_FILE, "COPY manage.py /app/", "RUN true"])
    with ws.edited("app/settings.py"):
        assert ws.build().ran == []
    with ws.edited("manage.py"):
        after = ws.build()
    assert (after.ran, after.cached) == (["COPY manage.py /app/", "RUN true"], [A_FILE])
    assert ws.read("manage.py") == before
    ws.add_comment("manage.py")
    assert ws.build().ran == ["COPY manage.py /app/", "RUN true"]
    ws.restore("manage.py")
    assert ws.build().ran == []


def test_a_target_and_a_tag_of_its_own(ws):
    ws.write("Two", f"{BASE} AS one\nENV STAGE=one\nFROM one\nENV STAGE=two\n")
    built = ws.build(target="one", file="Two", name="first")
    assert built.tag == f"{ws.tag}:first"
    assert "STAGE=one" in ws.config(built.tag)["Env"]
    typed = "$ docker build -f Two --target one -t $IMAGE:first ."
    assert built.text().splitlines()[0] == typed


def test_superseded_images_do_not_pile_up(ws):
    for number in range(3):
        ws.put("b", f"ENV B={number} C={secrets.token_hex(4)}")
    mine = {"label": f"{session.LABEL}={session.ident()}"}
    images = client.connect().api.images(filters=mine)
    assert f"{ws.tag}:latest" in [tag for image in images for tag in image["RepoTags"]]
    assert client.connect().api.images(filters={**mine, "dangling": True}) == []


def test_an_edit_must_find_its_text_once(ws):
    ws.write("x.txt", "one two two\n")
    with pytest.raises(WorkshopError, match="2 times, not once"):
        ws.edit("x.txt", "two", "three")
    assert ws.edit("x.txt", "one", "1").text() == "x.txt, edited\n-one two two\n+1 two two"
    assert ws.read("x.txt") == "1 two two\n"


def test_an_edit_that_was_made_already_says_how_to_go_on(ws):
    ws.edit("entrypoint.sh", "exec gunicorn", "gunicorn")
    with pytest.raises(WorkshopError, match="0 times, not once") as caught:
        ws.edit("entrypoint.sh", "exec gunicorn", "gunicorn")
    assert "edited already" in caught.value.fix
    assert "first cell" in caught.value.fix
    with pytest.raises(WorkshopError, match="0 times, not once") as caught:
        ws.edit("entrypoint.sh", "no such text", "nor this")
    assert "ws.read" in caught.value.fix


def test_the_dockerfile_so_far_marks_the_newest_step(ws):
    ws.put("b", "# why\nENV B=1")
    assert ws.dockerfile().text().splitlines() == [
        "Dockerfile",
        f"    1  {BASE}",
        "    2",
        f"    3  {A_FILE}",
        "    4",
        "+   5  # why",
        "+   6  ENV B=1",
    ]
