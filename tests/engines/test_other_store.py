"""Every notebook and every test of images, once more on an engine with the other image store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machines import Machine

from workshop.engine import client, embedded
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(14400)]


def test_everything_passes_on_the_other_store(
    machine: Machine, with_bases: Callable[[embedded.Store], dict[str, str]], tmp_path: Path
) -> None:
    here = embedded.store_of(client.connect())
    (other,) = [store for store in embedded.STORES if store != here]
    environment = with_bases(other)
    log = Path(os.environ.get("WORKSHOP_LOGS", tmp_path)) / f"{other}.log"
    with log.open("w") as output:
        done = subprocess.run(
            machine.inside(sys.executable, "-m", "pytest", "notebooks", "tests/image"),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    told = log.read_text().splitlines()
    print("\n".join(told[-60:]))
    assert done.returncode == 0, "\n".join(told[-60:])


def test_the_builder_states_where_an_image_comes_from(
    machine: Machine, with_bases: Callable[[embedded.Store], dict[str, str]], tmp_path: Path
) -> None:
    """As chapter 19 says of the containerd store: an index, with a statement about the image."""
    (tmp_path / "Dockerfile").write_text("FROM python:3.13-slim\nCOPY Dockerfile /\n")
    words = ["buildx", "build", "--provenance=mode=max", "--output"]
    words += [f"type=oci,dest={tmp_path / 'image.tar'}", str(tmp_path)]
    command = machine.inside(client.cli(), *words)
    subprocess.run(command, env=with_bases("containerd"), check=True)
    with tarfile.open(tmp_path / "image.tar") as packed:

        def blob(entry: dict[str, str]) -> Any:
            return read("blobs/" + entry["digest"].replace(":", "/"))

        def read(name: str) -> Any:
            file = packed.extractfile(name)
            assert file is not None
            return json.load(file)

        (index,) = read("index.json")["manifests"]
        _, attested = blob(index)["manifests"]
        assert attested["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
        statement = blob(blob(attested)["layers"][0])
    assert statement["predicateType"].startswith("https://slsa.dev/provenance/")
