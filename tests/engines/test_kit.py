"""A kit of all chapters, packed on one engine, and used on another that has no way out."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machine, another_machine

from workshop.bases import standin
from workshop.bases.images import BASE_IMAGES
from workshop.engine import client, embedded
from workshop.kit import bases, proxy
from workshop.lesson import notebooks
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(10_800)]

WORKSHOP = (sys.executable, "-m", "workshop.cli")
# What was measured. Copy it to docs/kit.json when the guide is to tell it.
MEASURED = ROOT / "_build" / "kit.json"
# In a clone that somebody reads in. Git does not see it, and no kit may have it.
CHECKPOINT = ROOT / "docs" / ".ipynb_checkpoints" / "of-a-test.md"
# May the certificate in the image sign another one? And how many authorities' files are there?
MAY = """
from pathlib import Path
from cryptography import x509
leaf = x509.load_pem_x509_certificate(Path("/kit/leaf.pem").read_bytes())
print(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
print(len([p for p in Path("/kit").rglob("*") if "mitmproxy-ca" in p.name]))
"""
# What a container gets that asks for something that was not recorded, and that asks past the proxy.
ASKS = """
import urllib.error
import urllib.request
past = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for way, url in (
    (urllib.request.build_opener(), "http://192.0.2.1/"),
    (urllib.request.build_opener(), "https://192.0.2.1/"),
    (past, "http://192.0.2.1/"),
):
    try:
        print("answered", way.open(url, timeout=20).status)
    except OSError as error:
        print(error)
"""
STRICT = (sys.executable, "-m", "pytest", "notebooks")


def test_the_chapters_run_from_a_kit_without_a_network(
    machine: Machine,
    make: Callable[[], embedded.Folders],
    with_bases: Callable[[embedded.Store], dict[str, str]],
    tmp_path: Path,
) -> None:
    kit = tmp_path / "kit.tar"
    online = {**with_bases("classic"), "XDG_STATE_HOME": str(tmp_path / "instructor")}
    log = tmp_path / "log"

    def run(
        where: Machine, environment: dict[str, str], *command: str | Path, cwd: Path = ROOT
    ) -> str:
        with log.open("w") as output:
            done = subprocess.run(
                where.inside(*map(str, command)), cwd=cwd, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        told = log.read_text()
        assert done.returncode == 0, told[-6000:]
        return told

    def docker(where: Machine, environment: dict[str, str], *words: str) -> str:
        return run(where, environment, client.cli(), *words)

    def ids(where: Machine, environment: dict[str, str], *names: str) -> list[str]:
        return docker(where, environment, "image", "inspect", "--format={{.Id}}", *names).split()

    before = ids(machine, online, *BASE_IMAGES)
    CHECKPOINT.parent.mkdir(exist_ok=True)
    CHECKPOINT.write_text("of a reader")
    start = time.monotonic()
    try:
        assert "Wrote" in run(machine, online, *WORKSHOP, "pack", kit)
    finally:
        CHECKPOINT.unlink()
        if not any(CHECKPOINT.parent.iterdir()):
            CHECKPOINT.parent.rmdir()
    packed_in = time.monotonic() - start
    assert kit.stat().st_size < 1_500_000_000
    # The engine of who packs is as it was.
    assert ids(machine, online, *BASE_IMAGES) == before
    names = docker(machine, online, "images", "--format={{.Repository}}").split()
    kits_own = {name.partition(":")[0] for name in (proxy.IMAGE, bases._before("any"))}
    assert kits_own.isdisjoint(names)

    with tarfile.open(kit) as packed:
        names = packed.getnames()
        (ours,) = (name for name in names if name.startswith("wheels/dockerfile_workshop-"))
        wheel = packed.extractfile(ours)
        assert wheel is not None
        held = "\n".join(zipfile.ZipFile(wheel).namelist())
    assert names[:2] == ["kit.json", "images.tar.zst"]
    assert "workshop/tutorial/docs/teaching.md" in held
    assert CHECKPOINT.name not in held

    # Not pytest's folder: the path of a socket may have 107 characters only.
    with another_machine() as alone, tempfile.TemporaryDirectory(prefix="workshop-") as top:
        alone.run("ip", "link", "set", "lo", "up")
        folders = embedded.Folders(Path(top, "run"), Path(top, "data"))
        alone.do("embedded.launch(folders, 'classic')", folders)
        offline = {
            **online, "DOCKER_HOST": folders.host, "XDG_STATE_HOME": str(tmp_path / "participant"),
        }  # fmt: skip
        try:
            # A participant has one of the base images already.
            docker(machine, online, "save", "--output", str(tmp_path / "redis.tar"), "redis:8")
            docker(alone, offline, "load", "--input", str(tmp_path / "redis.tar"))
            ordinary = ids(alone, offline, "redis:8")
            start = time.monotonic()
            assert "Loading" in run(alone, offline, *WORKSHOP, "unpack", kit)
            unpacked_in = time.monotonic() - start
            assert ids(alone, offline, "redis:8") != ordinary
            may = docker(alone, offline, "run", "--rm", proxy.IMAGE, "python", "-c", MAY)
            assert may.split() == ["False", "0"]
            led = {**offline, "DOCKER_CONFIG": f"{tmp_path}/participant/dockerfile-workshop/kit"}
            told = docker(alone, led, "run", "--rm", bases.FETCHES, "python", "-c", ASKS)
            refused, unknown, past = told.splitlines()[-3:]
            assert "404" in refused
            assert "CERTIFICATE_VERIFY_FAILED" in unknown
            assert "answered" not in past
            assert alone.run("ip", "route", "show", "default") == ""

            # Once more changes nothing. What a call that was interrupted left out is loaded.
            assert "Loading" not in run(alone, offline, *WORKSHOP, "unpack", kit)
            docker(alone, offline, "rm", "--force", "--volumes", proxy.CONTAINER)
            docker(alone, offline, "rmi", "--force", proxy.IMAGE, "postgres:17")
            assert "Loading" in run(alone, offline, *WORKSHOP, "unpack", kit)

            # As the guide says it, in an empty home.
            home = tmp_path / "home"
            home.mkdir()
            theirs = {
                **{name: value for name, value in offline.items() if name != "VIRTUAL_ENV"},
                "HOME": str(home), "PIP_CONFIG_FILE": os.devnull,
            }  # fmt: skip
            room = home / "room" / "bin"
            for command in (
                ("tar", "-xf", kit, "wheels"),
                (sys.executable, "-m", "venv", "room"),
                (room / "pip", "install", "--no-index", "--find-links", "wheels",
                 "dockerfile-workshop"),
                (room / "workshop", "unpack", kit),
                # `workshop lab` does this before it opens a browser.
                (room / "python", "-c", "from workshop import paths; paths.copy_carried()"),
                (room / "workshop", "run", "00"),
            ):  # fmt: skip
                run(alone, theirs, *command, cwd=home)
            copy = home / "dockerfile-for-django-devs"
            assert (copy / "_executed" / "00-start-here.ipynb").is_file()

            try:
                run(alone, offline, *STRICT)
            except AssertionError:
                # Docker's own failure, as CONTRIBUTING says, and no other.
                assert "reading from a closed fifo" in folders.log.read_text()
                run(alone, offline, *STRICT, "--lf")

            told = run(alone, offline, *WORKSHOP, "unpack", "--undo")
            assert "have to be fetched: python:3.13-slim" in told
            assert "redis:8" not in told
            assert ids(alone, offline, "redis:8") == ordinary
            assert not (tmp_path / "participant/dockerfile-workshop/kit").exists()
        finally:
            alone.do("print(embedded.stop(folders))", folders)

    label = f'{{{{index .Config.Labels "{standin.LABEL}"}}}}'
    labels = docker(machine, online, "image", "inspect", f"--format={label}", *BASE_IMAGES)
    measured = {
        "date": datetime.date.today().isoformat(),
        "chapters": len(notebooks.chapters()),
        "stand_ins": "true" in labels,
        "processors": os.cpu_count(),
        "bytes": kit.stat().st_size,
        "pack_seconds": round(packed_in),
        "unpack_seconds": round(unpacked_in),
    }
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
