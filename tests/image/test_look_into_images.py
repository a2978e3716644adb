"""What the microscope says of an image, held against the engine and against dive."""

import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

import archives
import benchmark_layers
import generated
import pytest
from docker.models.images import Image as EngineImage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workshop.build import grammar
from workshop.engine import client, session
from workshop.layers import sources
from workshop.layers.layer import LayerReader
from workshop.layers.look import look_into
from workshop.layers.sources import of_archive
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE

pytestmark = pytest.mark.usefixtures("left_clean")

# What an engine puts into every container's file system.
OF_THE_ENGINE = {
    ".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nothing_kept():
    """Begin without any layer read, and leave those that the reader's own images have."""
    with benchmark_layers.nothing_kept():
        yield


def of_image(name):
    return sources.of_image(name, client=client.connect())


def flattened(image):
    """Bytes of each path of the final file system, folders left out, as `docker cp` has them.

    The engine puts the layers together for that; our own reader has no part in it. Not by
    `docker export`, after which Engine 26 leaves a container that never ran mounted. Nor by
    BuildKit's export, which leaves out files beside a whiteout for what is not there.
    """
    engine = client.connect().api
    name = f"{session.prefix()}-flattened-{secrets.token_hex(4)}"
    engine.create_container(image, command=["nothing"], name=name, labels=session.labels())
    try:
        copied = io.BytesIO(b"".join(engine.get_archive(name, "/")[0]))
    finally:
        engine.remove_container(name, v=True)
    with tarfile.open(fileobj=copied) as tar:
        return {m.name.strip("/"): m.size for m in tar if not m.isdir()}


def assert_exact(image, stored, flat):
    """Σ bytes over layers − Σ bytes of the flattened file system = superseded bytes.

    The engine puts files of its own into every container, over those of the image, so
    these are left out on both sides.
    """
    seen = {path: file for path, file in image.files.items() if path not in OF_THE_ENGINE}
    covered = sum(image.files[path].bytes for path in image.files.keys() - seen.keys())
    flat = {path: count for path, count in flat.items() if path not in OF_THE_ENGINE}
    assert seen.keys() == flat.keys()
    assert image.size == stored
    assert stored - covered - sum(flat.values()) == image.superseded_bytes
    assert sum(lost for _, lost, *_ in image.superseded) == image.superseded_bytes


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_superseded_bytes_are_exact_on_generated_images(count):
    """Ten at a time, as ten folders of one image; the totals of each folder are exact."""
    tag = f"{session.prefix()}/generated:{count}"

    @settings(
        max_examples=count // 10, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(st.lists(generated.images, min_size=10, max_size=10))
    def check(images):
        layers = generated.side_by_side(images)
        client.connect().images.load(archives.docker_form(layers, tags=[tag]))
        try:
            found, flat = of_image(tag), flattened(tag)
        finally:
            client.connect().api.remove_image(tag)
        assert_exact(found, sum(map(bytes_in, layers)), flat)
        for number, layers in enumerate(map(generated.tars, images)):
            lost = sum(s.bytes for s in found.superseded if s.path.startswith(f"{number}/"))
            seen = sum(size for path, size in flat.items() if path.startswith(f"{number}/"))
            assert sum(map(bytes_in, layers)) - seen == lost

    check()


def bytes_in(layer):
    """Bytes of the files in a layer, by the standard library."""
    file = io.BytesIO(layer) if isinstance(layer, bytes) else layer
    with tarfile.open(fileobj=file) as tar:
        return sum(m.size for m in tar if m.isfile())


# What only the containerd image store can hold


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        (["--provenance=mode=max"], {"amd64", "arm64"}),
        (["--provenance=mode=max", "--platform=linux/amd64,linux/arm64"], {"amd64", "arm64"}),
        (["--provenance=false", "--platform=linux/arm64"], {"arm64"}),
    ],
    ids=["attested", "two platforms", "another platform"],
)
def test_an_index_of_several_things_is_read_by_name_and_by_id(options, folders, tmp_path):
    engine = client.connect()
    if ["driver-type", "io.containerd.snapshotter.v1"] not in (engine.info()["DriverStatus"] or []):
        pytest.skip("this engine does not keep its images in the containerd image store")
    (tmp_path / "file").write_text("12345")
    text = "FROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH/file\nCOPY file /file\n"
    (tmp_path / "Dockerfile").write_text(text)
    tag = f"{session.prefix()}/index:1"
    labels = [f"--label={name}={value}" for name, value in session.labels().items()]
    words = ["buildx", "build", *options, *labels, "--quiet", "--tag", tag, str(tmp_path)]
    client.run_cli(*words)
    try:
        image_id = engine.images.get(tag).id
        for name in (tag, image_id):
            sources.forget()
            image = of_image(name)
            (folder,) = {path.partition("/")[0] for path in image.files} - {"file"}
            assert folder in folders
            assert ([layer.size for layer in image.layers], image.size) == ([5, 5], 10)
    finally:
        engine.api.remove_image(tag)


# The project's own images


@pytest.fixture(scope="module")
def article():
    """The top-level Dockerfile, built."""
    made = Workspace("test-look", grammar.steps(DOCKERFILE.read_text(encoding="utf-8")))
    made.build()
    return made


@pytest.fixture(scope="module")
def saved(article, tmp_path_factory):
    """Its archive, as `docker save` writes it."""
    path = tmp_path_factory.mktemp("saved") / "article.tar"
    client.run_cli("save", "--output", str(path), f"{article.tag}:latest")
    return path


def stored_in(path):
    """Bytes of the files in all layers of an archive, by the standard library."""
    with tarfile.open(path) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json"))
        return sum(bytes_in(outer.extractfile(name)) for name in manifest["Layers"])


@pytest.mark.slow
def test_superseded_bytes_are_exact_on_the_articles_image(article, saved):
    assert_exact(of_image(article.tag), stored_in(saved), flattened(article.tag))


@pytest.mark.slow
@pytest.mark.parametrize("image", ["python:3.13-slim", "postgres:17"])
def test_superseded_bytes_are_exact_on_the_base_images(image, tmp_path):
    client.run_cli("save", "--output", str(tmp_path / "image.tar"), image)
    assert_exact(of_image(image), stored_in(tmp_path / "image.tar"), flattened(image))


@pytest.mark.slow
def test_the_command_names_the_wheels_with_at_least_12_mb(article):
    command = [Path(sys.executable).with_name("workshop"), "layers", article.tag]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (row,) = [line for line in text.splitlines() if line.startswith("/wheels ")]
    assert "COPY /app/wheels /wheels" in row
    assert "RUN pip install" in row
    told = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
    wheels = [s for s in told["superseded"] if s["path"].startswith("/wheels/")]
    assert sum(wheel["bytes"] for wheel in wheels) >= 12_000_000
    for wheel in wheels:
        assert told["layers"][wheel["stored_by"]]["created_by"].startswith("COPY /app/wheels")
        assert "rm -rf /wheels" in told["layers"][wheel["hidden_by"]]["created_by"]


def test_an_archive_says_the_same_as_the_engine(article, saved):
    ours, theirs = look_into(str(saved)).as_json(), article.look().as_json()
    assert ours.pop("image") == "article.tar"
    assert theirs.pop("image") == article.tag
    assert ours == theirs


@pytest.mark.slow
def test_two_images_are_compared_by_content(article):
    """The same code, once more, in other layers: nothing of it has changed but what has."""
    article.write(
        "again.Dockerfile",
        "\n".join(
            [
                f"FROM {article.tag}",
                "USER root",
                "RUN cp -p manage.py again.py && mv again.py manage.py",  # the same bytes
                "RUN cp -p reading/views.py /tmp/x && tr ' ' '_' < /tmp/x > reading/views.py",
                "RUN rm /tmp/x entrypoint.sh",
            ]
        ),
    )
    built = article.build(file="again.Dockerfile", name="again")
    found = article.look().diff(article.look(built.tag))
    assert set(found.removed) == {"app/entrypoint.sh"}
    assert "app/reading/views.py" in found.changed
    assert "app/manage.py" not in found.changed
    assert found.config["User"] == ('"appuser:appuser"', '"root"')


@pytest.mark.slow
def test_the_articles_image_holds_what_chapter_06_says(article):
    found = article.look().unwanted()
    assert {"headers", "static libraries", "setuid and setgid", "writable files"} == set(
        found.kinds
    )
    assert [f.place for f in found.of("writable files")] == ["/app"]


# dive


@pytest.fixture(scope="module")
def dived(saved, tmp_path_factory):
    """What dive says of the article's image."""
    path = tmp_path_factory.mktemp("dive") / "dive.json"
    command = [str(benchmark_layers.DIVE), "--source", "docker-archive", str(saved)]
    subprocess.run(
        [*command, "--json", str(path)], env={**os.environ, "CI": "true"}, capture_output=True
    )
    return json.loads(path.read_text())


def test_dive_counts_the_same_bytes_in_each_layer(dived, saved):
    found = of_archive(saved)
    assert [layer["sizeBytes"] for layer in dived["layer"]] == [la.size for la in found.layers]
    assert dived["image"]["sizeBytes"] == found.size


def test_dive_adds_up_every_copy_of_a_path_that_occurs_twice(dived, saved):
    """Where both mean the same: a path, and the bytes of all its copies."""
    copies = defaultdict(list)
    for _, entry in of_archive(saved).stored():
        copies[f"/{entry.path}"].append(entry.size)
    told = {file["file"]: file["sizeBytes"] for file in dived["image"]["fileReference"]}
    twice = {path: sum(sizes) for path, sizes in copies.items() if len(sizes) > 1 and sum(sizes)}
    assert {path: told.get(path) for path in twice} == twice


def test_dive_does_not_see_a_removed_folder_and_the_engine_says_who_is_right(dived, article):
    """dive compares paths, and a removed folder is one mark: no path in it occurs twice."""
    found = of_image(article.tag)
    wheels = [s for s in found.superseded if s.path.startswith("wheels/")]
    assert not [f for f in dived["image"]["fileReference"] if f["file"].startswith("/wheels/")]
    assert dived["image"]["inefficientBytes"] < 5_000_000 < sum(s.bytes for s in wheels)
    assert not [path for path in flattened(article.tag) if path.startswith("wheels/")]


# What has to be read


@pytest.fixture
def opened(monkeypatch):
    """What had to be read: a list of "save" for each archive, and the sizes of the layers."""
    found = []
    read, save = LayerReader.read, EngineImage.save

    def counted(self, *arguments):
        contents = read(self, *arguments)
        found.append(contents.size)
        return contents

    def saved(self, **settings):
        found.append("save")
        return save(self, **settings)

    monkeypatch.setattr(LayerReader, "read", counted)
    monkeypatch.setattr(EngineImage, "save", saved)
    return found


def test_a_layer_is_read_once_also_where_the_engine_keeps_it_packed(article, opened):
    sources.forget()
    image = of_image(article.tag)
    stored = sorted(layer.size for layer in image.layers)
    assert (opened[0], sorted(opened[1:])) == ("save", stored)
    opened.clear()
    sources.by_id.cache_clear()  # as in a new process
    assert of_image(article.tag).contents == image.contents
    assert opened == []
    article.write("more.Dockerfile", f"FROM {article.tag}\nRUN printf 12345 > /tmp/five\n")
    more = of_image(article.build(file="more.Dockerfile", name="more").tag)
    assert more.contents[:-1] == image.contents
    assert opened == ["save", 5]


@pytest.mark.slow
def test_what_was_read_is_faster_the_second_time_because_it_is_not_read(article, opened):
    """Prints how long it takes beside `docker save` and dive."""
    took = benchmark_layers.report(article.tag)
    # Once to know its size, then once a round.
    assert opened.count("save") == 1 + benchmark_layers.ROUNDS
    assert took["kept"] < took["read"]
    assert took["cached"] < took["read"]
