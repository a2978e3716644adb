"""A layer's tar is counted while it streams past."""

import io
import tarfile

import pytest

from workshop import layers


def tar(*entries, mode="w"):
    """A tar of (name, type, bytes) entries."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, kind, size in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = size
            info.linkname = "target" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(info, io.BytesIO(b"x" * size))
    return made.getvalue()


FILE, FOLDER = tarfile.REGTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], (0, 0, 0)),
        ([("a", FILE, 1500), ("d/b", FILE, 0)], (2, 1500, 0)),
        ([("d", FOLDER, 0), ("d/e", FOLDER, 0)], (0, 0, 0)),
        ([("a", FILE, 7), ("s", tarfile.SYMTYPE, 0), ("h", tarfile.LNKTYPE, 0)], (3, 7, 0)),
        ([("d/.wh.gone", FILE, 0), ("d", FOLDER, 0), ("d/.wh..wh..opq", FILE, 0)], (0, 0, 2)),
        ([("d/.whatever", FILE, 3), (".wh.d/a", FILE, 4)], (2, 7, 0)),
    ],
)
def test_files_bytes_and_removed_files_are_counted(entries, expected):
    assert layers._count(io.BytesIO(tar(*entries))) == expected


def test_a_compressed_layer_is_counted_too():
    assert layers._count(io.BytesIO(tar(("a", FILE, 5000), mode="w:gz"))) == (1, 5000, 0)


@pytest.mark.parametrize("blob", [b"", b'{"schemaVersion": 2}', b"\0" * 100])
def test_what_is_no_tar_is_no_layer(blob):
    assert layers._count(io.BytesIO(blob)) is None


def test_a_stream_hands_out_what_is_asked_for_whatever_the_chunks():
    stream = layers._Stream([b"ab", b"cdefg", b"", b"never seen"])
    assert stream.read(1) == b"a"
    assert stream.read(3) == b"bcd"
    assert stream.read(0) == b""
    assert stream.read(100) == b"efg"


def test_a_stream_that_ended_stays_ended():
    stream = layers._Stream(iter([b"abc"]))
    assert stream.read(3) == b"abc"
    assert stream.read(3) == b""
    assert stream.read(3) == b""


def test_a_tar_can_be_read_from_a_stream_of_odd_chunks():
    data = tar(("a", FILE, 3000), ("b", FILE, 11))
    chunks = [data[at : at + 777] for at in range(0, len(data), 777)]
    with tarfile.open(fileobj=layers._Stream(chunks), mode="r|") as archive:
        found = [(member.name, len(archive.extractfile(member).read())) for member in archive]
    assert found == [("a", 3000), ("b", 11)]


def test_what_was_counted_is_kept_by_digest(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    layer = layers.Layer("sha256:abc", 3, 4, 5)
    assert layers._load("sha256:abc") is None
    layers._store(layer)
    assert layers._load("sha256:abc") == layer
    layers._cached("sha256:abc").write_text("{half a fil")
    assert layers._load("sha256:abc") is None
