"""A kit that is none, damaged, for other machines, or too large; and what leads to its proxy."""

import datetime
import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from dataclasses import asdict
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from workshop import cli
from workshop.engine import client
from workshop.errors import WorkshopError
from workshop.kit import pack, proxy, unpack
from workshop.paths import ROOT
from workshop.show.display import size


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
        ({"change": {"made": "yesterday"}}, "it is damaged"),
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


def test_what_the_engine_answers_is_no_fault_of_the_kit(monkeypatch, tmp_path):
    monkeypatch.setattr(client, "check_engine", dict)
    with pytest.raises(KeyError, match="Arch"):
        unpack.unpack(made(tmp_path / "kit.tar"))


def test_a_call_that_was_interrupted_loads_again_and_one_that_ended_does_not(monkeypatch, tmp_path):
    loaded, started = [], []

    def load(packed):
        loaded.append(packed.read())
        if len(loaded) == 1:
            raise WorkshopError("The engine could not load the kit's images: interrupted")

    monkeypatch.setattr(unpack, "_load", load)
    monkeypatch.setattr(unpack, "_is_loaded", lambda kit: len(loaded) > 1)
    monkeypatch.setattr(unpack.bases, "keep_ordinary", lambda: None)
    monkeypatch.setattr(proxy, "start", started.append)
    path = made(tmp_path / "kit.tar")
    with pytest.raises(WorkshopError, match="interrupted"):
        unpack.unpack(path)
    assert started == []
    unpack.unpack(path)
    unpack.unpack(path)
    assert loaded == [b"images", b"images"]
    assert started == [proxy.IMAGE] * 2


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
    with monkeypatch.context() as full:
        full.setattr(client, "free_disk", lambda: 10**9)
        with pytest.raises(WorkshopError, match="The engine's disk has"):
            pack.pack(tmp_path / "kit.tar", [])
    monkeypatch.setattr(pack, "NEEDED", 10**18)
    with pytest.raises(WorkshopError, match="packing takes up to"):
        pack.pack(tmp_path / "kit.tar", [])
    monkeypatch.setattr(pack, "ROOT", tmp_path)
    with pytest.raises(WorkshopError, match="A kit is packed from a clone"):
        pack.pack(tmp_path / "kit.tar", [])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kit.tar").write_bytes(b"of last year")
    with pytest.raises(WorkshopError, match="is there already"):
        pack.pack(tmp_path / "kit.tar", [])
    assert (tmp_path / "kit.tar").read_bytes() == b"of last year"


def test_a_download_that_broke_off_is_no_answer(monkeypatch, tmp_path):
    """record.py runs in a container; here it gets flows that are made up."""

    def flow(url, status=200, content=b"all of it", error=None):
        request = SimpleNamespace(
            method="GET", url=url, host="files.example", headers={}, content=b""
        )
        response = status and SimpleNamespace(status_code=status, raw_content=content)
        return SimpleNamespace(request=request, response=response, error=error)

    seen = [
        flow("/a", content=None, error="it broke off"), flow("/a"), flow("/a", content=b"later"),
        flow("/b", content=b"a half", error="it broke off"),
        flow("/c", content=None), flow("/d", status=None), flow("/e", 304), flow("/f", 503),
        flow("/g", 404), flow("/h", content=b""),
    ]  # fmt: skip
    written = []
    fake = SimpleNamespace(
        http=SimpleNamespace(HTTPFlow=SimpleNamespace),
        io=SimpleNamespace(
            FlowReader=lambda file: SimpleNamespace(stream=lambda: iter(seen)),
            FlowWriter=lambda file: SimpleNamespace(add=written.append),
        ),
    )
    monkeypatch.setitem(sys.modules, "mitmproxy", fake)
    for name in ("", ".hazmat.primitives", ".hazmat.primitives.asymmetric", ".x509.oid"):
        monkeypatch.setitem(sys.modules, f"cryptography{name}", MagicMock())
    spec = importlib.util.spec_from_file_location("record", proxy.RECIPES / "image" / "record.py")
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    monkeypatch.setattr(record, "KIT", tmp_path)
    (tmp_path / "recorded").touch()

    assert record.keep_answers() == (["files.example"], 3)
    assert [(one.request.url, one.response.raw_content) for one in written] == [
        ("/a", b"all of it"), ("/g", b"all of it"), ("/h", b""),
    ]  # fmt: skip


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
    # Who reads it while it changes reads one of both.
    with client.kit_configuration().open() as read:
        monkeypatch.setattr(proxy, "_port", lambda: "32769")
        proxy.lead_to_it()
        assert json.load(read) == written
    assert "172.17.0.1:32769" in client.kit_configuration().read_text()
    assert client.kit_configuration().stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "kit").iterdir()] == ["config.json"]
    proxy.stop_leading()
    assert not client.kit_configuration().exists()
    assert json.loads((tmp_path / "config.json").read_text()) == own


def test_the_readme_lists_the_names_that_go_past_a_proxy():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`{','.join(proxy.NOT_FETCHED)}`" in readme


def test_the_guide_tells_the_stored_size_and_times_of_a_kit():
    told = json.loads((ROOT / "docs" / "kit.json").read_text(encoding="utf-8"))
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    bases = "stand-ins for the base images" if told["stand_ins"] else "the official base images"
    assert (
        f"A kit of {told['chapters']} chapters, with {bases}, has {size(told['bytes'])}. "
        f"Packing it took {told['pack_seconds'] / 60:.0f} minutes, and unpacking it "
        f"{told['unpack_seconds']:.0f} seconds, on a machine with {told['processors']} processors; "
        f"measured on {told['date']}."
    ) in guide


def test_a_proxy_that_is_gone_is_said_to_be(monkeypatch):
    monkeypatch.setattr(proxy, "_port", str)
    monkeypatch.setattr(proxy, "ANSWERS_S", -1)
    with pytest.raises(WorkshopError, match="is not there") as caught:
        proxy.lead_to_it()
    assert "unpack --undo" in caught.value.fix


def test_a_chapter_that_fails_once_is_recorded_once_more(monkeypatch, tmp_path, capsys):
    tried = []

    def run(names, folder):
        tried.append((names, folder))
        if len(tried) == 1:
            raise WorkshopError("✘ cell 7", "Open it.")

    monkeypatch.setattr(pack.notebooks, "run", run)
    pack._run("notebooks/02.ipynb", tmp_path)
    assert tried == [(["notebooks/02.ipynb"], tmp_path)] * 2
    assert "Once more" in capsys.readouterr().err
    monkeypatch.setattr(
        pack.notebooks, "run", MagicMock(side_effect=WorkshopError("✘", "Open it."))
    )
    with pytest.raises(WorkshopError):
        pack._run("notebooks/02.ipynb", tmp_path)
