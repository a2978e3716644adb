"""Every question gets its answer, as data and as a table that can be read."""

import contextlib
import io
import json
import tarfile
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import archives
import pytest
from archives import LINK, SYMLINK, member, tar
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop.errors import WorkshopError
from workshop.layers import unwanted
from workshop.layers.answers import readable
from workshop.layers.image import instruction
from workshop.layers.look import look_into
from workshop.show.figure import Figure, Row

SITE = "usr/lib/python3/site-packages"
RECORD = "dj/__init__.py,sha256=abc,5\ndj-1.0.dist-info/RECORD,,\n../../../bin/dj-admin,,\n"
STATUS = "Package: libpq5\nVersion: 17.1\n\nPackage: libc6\nStatus: installed\nVersion: 2.41\n"


def file(name, content=b"", **more):
    return member(
        name,
        content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content,
        **more,
    )


BASE = [
    file("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
    file("etc/group", "root:x:0:\napp:x:1000:\nmedia:x:44:app,other\n"),
    member("lib", kind=SYMLINK, target="usr/lib"),
    file("usr/lib/libc.so", b"x" * 9000),
    file("usr/bin/su", b"x" * 300, mode=0o4755),
    file("var/lib/dpkg/status", STATUS),
    file("var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/libc.so\n"),
    file("var/lib/dpkg/info/libpq5.list", "/usr/lib/libpq.so\n"),
    file("usr/lib/libpq.so", b"x" * 4000),
]
WHEELS = [file("wheels/dj.whl", b"x" * 2500), file("wheels/\x1b[31m.whl", b"x" * 5)]
INSTALL = [
    ".wh.wheels",
    file(f"{SITE}/dj/__init__.py", b"x" * 100),
    file(f"{SITE}/dj/__pycache__/__init__.cpython-313.pyc", b"x" * 50),
    file(f"{SITE}/dj-1.0.dist-info/RECORD", RECORD),
    file("usr/bin/dj-admin", b"x" * 10),
]
LAYERS = [BASE, WHEELS, INSTALL]
HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD file:abc in / "},
    {"created_by": "COPY /app/wheels /wheels # buildkit"},
    {"created_by": "ENV A=1", "empty_layer": True},
    {"created_by": "RUN |1 A=1 /bin/sh -c pip install --no-index dj # buildkit"},
]


@pytest.fixture
def make(tmp_path):
    """Looks into an image made of tuples of members."""

    def made(*layers, name="image.tar", history=None, **settings):
        tars = [tar(*items) for items in layers]
        config = archives.config(tars, **settings)
        config["history"] = history or config["history"]
        path = tmp_path / name
        path.write_bytes(archives.oci_form(tars, made_config=config))
        return look_into(str(path))

    return made


@pytest.fixture
def image(make):
    return make(*LAYERS, history=HISTORY, User="app", Env=["A=1"])


class Cells(HTMLParser):
    """The cells of tables, and the attributes of images."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.images = [], []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._open = tag in ("td", "th")
        if self._open:
            self.cells.append("")
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data


def test_an_image_is_shown_as_its_layers_and_what_is_superseded(image):
    text = image.text()
    assert "COPY /app/wheels /wheels" in text
    assert "Superseded: 2.5 kB." in text
    assert "/wheels" in text.partition("Superseded: stored")[2]
    assert "RUN pip install --no-index dj" in Cells(image.html()).cells


def test_the_json_is_as_the_contract_says(image):
    told = json.loads(json.dumps(image.as_json()))
    assert {"image", "size", "superseded_bytes", "layers"} <= told.keys()
    assert told["size"] == sum(layer["size"] for layer in told["layers"])
    assert [layer["superseded_bytes"] for layer in told["layers"]] == [0, 2505, 0]
    for layer in told["layers"]:
        assert {"digest", "created_by", "size", "files", "superseded_bytes"} <= layer.keys()
    assert told["superseded"][0] == {
        "path": "/wheels/dj.whl", "bytes": 2500, "stored_by": 1, "hidden_by": 2,
    }  # fmt: skip


def test_what_did_this_instruction_add(image):
    assert image.added("COPY /app/wheels").bytes == {
        "/wheels/dj.whl": 2500,
        "/wheels/\\x1b[31m.whl": 5,
    }
    added = image.added("pip install", by="package")
    assert added.bytes["dj"] == 100 + 50 + 10 + len(RECORD)
    assert "█" in added.text()


@pytest.mark.parametrize("part", ["nothing like it", "w"])
def test_an_instruction_that_is_not_one_is_answered_with_the_list(image, part):
    with pytest.raises(WorkshopError, match="1 COPY /app/wheels /wheels") as caught:
        image.added(part if part != "w" else "")
    assert "only one of them" in caught.value.fix


def test_where_do_the_megabytes_go(image):
    packages = image.packages()
    assert packages.bytes["libc6"] == 9000
    assert packages.bytes["libpq5"] == 4000
    assert packages.bytes["(no package) /usr/bin"] == 300
    assert sum(packages.bytes.values()) == image.size - image.superseded_bytes
    assert next(iter(packages.bytes)) == "libc6"
    folders = image.folders()
    assert folders.bytes["/usr/lib/libc.so"] == 9000
    assert sum(folders.bytes.values()) == image.size - image.superseded_bytes
    assert image.folders("/lib").bytes["/usr/lib/libpq.so"] == 4000
    with pytest.raises(WorkshopError, match="no folder /nowhere"):
        image.folders("/nowhere")


def test_the_layers_of_a_base_are_shown_as_one(tmp_path, make, monkeypatch):
    digests = [layer.digest for layer in make(["a"], *LAYERS, history=HISTORY[:1] + HISTORY).layers]
    monkeypatch.setattr("workshop.layers.look.digests_of", lambda name, client: digests[:2])
    image = look_into(str(tmp_path / "image.tar"), base="the-base:1")
    assert image.base_layers == 2
    rows = [line.split()[:2] for line in image.text().splitlines()[3:6]]
    assert rows == [["base", "the-base:1"], ["1", "COPY"], ["2", "RUN"]]
    assert image.owner("/etc/passwd").steps[0][:2] == ("base", "the-base:1")
    assert image.owner("/wheels/dj.whl").steps[0][0] == "1"
    assert "1 COPY /app/wheels /wheels" in image.superseded().text()
    assert len(image.figure().rows) == 2
    monkeypatch.setattr("workshop.layers.look.digests_of", lambda name, client: ["sha256:another"])
    assert look_into(str(tmp_path / "image.tar"), base="another").base_layers == 0


@pytest.mark.parametrize(("by", "first"), [("layer", "/wheels"), ("path", "/wheels/dj.whl")])
def test_superseded_bytes_are_added_up_by_what_is_asked(image, by, first):
    table = image.superseded(by=by)
    assert table.rows[0][0] == first
    assert len(table.rows) == {"layer": 1, "path": 2}[by]
    with pytest.raises(WorkshopError, match="by='size'"):
        image.superseded(by="size")


def test_answers_are_short_by_default_and_longer_on_request(image):
    assert len(image.packages(rows=2).text().splitlines()) == 6
    assert "more; rows=None shows all" in image.packages(rows=2).html()
    assert "more" not in image.packages(rows=None).text()


def test_versions_come_from_the_package_managers(image):
    assert image.known_packages.versions == {"libpq5": "17.1", "libc6": "2.41", "dj": "1.0"}


def test_a_name_that_two_managers_use_is_told_apart(make):
    both = [*BASE, file(f"{SITE}/libpq5-3.0.dist-info/RECORD", "libpq5.py,,\n")]
    assert make(both).known_packages.versions["libpq5 (apt)"] == "17.1"


def test_who_owns_this_file(image):
    owner = image.owner("/lib/libpq.so")
    assert (owner.path, owner.package, owner.layer) == ("/usr/lib/libpq.so", "libpq5", 0)
    assert owner.steps == [("0", "ADD file:abc in /", "stored, 4.0 kB")]
    wheel = image.owner("wheels/dj.whl")
    assert wheel.layer is None
    assert "can't be seen" in wheel.text()
    assert [did for *_, did in wheel.steps] == ["stored, 2.5 kB", "removed"]
    with pytest.raises(WorkshopError, match="No layer of image.tar stores /x/dj.whl") as caught:
        image.owner("/x/dj.whl")
    assert caught.value.fix == "Did you mean /wheels/dj.whl?"


def test_what_differs_between_two_images(make):
    def version(number, *more, **settings):
        items = [
            file("same", "content"), file("edited", f"{number}"), file("mode", mode=0o600 + number),
            file("first", f"{number} linked"), member("second", kind=LINK, target="first"), *more,
        ]  # fmt: skip
        return make([*BASE], items, name=f"{number}.tar", **settings)

    old = version(1, file("gone", "12345"), Env=["A=1", "B=1"])
    new = version(2, *INSTALL[1:], Env=["A=2", "B=1"], User="app")
    found = old.diff(new)
    assert set(found.changed) == {"edited", "mode", "first", "second"}
    assert found.removed == {"gone": 5}
    assert f"{SITE}/dj/__init__.py" in found.added
    assert found.packages == {"dj": ("–", "1.0")}
    assert found.config == {"User": ("null", '"app"'), "ENV A": ("1", "2")}
    assert "dj" in found.text()
    assert found.files(rows=None).text().count("changed") == 4
    same = old.diff(old)
    assert [same.added, same.removed, same.changed, same.packages, same.config] == [{}] * 5


UNWANTED = {
    "compilers": ["usr/bin/gcc", "usr/bin/x86_64-linux-gnu-g++-14", "usr/lib/gcc/x/cc1"],
    "headers": ["usr/include/libpq-fe.h", "usr/local/include/python3.13/Python.h"],
    "static libraries": ["usr/lib/libcrypto.a"],
    "caches": [
        "var/lib/apt/lists/deb_main",
        "root/.cache/pip/http/a",
        "var/cache/apt/archives/x.deb",
    ],
    ".git": ["app/.git/config"],
    "secret files": [
        "app/.env",
        "app/.env.production",
        "app/.envs/.local/.django",
        "app/.envrc",
        "root/.netrc",
        "app/tls/site.key",
    ],
}
WANTED = [
    "usr/bin/python3", "usr/bin/ld.so", "usr/bin/git", "app/include/notes.txt", "app/.gitignore",
    "var/lib/apt/lists/lock", "app/.env.example", "usr/share/keys/debian.key", "app/cache/page.py",
]  # fmt: skip


@pytest.mark.parametrize("kind", UNWANTED)
def test_what_should_not_be_in_an_image_is_found(make, kind):
    found = make([file(path, b"x") for path in UNWANTED[kind]], User="1000").unwanted()
    assert found.kinds == [kind]
    assert sum(finding.files for finding in found.of(kind)) == len(UNWANTED[kind])


def test_what_may_be_in_an_image_is_not(make):
    assert make([file(path, b"x") for path in WANTED], User="1000").unwanted().findings == []


def test_a_secret_that_was_removed_is_found_in_its_layer(make):
    found = make([file("app/.env", b"KEY=1")], ["app/.wh..env"], User="1000").unwanted()
    (finding,) = found.of("secret files")
    assert (finding.place, finding.layer, finding.hidden) == ("/app/.env", 0, True)
    assert "superseded" in found.text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN SECRET_KEY=hunter2 python manage.py collectstatic", "SECRET_KEY=hu…"),
        ("RUN |1 PYPI_TOKEN=abcdef /bin/sh -c pip install x", "PYPI_TOKEN=ab…"),
        ('ENV DB_PASSWORD="a b c"', "DB_PASSWORD=a …"),
        ("RUN git clone https://me:hunter2@example.com/x", "https://me:…@example.com"),
        ("ENV BROKER=redis://:hunter2@redis:6379/0", "redis://:…@redis:6379"),
        ("ENV DB=postgres://me:hun:ter2@db/x", "postgres://me:…@db"),
        ("RUN aws configure AKIAABCDEFGHIJKLMNOP", "AK…"),
    ],
)
def test_a_secret_in_the_history_is_found_and_masked(make, text, shown):
    found = make(["a"], history=[{"created_by": text}], User="1000").unwanted()
    assert [finding.place for finding in found.of("secrets in history")] == [shown]
    assert "hunter2" not in found.text() + found.html()


def test_a_secret_in_env_is_found_and_a_public_key_is_none(make):
    found = make(
        ["a"],
        User="1000",
        Env=["API_KEY=abc", "GPG_KEY=7169605F", "PYTHON_SHA256=93", "SECRET_KEY_FILE=/run/k"],
    )
    assert [f.place for f in found.unwanted().findings] == ["API_KEY=ab…"]
    reference = [{"created_by": "RUN SECRET_KEY=$KEY TOKEN= ./build PASSWORD_HASHER"}]
    assert make(["a"], history=reference, User="1000").unwanted().findings == []


def test_setuid_files_are_found(image):
    (found,) = image.unwanted().of("setuid and setgid")
    assert (found.place, found.layer) == ("/usr/bin/su", 0)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, {0})),
        ("root", (0, {0})),
        ("app", (1000, {1000, 44})),
        ("1000", (1000, {1000, 44})),
        ("app:media", (1000, {44})),
        ("10001:10001", (10001, {10001})),
        ("10001", (10001, set())),
        ("stranger", (None, set())),
    ],
)
def test_the_run_time_user_is_the_images_own(make, user, expected):
    assert unwanted.run_time_user(make(BASE, User=user).image) == expected


@pytest.mark.parametrize(
    ("owner", "mode", "writable"),
    [
        ((1000, 0), 0o644, True),
        ((1000, 0), 0o466, False),  # the owner's bits count, not the others'
        ((0, 1000), 0o664, True),
        ((0, 44), 0o664, True),
        ((0, 1000), 0o646, False),
        ((0, 0), 0o646, True),
        ((0, 0), 0o644, False),
    ],
)
def test_files_that_the_run_time_user_can_write(make, owner, mode, writable):
    made = make(BASE, [file("app/x", b"1", uid=owner[0], gid=owner[1], mode=mode)], User="app")
    found = made.unwanted().of("writable files")
    assert [f.place for f in found] == (["/app"] if writable else [])


def test_root_can_write_everything(make):
    (found,) = make(BASE).unwanted().of("writable files")
    assert found.files == len(BASE)
    assert "root" in found.place


def test_the_figure_has_a_text_alternative_and_is_a_picture(image):
    figure = image.figure()
    assert figure.png.startswith(b"\x89PNG")
    (picture,) = Cells(figure.html()).images
    assert picture["src"].startswith("data:image/png;base64,")
    assert picture["alt"] == figure.alt
    assert "1 COPY /app/wheels /wheels: 2.5 kB, all superseded" in figure.alt
    assert figure.text().splitlines()[1].startswith("0 ") is False
    assert "░" in figure.text()


def test_two_figures_have_the_scale_of_the_larger(make):
    small, large = make([file("a", b"x" * 10_000)]), make([file("a", b"x" * 40_000)])
    alone, beside = small.figure(), small.figure(beside=large)
    assert alone.text().count("█") == 4 * beside.text().count("█")
    assert large.figure(beside=small).text() == large.figure().text()


def test_what_each_layer_does_with_a_path_is_traced_to_what_a_container_shows(image):
    assert image.trace("/wheels").text() == (
        "1 COPY /app/wheels /wheels: stores 2 files; 2.5 kB\n"
        "  → then\n"
        "2 RUN pip install --no-index dj: stores 1 whiteout\n"
        "  → adds up to\n"
        "a container: shows 0 files"
    )
    assert image.trace(f"{SITE}/dj").text().endswith("a container: shows 2 files")
    with pytest.raises(WorkshopError, match="has anything at /nowhere"):
        image.trace("/nowhere")


def test_a_figure_of_nothing_is_still_a_figure():
    figure = Figure("nothing", [])
    assert figure.png.startswith(b"\x89PNG")
    assert figure.text() == "nothing"
    assert Row("a", 5, 0).bytes == "5 B"
    assert Row("a", 5, 1500).bytes == "1.5 kB, 1.5 kB superseded"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("RUN |2 A=1 B=x y /bin/sh -c make # buildkit", "RUN make"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("/bin/sh -c #(nop) COPY dir:1 in /app ", "COPY dir:1 in /app"),
        ('/bin/sh -c #(nop)  CMD ["x"]', 'CMD ["x"]'),
        ("WORKDIR /app", "WORKDIR /app"),
        ("", "(no instruction recorded)"),
    ],
)
def test_the_history_is_read_as_instructions(told, expected):
    assert instruction(told) == expected


def test_paths_never_reach_the_terminal_as_control_codes():
    assert readable("a\x1b[31m\udcff/é") == "/a\\x1b[31m\\udcff/é"


# What comes out of an image may be anything


HOSTILE = "$\\foo{$\x1b[31m\x1b]0;title\x07\u202e\udcff<b>"


def test_nothing_that_comes_out_of_an_image_reaches_a_terminal_or_a_page_as_it_is(make):
    items = [
        file(f"{HOSTILE}/a", b"x" * 2000), file(f"app/{HOSTILE}/.env", b"A=1"),
        file(f"{SITE}/{HOSTILE}-1.0.dist-info/RECORD", f"{HOSTILE}/a,,\n"),
        file("etc/passwd", f"{HOSTILE}:x:5:5::/:/bin/sh\n"),
        file(f"usr/bin/{HOSTILE}", mode=0o4755),
    ]  # fmt: skip
    settings = {"User": HOSTILE, "Env": [f"API_KEY={HOSTILE}", f"{HOSTILE}=1"], "Cmd": [HOSTILE]}
    history = [{"created_by": f"RUN {HOSTILE} {number}"} for number in range(2)]
    name = "\x1b[31mname\u202e.tar"
    image = make(items, [f".wh.{HOSTILE}"], history=history, name=name, **settings)
    other = make(["a"], history=history[:1], name=f"other{name}")
    shown = [
        image, image.superseded(), image.superseded(by="folder"), image.superseded(by="path"),
        image.folders(), image.packages(), image.unwanted(), image.unwanted(rows=9),
        image.added(f"{HOSTILE} 0"), image.owner(f"{HOSTILE}/a"), image.diff(other),
        image.diff(other).files(), other.diff(image), image.figure(),
    ]  # fmt: skip
    told = [form for each in shown for form in (each.text(), each.html())]
    for question in (
        lambda: image.added("nothing"),
        lambda: image.owner("nothing/.env"),
        lambda: image.folders("nothing"),
    ):
        with pytest.raises(WorkshopError) as caught:
            question()
        told.append(str(caught.value))
    for text in told:
        assert [c for c in text if not c.isprintable() and c != "\n"] == []
        assert "<b>" not in text or "<table" not in text
    assert image.figure().png.startswith(b"\x89PNG")
    assert json.dumps(image.as_json()).isascii()


def test_users_and_records_that_are_damaged_are_no_entries(make):
    items = [
        file("etc/passwd", "app\napp:x:abc:1::/:\napp:x:7:\napp:x:²:1::\napp:x:8:9::/:/bin/sh\n"),
        file("etc/group", "\nmedia:x:x:app\nmedia:x:44:app\n"),
        file(f"{SITE}/dj-1.0.dist-info/RECORD", f"dj/a,,\n{'x' * 200_000},,\ndj/b,,\n"),
        file("var/lib/dpkg/status", "Package: \nVersion:\n\n\n"),
    ]
    found = make(items, User="app")
    assert unwanted.run_time_user(found.image) == (8, {9, 44})
    assert found.known_packages.owner(f"{SITE}/dj/a") == "dj"
    for user in ("²", "9" * 5000, "app:²", ":", "a:b:c"):
        unwanted.run_time_user(make(items, User=user).image)


def everything_of(image):
    """Every answer that an image gives, shown."""
    shown = [
        image, image.superseded(by="path"), image.folders(), image.packages(), image.unwanted(),
        image.diff(image), image.figure(),
    ]  # fmt: skip
    json.dumps(image.as_json())
    return [each.text() for each in shown]


def test_a_very_long_word_in_the_history_is_no_trouble(make):
    history = [{"created_by": f"RUN {'SECRET' * 50_000}"}]
    assert make(["a"], history=history, User="1000").unwanted().findings == []


def test_a_path_as_deep_as_can_be_is_shown(make):
    deep = "/".join("d" * 2000)
    image = make([file(f"{deep}/a", b"1")], [".wh.d"], [file(f"{deep}/b", b"2")])
    assert image.superseded_bytes == 1
    everything_of(image)


@pytest.mark.parametrize(
    "why", ["Permission denied", "No such file or directory", "Input/output error"]
)
def test_an_archive_that_can_not_be_read_is_one_message(make, tmp_path, monkeypatch, why):
    """It may vanish, or belong to somebody else; root may read everything, so this is played."""
    make(["a"])

    def refused(*_):
        raise OSError(5, why)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(WorkshopError, match=f"image.tar can't be read: {why}"):
        look_into(str(tmp_path / "image.tar"))


@pytest.mark.parametrize(
    "name", [".", "/", "..", "a/../b", "/dev/null", "", "a b", "a\0b", "\udcff", "é", "\x1b[31m"]
)
def test_what_is_neither_a_file_nor_a_name_is_not_asked_of_the_engine(name):
    """It would become a part of an address, where it asks for something else."""
    with pytest.raises(WorkshopError, match="names no image") as caught:
        look_into(name)
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "name", ["x" * 5000, "localhost:5000/a/b-c_d:1.2@sha256:ab", "[::1]:5000/a"]
)
def test_what_may_be_a_name_is_asked_of_the_engine(monkeypatch, name):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(WorkshopError, match="No Docker engine answers"):
        look_into(name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


BOTH = [tar(*BASE), tar(*INSTALL)]
WHOLE = {
    **archives.config(BOTH, User="app", Env=["A=1"], Labels={"a": "b"}, Cmd=["a"]),
    "history": HISTORY[:2],
}


@settings(max_examples=200, deadline=None, database=None)
@given(st.booleans(), st.data())
def test_any_other_value_in_a_document_gives_an_error_or_an_answer(docker, data):
    """A value of the manifest, of an index or of the configuration is another one."""
    whole = archives.docker_form(BOTH) if docker else archives.oci_form(BOTH, "gzip", True, WHOLE)
    files = {}
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        for item in archive:
            files[item.name] = archive.extractfile(item).read()
    name = data.draw(st.sampled_from([n for n, text in files.items() if text[:1] in b"{["]))
    document = json.loads(files[name])
    place = data.draw(st.sampled_from(list(places(document))))
    changed = replaced(document, place, data.draw(json_values))
    if files[name] != archives.as_json(WHOLE):
        files[name] = archives.as_json(changed)
        whole = archives.pack(files)
    else:  # its digest is another one, too
        whole = archives.oci_form(BOTH, made_config=changed)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(WorkshopError):
        path = Path(folder, "image.tar")
        path.write_bytes(whole)
        everything_of(look_into(str(path)))


def places(value, so_far=()):
    """Where in a document something else could stand."""
    yield so_far
    items = list(value.items()) if isinstance(value, dict) else []
    items += enumerate(value) if isinstance(value, list) else []
    for key, inner in items:
        yield from places(inner, (*so_far, key))


def replaced(document, place, value):
    if not place:
        return value
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return document
