"""What the microscope says of an image, held against the engine and against dive."""

import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import archives
import benchmark_layers
import generated
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshop.build import grammar
from workshop.engine import client, session
from workshop.layers.image import of_archive, of_image
from workshop.layers.look import look
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE

pytestmark = pytest.mark.usefixtures("left_clean")

# What an engine puts into every container's file system, beside the image's.
OF_THE_ENGINE = {
    ".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nothing_kept():
    """Begin without any layer read, and leave those that the reader's own images have."""
    with benchmark_layers.nothing_kept():
        yield


def flattened(image):
    """Bytes of each file and kind of everything else, as `docker export` has them."""
    engine = client.connect().api
    name = f"{session.prefix()}-export-{secrets.token_hex(4)}"
    engine.create_container(image, command=["nothing"], name=name, labels=session.labels())
    try:
        exported = io.BytesIO(b"".join(engine.export(name)))
    finally:
        engine.remove_container(name, v=True)
    with tarfile.open(fileobj=exported) as tar:
        return {m.name.rstrip("/"): m.size for m in tar if not m.isdir()}


def assert_exact(image, stored):
    """Σ bytes over layers − Σ bytes of the flattened file system = superseded bytes.

    The engine lays its own hosts, hostname and resolv.conf over the image's, so those
    are left out on both sides.
    """
    there = flattened(image.name)
    seen = {path: file for path, file in image.files.items() if path not in OF_THE_ENGINE}
    covered = sum(image.files[path].bytes for path in image.files.keys() - seen.keys())
    flat = {path: count for path, count in there.items() if path not in OF_THE_ENGINE}
    assert seen.keys() == flat.keys()
    assert image.size == stored
    assert stored - covered - sum(flat.values()) == image.superseded_bytes
    assert sum(lost for _, lost, *_ in image.superseded) == image.superseded_bytes


@settings(
    max_examples=50, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(st.lists(generated.images, min_size=10, max_size=10))
def test_superseded_bytes_are_exact_on_500_generated_images(images):
    """Ten at a time, side by side, because the engine mostly waits for the disk."""
    tags = [f"{session.prefix()}/generated:{number}" for number in range(len(images))]
    client.connect().images.load(archives.docker_form(*images, tags=tags))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(assert_exact_on, tags, images))
    finally:
        for tag in tags:
            client.connect().api.remove_image(tag)


def assert_exact_on(tag, made):
    stored = 0
    for layer in made:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            stored += sum(m.size for m in tar if m.isfile())
    assert_exact(of_image(tag), stored)


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
    total = 0
    with tarfile.open(path) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(name)) as layer:
                total += sum(m.size for m in layer if m.isfile())
    return total


def test_superseded_bytes_are_exact_on_the_articles_image(article, saved):
    found = of_image(article.tag)
    assert_exact(found, stored_in(saved))
    # The engine counts a symlink's target as content, in a layer that it imported as a file.
    targets = sum(len(e.target.encode()) for _, e in found.stored() if e.kind == "symlink")
    assert found.size <= article.size() <= found.size + targets


@pytest.mark.parametrize("image", ["python:3.13-slim", "postgres:17"])
def test_superseded_bytes_are_exact_on_the_base_images(image, tmp_path):
    client.run_cli("save", "--output", str(tmp_path / "image.tar"), image)
    assert_exact(of_image(image), stored_in(tmp_path / "image.tar"))


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
    ours, theirs = look(str(saved)).as_json(), look(article.tag).as_json()
    assert ours.pop("image") == "article.tar"
    assert theirs.pop("image") == article.tag
    assert ours == theirs


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
    assert not [path for path in flattened(article.tag) if path.startswith("wheels")]


# Speed


def test_reading_is_about_as_fast_as_saving_and_the_answer_is_kept(article):
    """The bounds of the benchmark, which anyone can run: tests/benchmark_layers.py."""
    found = benchmark_layers.measure(article.tag, rounds=3)
    assert found["read"] <= 1.5 * found["save"]
    assert found["archive"] <= found["dive"]
    # It takes about a fiftieth. Five times as much is room for a busy machine.
    assert found["kept"] <= 0.1 * found["read"]
    assert found["cached"] < 0.050
