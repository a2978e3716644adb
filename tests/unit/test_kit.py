"""A kit that is none, damaged, for other machines, or too large; and what leads to its proxy."""

import datetime
import hashlib
import io
import json
import tarfile
from dataclasses import asdict

import pytest

from workshop import cli
from workshop.engine import client
from workshop.errors import WorkshopError
from workshop.kit import pack, proxy, unpack
from workshop.paths import ROOT


def made(path, *, change=None, images=b"images", first=pack.MANIFEST):
    """A kit with one file, and its manifest as ``change`` leaves it."""
    told = pack.Manifest(
        pack.FORM, "0f1e", str(datetime.date.today()), "amd64", "3.11", ["00-start-here"], 3, 10,
        {pack.IMAGES: {"bytes": 6, "sha256": hashlib.sha256(b"images").hexdigest()}},
    )  # fmt: skip
    manifest = asdict(told) | (change or {})
    with tarfile.open(path, "w") as kit:
        for name, content in ((first, json.dumps(manifest).encode()), (pack.IMAGES, images)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            kit.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def engine(monkeypatch, tmp_path):
    """An engine on this machine that has nothing of a kit."""

    class Engine:
        def info(self):
            return {"DockerRootDir": str(tmp_path)}

    monkeypatch.setattr(client, "check_engine", lambda: {"Arch": "amd64"})
    monkeypatch.setattr(client, "connect", Engine)
    monkeypatch.setattr(client, "host", lambda: client.DEFAULT_HOST)
    monkeypatch.setattr(unpack, "_is_loaded", lambda kit: False)
    monkeypatch.setattr(unpack, "_load", lambda packed: pytest.fail("it was loaded"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": b"imagez"}, "images.tar.zst is another file than the one that was packed"),
        ({"first": "other.json"}, "it does not begin with kit.json"),
        ({"change": {"form": "dockerfile-workshop kit 9"}}, "another version of the tutorial"),
        ({"change": {"architecture": "arm64"}}, "for arm64, and this engine's machine is amd64"),
        ({"change": {"bytes_unpacked": 10**18}}, "while it is unpacked"),
        ({"change": {"made": "2026-01-01"}}, "its certificate held until 2026-06-30"),
        ({"change": {"files": {"wheels/x.whl": {"sha256": ""}}}}, "it is damaged"),
        ({"change": {"unknown": 1}}, "it is damaged"),
    ],
)
def test_nothing_is_loaded_from_a_kit_that_can_not_be_used(tmp_path, change, says):
    path = made(tmp_path / "kit.tar", **change)
    with pytest.raises(WorkshopError) as caught:
        unpack.unpack(path)
    assert says in caught.value.what
    assert caught.value.fix


def test_a_file_that_is_no_kit_is_said_to_be_none(tmp_path):
    (tmp_path / "kit.tar").write_bytes(b"no archive")
    with pytest.raises(WorkshopError, match=r"is no kit"):
        unpack.unpack(tmp_path / "kit.tar")
    whole = made(tmp_path / "whole.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[:700])
    with pytest.raises(WorkshopError, match=r"is no kit"):
        unpack.unpack(tmp_path / "half.tar")


@pytest.mark.parametrize("words", [["unpack"], ["unpack", "kit.tar", "--undo"]])
def test_unpack_takes_a_file_or_undo(words, capsys):
    assert cli.main(words) == 1
    assert "Name the file of a kit, or say --undo, and not both." in capsys.readouterr().err


def test_packing_is_refused_before_anything_is_done(monkeypatch, tmp_path):
    for name in client.PROXIES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WorkshopError, match="There is no folder"):
        pack.pack(tmp_path / "missing" / "kit.tar", [])
    with pytest.raises(WorkshopError, match="is a folder"):
        pack.pack(tmp_path, [])
    with monkeypatch.context() as behind:
        behind.setenv("HTTPS_PROXY", "http://a.company.example:3128")
        with pytest.raises(WorkshopError, match="through a proxy"):
            pack.pack(tmp_path / "kit.tar", [])
    monkeypatch.setattr(pack, "NEEDED", 10**18)
    with pytest.raises(WorkshopError, match="packing takes up to"):
        pack.pack(tmp_path / "kit.tar", [])
    monkeypatch.setattr(pack, "ROOT", tmp_path)
    with pytest.raises(WorkshopError, match="A kit is packed from a clone"):
        pack.pack(tmp_path / "kit.tar", [])
    assert list(tmp_path.iterdir()) == []


def test_the_tutorials_containers_are_led_to_the_proxy_and_the_users_settings_stay(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(client, "kit_configuration", lambda: tmp_path / "kit" / "config.json")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://a.company.example:3128")
    monkeypatch.setattr(proxy, "_port", lambda: "32768")
    monkeypatch.setattr(proxy, "_seen_at", lambda: "172.17.0.1")
    own = {"auths": {"registry.example.com": {}}, "currentContext": "elsewhere"}
    (tmp_path / "config.json").write_text(json.dumps(own))

    assert client.proxy_options("--env") == ["--env", "HTTP_PROXY"]
    proxy.lead_to_it()
    assert client.kit_configuration().stat().st_mode & 0o077 == 0
    written = json.loads((tmp_path / "kit" / "config.json").read_text())
    assert written["cliPluginsExtraDirs"] == [str(tmp_path / "cli-plugins")]
    assert written["auths"] == own["auths"]
    assert "currentContext" not in written
    assert written["proxies"]["default"]["httpsProxy"] == "http://172.17.0.1:32768"
    assert "db" in written["proxies"]["default"]["noProxy"].split(",")
    # The kit is the proxy then, and not the company's.
    assert client.proxy_options("--env") == []
    proxy.stop_leading()
    assert not client.kit_configuration().exists()
    assert json.loads((tmp_path / "config.json").read_text()) == own


def test_the_readme_lists_the_names_that_go_past_a_proxy():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`{','.join(proxy.NOT_FETCHED)}`" in readme


def test_a_proxy_that_is_gone_is_said_to_be(monkeypatch):
    monkeypatch.setattr(proxy, "_port", str)
    monkeypatch.setattr(proxy, "ANSWERS_S", -1)
    with pytest.raises(WorkshopError, match="is not there") as caught:
        proxy.lead_to_it()
    assert "unpack --undo" in caught.value.fix
