"""A kit of all chapters, packed on one engine, and used on another that has no way out."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machine, another_machine

from workshop.engine import client, embedded
from workshop.kit import proxy
from workshop.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(10_800)]

WORKSHOP = (sys.executable, "-m", "workshop.cli")
# May the certificate in the image sign another one? And how many authorities' files are there?
MAY = """
from pathlib import Path
from cryptography import x509
leaf = x509.load_pem_x509_certificate(Path("/kit/leaf.pem").read_bytes())
print(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
print(len([p for p in Path("/kit").rglob("*") if "mitmproxy-ca" in p.name]))
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

    def run(where: Machine, environment: dict[str, str], *command: str) -> str:
        with log.open("w") as output:
            done = subprocess.run(
                where.inside(*command), cwd=ROOT, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        told = log.read_text()
        assert done.returncode == 0, told[-6000:]
        return told

    assert "Wrote" in run(machine, online, *WORKSHOP, "pack", str(kit))
    assert kit.stat().st_size < 1_500_000_000
    with tarfile.open(kit) as packed:
        names = packed.getnames()
    assert names[:2] == ["kit.json", "images.tar.zst"]
    assert any(name.startswith("wheels/dockerfile_workshop-") for name in names)

    with another_machine() as alone:
        alone.run("ip", "link", "set", "lo", "up")
        folders = embedded.Folders(tmp_path / "r", tmp_path / "d")
        alone.do("embedded.launch(folders, 'classic')", folders)
        offline = {
            **online, "DOCKER_HOST": folders.host, "XDG_STATE_HOME": str(tmp_path / "participant"),
        }  # fmt: skip
        try:
            run(alone, offline, *WORKSHOP, "unpack", str(kit))
            may = run(alone, offline, client.cli(), "run", "--rm", proxy.IMAGE, "python", "-c", MAY)
            assert may.split() == ["False", "0"]
            run(alone, offline, *STRICT)
            # Once more changes nothing, and then the network is back.
            assert "Loading" not in run(alone, offline, *WORKSHOP, "unpack", str(kit))
            assert "have to be fetched" in run(alone, offline, *WORKSHOP, "unpack", "--undo")
            assert not (tmp_path / "participant/dockerfile-workshop/kit").exists()
        finally:
            alone.do("print(embedded.stop(folders))", folders)
