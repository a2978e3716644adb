"""Every form of archive is read, and what is none is refused in one sentence."""

import contextlib
import gzip
import io
import math
import tarfile

import archives
import generated
import pytest
import zstandard
from archives import FOLDER, LINK, SYMLINK, member, tar
from benchmark_layers import peak_memory
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop.errors import WorkshopError
from workshop.layers import archive
from workshop.layers import layer as layers
from workshop.layers.tar import Stream, _pax, members

LOWER = tar("etc/", member("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), member("etc/old", b"12345"))
UPPER = tar("etc/", "etc/.wh.old", member("new", b"1234567"))


def read(data, **settings):
    """Read an archive out of chunks of an odd size."""
    chunks = [data[at : at + 777] for at in range(0, len(data), 777)]
    return archive.read(Stream(chunks), "the image", **settings)


def refused(data, **settings):
    """The message that an archive is refused with."""
    with pytest.raises(WorkshopError) as caught:
        read(data, **settings)
    assert caught.value.what.startswith("the image can't be read as an image: ")
    assert "docker save" in caught.value.fix
    return caught.value.what


def paths(contents):
    return [entry.path for entry in contents.entries]


FORMS = {
    "docker": archives.docker_form([LOWER, UPPER]),
    "oci": archives.oci_form([LOWER, UPPER]),
    "oci, gzip": archives.oci_form([LOWER, UPPER], packed="gzip"),
    "oci, zstd": archives.oci_form([LOWER, UPPER], packed="zstd"),
    "oci, behind an index": archives.oci_form([LOWER, UPPER], packed="gzip", nested=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form):
    found = read(FORMS[form])
    lower, upper = found.layers
    assert paths(lower) == ["etc", "etc/passwd", "etc/old"]
    assert [entry.size for entry in lower.entries] == [0, 22, 5]
    assert lower.texts == {"etc/passwd": "root:x:0:0::/:/bin/sh\n"}
    assert (paths(upper), upper.removed) == (["etc", "new"], ["etc/old"])
    assert found.diff_ids == [archives.digest(LOWER), archives.digest(UPPER)]


def test_docker_and_oci_in_one_file_as_engines_write_it_since_25():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for form in ("docker", "oci"):
            with tarfile.open(fileobj=io.BytesIO(FORMS[form])) as part:
                for item in part:
                    made.addfile(item, part.extractfile(item))
    assert len(read(data.getvalue()).layers) == 2


def test_a_layer_that_occurs_twice_may_be_stored_as_a_link():
    name = archives.digest(UPPER).removeprefix("sha256:")
    manifest = [{"Config": "c.json", "Layers": [f"{name}/layer.tar", "again/layer.tar"]}]
    found = read(
        tar(
            member(f"{name}/layer.tar", UPPER),
            member("again/layer.tar", kind=SYMLINK, target=f"../{name}/layer.tar"),
            member("c.json", archives.as_json(archives.config([UPPER, UPPER]))),
            member("manifest.json", archives.as_json(manifest)),
        )
    )
    assert [paths(layer) for layer in found.layers] == [["etc", "new"]] * 2


def test_a_layer_that_is_known_is_passed_over():
    lower, upper = read(FORMS["oci"], known=[archives.digest(LOWER)]).layers
    assert lower is None
    assert paths(upper) == ["etc", "new"]


def test_fingerprints_are_taken_of_files_that_are_asked_for():
    lower, _ = read(FORMS["docker"], fingerprint=["etc/old"]).layers
    assert lower.fingerprints == {"etc/old": archives.digest(b"12345").removeprefix("sha256:")}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["a"], ("a", "file", 0, "")),
        ([member("./d/", kind=FOLDER)], ("d", "folder", 0, "")),
        ([member("/abs//x/./y", b"1")], ("abs/x/y", "file", 1, "")),
        ([member("s", kind=SYMLINK, target="../../out")], ("s", "symlink", 0, "../../out")),
        ([member("f", b"1"), member("l", kind=LINK, target="./f")], ("l", "hard link", 0, "f")),
        ([member("p", kind=tarfile.FIFOTYPE)], ("p", "special", 0, "")),
        ([member("é" * 120 + "/name")], ("é" * 120 + "/name", "file", 0, "")),
        ([member("d/.whatever", b"123")], ("d/.whatever", "file", 3, "")),
        ([member(".wh.d/a", b"1234")], (".wh.d/a", "file", 4, "")),
    ],
)
def test_members_become_entries(items, expected):
    (layer,) = read(archives.docker_form([tar(*items)])).layers
    entry = layer.entries[-1]
    assert (entry.path, entry.kind, entry.size, entry.target) == expected


def test_the_root_and_the_notes_of_an_old_driver_are_nothing():
    items = [member("./", kind=FOLDER), ".wh..wh.plnk/", ".wh..wh.aufs", "d/.wh..wh..opq"]
    (layer,) = read(archives.docker_form([tar(*items)])).layers
    assert (layer.entries, layer.removed, layer.opaque) == ([], [], ["d"])


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=130)
plain = names.filter(lambda name: not {"", ".", ".."} & set(name.split("/")))
forms = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])


@settings(max_examples=150, deadline=None, database=None)
@given(
    st.lists(st.tuples(plain, st.binary(max_size=2000), st.integers(0, 2**40)), max_size=6), forms
)
def test_headers_are_read_as_the_standard_library_reads_them(items, form):
    data = tar(*(member(name, content, uid=uid) for name, content, uid in items), form=form)
    with tarfile.open(fileobj=io.BytesIO(data)) as known:
        expected = [(m.name, m.size, m.uid, m.offset_data) for m in known]
    mine = members(Stream([data]), 0, len(data))
    assert [(m.path, m.size, m.uid, data) for m, data in mine] == expected


@settings(max_examples=150, deadline=None, database=None)
@given(generated.images, st.data())
def test_a_cut_or_a_changed_byte_gives_an_error_or_an_answer_never_a_traceback(made, data):
    whole = archives.docker_form(generated.tars(made))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    for damaged in (whole[:at], bytes(changed)):
        with contextlib.suppress(WorkshopError):
            read(damaged)


# What is refused


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_that_is_cut_off_is_refused(form):
    data = FORMS[form].rstrip(b"\0")
    for part in (0.1, 0.3, 0.6, 0.9):
        refused(data[: int(len(data) * part)])


def test_a_packed_layer_may_begin_with_a_frame_to_skip():
    plain = archives.oci_form([LOWER], packed="zstd")
    frame = b"\x5a\x2a\x4d\x18\x04\0\0\0note"
    packed = zstandard.ZstdCompressor().compress(LOWER)
    reader = layers.LayerReader()
    data = frame + packed
    found = reader.read(io.BytesIO(data[512:]), 0, len(data), data[:512])
    assert [e.path for e in found.entries] == [e.path for e in read(plain).layers[0].entries]


def test_a_packed_archive_is_told_how_to_unpack():
    assert "`gunzip` unpacks it" in refused(gzip.compress(archives.docker_form([LOWER])))


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_a_packed_layer_that_is_damaged_is_refused(packed):
    whole = archives.oci_form([LOWER], packed=packed)
    start = whole.index(b"\x1f\x8b" if packed == "gzip" else b"\x28\xb5\x2f\xfd")
    damaged = whole[: start + 20] + b"\xff" * 30 + whole[start + 50 :]
    assert "in the layer blobs/sha256/" in refused(damaged)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no manifest.json and no index.json"),
        (b"\0" * 2048, "no manifest.json and no index.json"),
        (b"x" * 2048, "no tar archive"),
        (b"too short", "cut off"),
        (tar("README"), "no manifest.json and no index.json"),
        (tar(member("manifest.json", b"{")), "not as the format wants it"),
        (tar(member("manifest.json", b"[]")), "leads to no image"),
        (tar(member("manifest.json", b'[{"Layers": []}]')), "not as the format wants it"),
        (archives.docker_form([LOWER], [UPPER]), "holds 2 images"),
        (archives.docker_form([b"x" * 600]), "in the layer"),
        (archives.docker_form([tar("../etc/shadow")]), "leads out of the image"),
        (archives.docker_form([tar("a/../../b")]), "leads out of the image"),
        (archives.docker_form([tar(member("l", kind=LINK, target="../x"))]), "leads out"),
        (archives.docker_form([tar("d/.wh...")]), "removes nothing"),
        (archives.docker_form([tar("d/" * 3000 + "a")]), "longer than 4,096"),
        (archives.docker_form([tar(member("l", kind=SYMLINK, target="x" * 5000))]), "longer than"),
        (tar("x" * 5000), "longer than 4,096"),
        (tar(member("manifest.json", b"[" * 100_000)), "not as the format wants it"),
        (tar(member("index.json", b'{"a":' * 100_000)), "not as the format wants it"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(data, why):
    assert why in refused(data)


def test_a_missing_layer_is_named():
    manifest = [{"Config": "c.json", "Layers": ["gone/layer.tar"]}]
    files = {"c.json": archives.config([LOWER]), "manifest.json": manifest}
    data = archives.pack({name: archives.as_json(content) for name, content in files.items()})
    assert "the layer gone/layer.tar is missing" in refused(data)


def nested(levels):
    """A list in a list, and so on."""
    found = []
    for _ in range(levels):
        found = [found]
    return found


CONFIGS = {
    "text": "config",
    "a list": [],
    "no layers listed": {"rootfs": {}},
    "layers of no text": {"rootfs": {"diff_ids": [1]}},
    "a number of layers": {"rootfs": {"diff_ids": 1}},
    "layers under names": {"rootfs": {"diff_ids": {"a": 1, "b": 2}}},
    "history of numbers": {"history": [1]},
    "history that is text": {"history": "RUN a"},
    "history under a name": {"history": {"created_by": "RUN a"}},
    "an instruction that is a list": {"history": [{"created_by": ["RUN a"]}]},
    "settings that are text": {"config": "a"},
    "a user that is a number": {"config": {"User": 1000}},
    "variables that are numbers": {"config": {"Env": [1]}},
    "labels in a list": {"config": {"Labels": ["a"]}},
    "a label that is a list": {"config": {"Labels": {"a": ["b"]}}},
    "nested settings": {"config": {"Healthcheck": nested(70)}},
    "nested too deep to read": {"config": nested(900)},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration_of_wrong_types_is_refused(case):
    made = CONFIGS[case]
    if isinstance(made, dict):
        made = {**archives.config([LOWER]), **made}
    refused(archives.oci_form([LOWER], made_config=made))


@pytest.mark.parametrize("missing", [{"history": None}, {"config": None}, {"architecture": None}])
def test_what_a_configuration_may_leave_out_may_be_null_or_missing(missing):
    made = archives.config([LOWER])
    for config in ({**made, **missing}, {k: v for k, v in made.items() if k not in missing}):
        assert len(read(archives.oci_form([LOWER], made_config=config)).layers) == 1


def test_an_image_may_have_no_layers():
    made = {**archives.config([]), "rootfs": {"type": "layers", "diff_ids": None}}
    found = read(archives.oci_form([], made_config=made))
    assert (found.layers, found.diff_ids) == ([], [])


def test_an_index_that_leads_to_itself_ends():
    """Its name is no digest of it, which nobody checks."""
    name = f"blobs/sha256/{'0' * 64}"
    index = {"manifests": [{"digest": f"sha256:{'0' * 64}"}] * 100}
    files = {name: archives.as_json(index), "index.json": archives.as_json(index)}
    assert "leads to no image" in refused(archives.pack(files))


def test_what_is_kept_of_an_image_has_a_bound(monkeypatch):
    """A small archive can hold lists of packages that unpacked fill the memory."""
    monkeypatch.setattr(layers, "MOST_TEXT", 5_000_000)
    name = "var/lib/dpkg/info/{}.list"
    made = [tar(member(name.format(n), b"\n" * 1_000_000)) for n in range(9)]
    assert len(read(archives.oci_form(made[:4], packed="gzip")).layers) == 4
    data = archives.oci_form(made, packed="gzip")
    assert len(data) < 100_000
    assert "lists of files and packages are larger" in refused(data)
    other = [tar(*(f"{number}/{'x' * 3000}" for number in range(2000)))]
    assert "lists of files and packages are larger" in refused(archives.oci_form(other, "gzip"))


def test_files_have_a_bound_too(monkeypatch):
    monkeypatch.setattr(layers, "MOST_MEMBERS", 20)
    made = [tar(*(f"{number}/{n}" for n in range(6))) for number in range(4)]
    assert len(read(archives.oci_form(made[:3])).layers) == 3
    assert "more than 20 files" in refused(archives.oci_form(made))


def test_attributes_of_files_are_not_kept():
    """An extended header can hold 16 MB, and there can be any number of them."""
    info, content = member("a", b"1")
    info.pax_headers = {"SCHILY.xattr.user.a": "x" * 10_000, "path": "named"}
    ((entry, _),) = members(Stream([tar((info, content))]), 0, math.inf)
    assert entry.path == "named"
    assert list(_pax(info.create_pax_header(info.get_info(), "utf-8")[512:])) == ["path"]


def with_size(name, field):
    """A tar whose one header claims a size, as the 12 bytes of ``field``."""
    header = bytearray(member(name)[0].tobuf())
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


@pytest.mark.parametrize(
    "field",
    [
        b"77777777777\0",  # 8 GiB, the most that octal digits can say
        b"\x80" + b"\0" * 3 + b"\x10" + b"\0" * 7,  # 2^60
        b"\xff" * 12,  # less than nothing
    ],
)
def test_absurd_sizes_are_refused_at_once(field):
    layer = with_size("huge", field)
    for data in (archives.docker_form([layer]), archives.oci_form([layer], packed="gzip")):
        message = refused(data)
        assert "huge" in message or "cut off" in message
    assert refused(with_size("whole", field))


def test_an_extended_header_of_absurd_length_is_refused():
    header = bytearray(with_size("x", b"77777777777\0"))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    assert "claims" in refused(archives.docker_form([bytes(header)]))


def test_a_damaged_header_in_the_middle_is_no_end():
    """The standard library takes it for the end, and the rest of the image is gone."""
    layer = bytearray(tar(member("a", b"1"), member("b", b"2"), member("c", b"3")))
    layer[1024 + 10] ^= 1
    with tarfile.open(fileobj=io.BytesIO(layer)) as known:
        assert known.getnames() == ["a"]
    assert "checksum" in refused(archives.docker_form([bytes(layer)]))


# Its own limits


def test_memory_does_not_grow_with_the_bytes_of_an_image():
    small, large = peak_memory(4, 1_000_000), peak_memory(4, 100_000_000)
    assert large < small + 100_000


def test_a_stream_moves_forward_whatever_the_chunks():
    stream = Stream([b"ab", b"cdefg", b"h"])
    assert (stream.read(1), stream.read(3), stream.tell()) == (b"a", b"bcd", 4)
    stream.seek(7)
    assert (stream.read(100), stream.tell()) == (b"h", 8)
    stream.seek(50)
    assert (stream.read(3), stream.tell()) == (b"", 8)
