"""What was read is kept, found again, and never in the way."""

import gc
import os

import archives
import pytest
import requests
from archives import member, tar
from docker.models.images import Image as EngineImage

from workshop.errors import WorkshopError
from workshop.layers import kept, sources
from workshop.layers.layer import Contents, LayerReader

LOWER = tar(member("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), "d/.wh.gone", "e/.wh..wh..opq")
UPPER = tar(member("new", b"1234567"))
TOP = tar(member("top", b"1"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of this test's own."""
    monkeypatch.setattr(kept, "folder", lambda: tmp_path / "cache" / "layers")
    sources.by_id.cache_clear()
    return tmp_path / "cache" / "layers"


class Engine:
    """An engine with one image, whose archives are ``forms`` of its layers, one after another."""

    def __init__(self, *layers, packed="gzip", image_id="sha256:i"):
        self.archive = archives.oci_form(layers, packed=packed)
        digests = [archives.digest(layer) for layer in layers]
        self.found = EngineImage({"Id": image_id, "RootFS": {"Layers": digests}})
        self.found.save = self.save
        self.saves = 0
        self.images = self

    def get(self, name):
        return self.found

    def save(self, chunk_size):
        self.saves += 1
        yield self.archive


@pytest.fixture
def opened(monkeypatch):
    """Which layers were read, by the paths in them."""
    paths = []
    read = LayerReader.read

    def counted(self, *arguments):
        found = read(self, *arguments)
        paths.append([entry.path for entry in found.entries])
        return found

    monkeypatch.setattr(LayerReader, "read", counted)
    return paths


@pytest.mark.parametrize("packed", ["", "gzip", "zstd", ("", "gzip")])
def test_a_layer_is_read_once_however_the_engine_packs_it(opened, packed):
    first = sources.of_image("a", client=Engine(LOWER, UPPER, packed=packed))
    assert opened == [["etc/passwd"], ["new"]]
    how = packed if isinstance(packed, str) else (*packed, "gzip")
    engine = Engine(LOWER, UPPER, TOP, packed=how, image_id="sha256:j")
    second = sources.of_image("b", client=engine)
    assert opened == [["etc/passwd"], ["new"], ["top"]]
    assert second.contents[:2] == first.contents
    assert [layer.digest for layer in second.layers[:2]] == [la.digest for la in first.layers]


def test_an_image_that_was_read_is_not_saved_again(opened):
    engine = Engine(LOWER, UPPER)
    read = sources.of_image("a", client=engine)
    sources.by_id.cache_clear()  # as in a new process
    again = sources.of_image("a", client=engine)
    assert engine.saves == 1
    assert len(opened) == 2
    assert again.contents == read.contents
    assert sources.contents_of("a", client=engine) == read.contents
    assert sources.of_image("a", client=engine) is again


def test_a_layer_that_comes_packed_in_another_way_is_then_known_by_both_digests(opened):
    for number, packed in enumerate(("gzip", "zstd", "gzip", "zstd", "")):
        sources.of_image("a", client=Engine(LOWER, packed=packed, image_id=f"sha256:{number}"))
    assert len(opened) == 2
    assert len(kept.load_layer(archives.digest(LOWER)).blobs) == 2


def test_a_fingerprint_takes_a_read_of_all(opened):
    engine = Engine(LOWER, UPPER)
    sources.of_image("a", client=engine)
    found = sources.of_image("a", ["new"], client=engine)
    assert found.contents[1].fingerprints == {"new": archives.digest(b"1234567")[7:]}
    assert len(opened) == 4
    assert sources.of_image("a", client=engine).contents[1].fingerprints == {}


def test_the_image_is_the_one_that_the_engine_describes():
    """An archive of several platforms, of which the engine runs one."""
    engine = Engine(LOWER, UPPER)
    engine.archive = archives.docker_form([TOP], [LOWER, UPPER], [LOWER])
    found = sources.of_image("a", client=engine)
    assert found.files.keys() == {"etc/passwd", "new"}
    other = Engine(UPPER, image_id="sha256:other")
    other.archive = engine.archive
    with pytest.raises(WorkshopError, match="no image with the layers that the engine lists"):
        sources.of_image("a", client=other)


def test_an_image_is_put_together_once_as_long_as_its_id_is_the_same():
    old = Engine(LOWER, image_id="sha256:old")
    made = sources.of_image("a", client=old)
    assert sources.of_image("a", client=old) is made
    assert sources.of_image("a", client=Engine(LOWER, image_id="sha256:new")).id == "sha256:new"


def test_one_id_may_stand_for_an_image_of_several_platforms():
    """In the containerd store it is that of the index; two engines run what fits them."""
    sources.of_image("a", client=Engine(LOWER, UPPER))
    other = sources.of_image("a", client=Engine(TOP))
    assert (other.config["rootfs"]["diff_ids"], list(other.files)) == (
        [archives.digest(TOP)], ["top"]
    )  # fmt: skip


@pytest.mark.parametrize("packed", ["", "gzip"])
def test_an_engine_that_breaks_off_is_one_message(packed):
    engine = Engine(LOWER, packed=packed)

    def breaks_off(chunk_size):
        yield engine.archive[:600]
        raise requests.exceptions.ChunkedEncodingError("connection broken")

    engine.found.save = breaks_off
    with pytest.raises(WorkshopError, match="broke off while it saved the-image: conn"):
        sources.of_image("the-image", client=engine)
    assert gc.isenabled()  # it rests while an image is read


def test_an_engine_that_is_not_there_is_one_message(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(WorkshopError, match="No Docker engine answers"):
        sources.of_image("a")


def test_an_image_without_layers_has_none():
    engine = Engine()
    del engine.found.attrs["RootFS"]["Layers"]
    assert sources.of_image("a", client=engine).layers == []


# On disk


def test_a_layer_is_kept_whole_or_not_at_all():
    contents = sources.of_image("a", client=Engine(LOWER)).contents[0]
    assert kept.load_layer("sha256:abc") is None
    kept.store_layer("sha256:abc", contents)
    assert kept.load_layer("sha256:abc") == contents
    for spoilt in ("{half a fil", "[]", "{}", '{"entries": [[1], []]}'):
        kept._file("layer", "sha256:abc").write_text(spoilt)
        assert kept.load_layer("sha256:abc") is None
    kept.store_layer("sha256:empty", Contents())
    assert kept.load_layer("sha256:empty") == Contents()


def test_what_was_not_used_for_longest_goes_first(cache, monkeypatch):
    """The layers of a base image are written first, and used most."""
    monkeypatch.setattr(kept, "MOST_FILES", 2)
    for second, name in enumerate(("base", "old")):
        kept.store_layer(f"sha256:{name}", Contents())
        os.utime(cache / f"layer-{name}.json", (second, second))
    kept.load_layer("sha256:base")
    kept.store_layer("sha256:new", Contents())
    assert {file.name for file in cache.iterdir()} == {"layer-base.json", "layer-new.json"}
    kept.forget()
    assert not list(cache.iterdir())


def test_where_nothing_can_be_kept_all_is_read(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in ("file/x/layers", "no/home/here/cache/x/layers"):
        monkeypatch.setattr(kept, "folder", lambda folder=folder: tmp_path / folder)
        engine = Engine(LOWER)
        assert len(sources.of_image("a", client=engine).layers) == 1
        sources.by_id.cache_clear()
        assert len(sources.of_image("a", client=engine).layers) == 1
        assert engine.saves == 2
        sources.by_id.cache_clear()
        kept.forget()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has a folder for every user")
def test_a_home_that_does_not_exist_is_not_made(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    kept.store_layer("sha256:abc", Contents())
    assert kept.load_layer("sha256:abc") is None
    assert not list(tmp_path.iterdir())
