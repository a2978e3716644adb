"""The tutorial's labels get on top of a Compose project, and nothing else changes."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from workshop.lesson import compose

LABELS = {"dockerfile-workshop.session": "aaaa0001"}


@pytest.fixture
def told(monkeypatch):
    """What `docker compose config` is asked, and says."""
    asked = []
    answer = SimpleNamespace(returncode=0, stdout=json.dumps({"services": {"web": {}}}))

    def run(words, **options):
        asked.append(words[2:])
        return answer

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(compose.client, "cli", lambda: "docker")
    return SimpleNamespace(asked=asked, answer=answer)


def labelled(words, folder, env=()):
    top = folder / "of-ours" / "top.json"
    return compose.labelled(words.split(), folder, dict(env), LABELS, top)


@pytest.mark.parametrize(
    ("words", "general", "rest"),
    [
        ("up --detach", [], ["up", "--detach"]),
        ("-f a.yaml --profile dev up", ["-f", "a.yaml", "--profile", "dev"], ["up"]),
        ("--file=a.yaml --dry-run up", ["--file=a.yaml", "--dry-run"], ["up"]),
        ("", [], []),
    ],
)
def test_options_of_compose_end_where_its_command_begins(words, general, rest):
    assert compose.split(words.split()) == (general, rest)


@pytest.mark.parametrize(
    ("words", "builds"),
    [
        ("up --detach --wait --build", True),
        ("-f build.yaml build web", True),
        ("-f build.yaml up web", False),
        ("", False),
    ],
)
def test_a_command_that_says_that_it_builds(words, builds):
    assert compose.builds(words.split()) is builds


def test_the_files_that_compose_takes_by_itself_are_named(tmp_path, told):
    for name in ("compose.yaml", "docker-compose.yml", "compose.override.yml"):
        (tmp_path / name).touch()
    own = ["--file", "compose.yaml", "--file", "compose.override.yml"]
    top = ["--file", str(tmp_path / "of-ours" / "top.json")]
    assert labelled("up --detach", tmp_path) == [*own, *top, "up", "--detach"]
    assert told.asked[0][:4] == own


def test_files_that_a_variable_names_take_the_place_of_the_usual_ones(tmp_path, told):
    (tmp_path / "compose.yaml").touch()
    env = {"COMPOSE_FILE": "a.yaml;b.yaml", "COMPOSE_PATH_SEPARATOR": ";"}
    labelled("up", tmp_path, env)
    assert told.asked[0][:4] == ["--file", "a.yaml", "--file", "b.yaml"]


def test_files_that_were_named_stay_the_only_ones(tmp_path, told):
    (tmp_path / "compose.yaml").touch()
    top = ["--file", str(tmp_path / "of-ours" / "top.json")]
    assert labelled("-f other.yaml down", tmp_path) == ["-f", "other.yaml", *top, "down"]


def test_what_compose_can_not_read_it_is_given_as_it_stands(tmp_path, told):
    told.answer.returncode = 15
    assert labelled("up", tmp_path) == ["up"]
    assert not (tmp_path / "of-ours").exists()


def test_everything_that_it_makes_gets_the_labels(tmp_path, told):
    project = {
        "services": {"web": {"build": {"context": "."}}, "db": {}},
        "volumes": {"data": None, "shared": {"external": True}},
        "networks": {"back": {"internal": True}},
    }
    told.answer.stdout = json.dumps(project)
    labelled("up", tmp_path)
    assert json.loads((tmp_path / "of-ours" / "top.json").read_text()) == {
        "services": {
            "web": {"labels": LABELS, "build": {"labels": LABELS}},
            "db": {"labels": LABELS},
        },
        "networks": {"default": {"labels": LABELS}, "back": {"labels": LABELS}},
        "volumes": {"data": {"labels": LABELS}},
    }
