"""Removing base images, on an engine that refuses: one refusal does not stop the rest."""

from pathlib import Path
from types import SimpleNamespace

import docker
import pytest
import requests

from workshop.bases import images, standin
from workshop.engine import client
from workshop.errors import WorkshopError


class _Engine:
    """An engine with stand-ins under the given names, that answers a removal with a status."""

    def __init__(self, answers: dict[str, int]) -> None:
        self.left = list(answers)
        self.answers = answers
        self.images = SimpleNamespace(get=self.get)
        self.api = SimpleNamespace(remove_image=self.remove_image)

    def info(self) -> dict[str, str]:
        return {"ID": "this engine"}

    def get(self, name: str) -> object:
        if name not in self.left:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(id=name, attrs={"Config": {"Labels": {standin.LABEL: "true"}}})

    def remove_image(self, name: str) -> None:
        response = requests.Response()
        response.status_code = self.answers[name]
        if response.status_code == 404:
            raise docker.errors.ImageNotFound("no such image", response)
        if response.status_code != 200:
            raise docker.errors.APIError("refused", response, "a container uses it")
        self.left.remove(name)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Engine:
    made = _Engine(dict.fromkeys([*images.BASE_IMAGES, standin.DEBIAN_BASE], 200))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(client, "connect", lambda: made)
    return made


@pytest.mark.parametrize("status", [403, 409])
def test_a_refusal_is_reported_after_the_others_are_gone(engine: _Engine, status: int) -> None:
    engine.answers["python:3.13-slim"] = status
    with pytest.raises(WorkshopError, match="python:3.13-slim: a container uses it"):
        images.remove()
    assert engine.left == ["python:3.13-slim"]


def test_what_somebody_else_removed_meanwhile_is_no_error(engine: _Engine) -> None:
    engine.answers["python:3.13-slim"] = 404
    assert images.remove() == [*images.BASE_IMAGES[1:], standin.DEBIAN_BASE]


def test_an_official_image_is_not_removed(engine: _Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "is_one", lambda image: image.id != "postgres:17")
    others = [name for name in images.BASE_IMAGES if name != "postgres:17"]
    assert images.remove() == [*others, standin.DEBIAN_BASE]
