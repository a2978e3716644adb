"""The whole site by Compose: what was uploaded and answered with success is there in the end."""

import base64
import json

import pytest
from waiting import wait_for

from workshop.lesson.workspace import Workspace
from workshop.paths import VARIANTS
from workshop.run.site import Site

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.timeout(600)]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mOo0LABAAH4AN32mz/AAAAAAElFTkSuQmCC"
)
OURS = ("web", "migrate", "worker", "beat")
SLOWLY = """\
services:
  worker:
    environment:
      THUMBNAIL_SECONDS: "3"
"""


class Stack:
    """The Compose project in a workspace, and its site."""

    def __init__(self, space):
        self.space = space
        self.typed("export COMPOSE_PROJECT_NAME=$ME")

    def typed(self, command):
        return self.space.terminal.run(command)

    def done(self, command):
        """The output of a command that has to succeed."""
        answer = self.typed(command)
        assert answer.status == 0, answer
        return answer.stdout

    def container(self, service):
        """The service's container, as the engine describes it."""
        (ident,) = self.done(f"docker compose ps --all --quiet {service}").split()
        return json.loads(self.done(f"docker inspect {ident}"))[0]

    @property
    def site(self):
        return Site(self.space.terminal.variables["PORT"]).wait()

    def upload(self, title):
        """Add a book with a cover; the page that follows."""
        book = {"title": title, "author": "Jane Austen", "status": "want"}
        files = {"cover": ("cover.png", PIXEL, "image/png")}
        sent = self.site.post("/add/", data=book, files=files)
        assert sent.status_code == 200
        assert f"“{title}” is on your list." in sent.text
        return sent.text

    def logged(self, word):
        """How often a word stands in the worker's log."""
        return self.done("docker compose logs worker").count(word)

    def statuses(self):
        query = "SELECT title, thumbnail_status FROM reading_book"
        told = self.done(f'docker compose exec -T db psql -U reading -tA -c "{query}"')
        return dict(line.split("|") for line in told.splitlines())


@pytest.fixture(scope="module")
def stack(left_clean):
    space = Workspace("test-stack")
    space.use(VARIANTS / "stack.Dockerfile")
    made = Stack(space)
    made.done("python container/make_secrets.py")
    made.done("docker build -q -t $IMAGE .")
    made.done("docker compose up --detach --wait")
    yield made
    made.typed("docker compose down --volumes")


def test_secrets_that_are_there_stay(stack):
    before = stack.space.read("secrets/database_password")
    assert "made: " not in stack.done("python container/make_secrets.py")
    assert stack.space.read("secrets/database_password") == before
    assert stack.space.read(".env").count("SECRETS=") == 1


@pytest.mark.parametrize("service", OURS)
def test_a_process_of_the_project_may_do_little(stack, service):
    found = stack.container(service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"]
    assert host["PidsLimit"]
    assert found["Config"]["User"] == "10001:10001"
    secrets = [stack.space.read(f"secrets/{name}") for name in ("secret_key", "database_password")]
    assert not any(secret in json.dumps(found["Config"]) for secret in secrets)


def test_only_the_site_is_published_and_on_this_machine_only(stack):
    published = {
        service: [bound["HostIp"] for all_ in bindings.values() for bound in all_ or []]
        for service in (*OURS, "db", "redis")
        if (bindings := stack.container(service)["NetworkSettings"]["Ports"] or {})
    }
    assert {service: found for service, found in published.items() if found} == {
        "web": ["127.0.0.1"]
    }


def test_a_worker_makes_the_thumbnail(stack):
    stack.upload("Emma")
    wait_for(lambda: stack.statuses()["Emma"] == "ready", 60)
    assert "The thumbnail of book" in stack.done("docker compose logs worker")
    assert "The thumbnail of book" not in stack.done("docker compose logs web")


def test_search_knows_forms_of_a_word(stack):
    stack.upload("Persuasions")
    assert "Persuasions" in stack.site.get("/?q=persuasion").text


def test_an_upload_while_the_queue_is_away_is_accepted_and_its_thumbnail_made_later(stack):
    stack.done("docker compose stop redis")
    try:
        assert "Its thumbnail is being made." in stack.upload("Sanditon")
        assert stack.statuses()["Sanditon"] == "waiting"
    finally:
        stack.done("docker compose up --detach --wait redis")
    stack.done("docker compose exec -T web python manage.py make_thumbnails")
    assert stack.statuses()["Sanditon"] == "ready"


def test_a_worker_that_is_told_to_stop_ends_its_task_first(stack):
    stack.space.write("slowly.yaml", SLOWLY)
    stack.done("docker compose -f compose.yaml -f slowly.yaml up --detach --no-deps --wait worker")
    stack.upload("Lady Susan")
    wait_for(lambda: stack.logged("received"), 60)
    assert stack.statuses()["Lady Susan"] == "waiting"
    stack.done("docker compose stop worker")
    assert stack.statuses()["Lady Susan"] == "ready"
    assert stack.logged("is made") == 1
    stack.done("docker compose up --detach --no-deps --wait worker")


@pytest.mark.slow
def test_a_task_of_a_worker_that_is_killed_is_done_again(stack):
    stack.done("docker compose -f compose.yaml -f slowly.yaml up --detach --no-deps --wait worker")
    stack.upload("The Watsons")
    wait_for(lambda: stack.logged("received"), 60)
    stack.done("docker compose kill worker")
    assert stack.statuses()["The Watsons"] == "waiting"
    stack.done("docker compose up --detach --no-deps --wait worker")
    # After a minute the queue gives it to another one, and so does what beat starts.
    wait_for(lambda: stack.statuses()["The Watsons"] == "ready", 240)


@pytest.mark.slow
def test_ten_times_up_and_down_keeps_the_data(stack):
    before = stack.statuses()
    for _ in range(10):
        stack.done("docker compose down")
        stack.done("docker compose up --detach --wait")
    assert stack.statuses() == before
