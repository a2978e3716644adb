"""What the article promises of its image, asked of the image itself."""

import json

import pytest

from workshop.build import grammar
from workshop.engine import client
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE

pytestmark = pytest.mark.usefixtures("left_clean")

# A value that is easy to find again, in a file that must stay out of the image.
SECRET = "a-secret-that-no-image-may-hold"


@pytest.fixture(scope="module")
def article(left_clean):
    """The top-level Dockerfile, built once; a secret lies in its build context."""
    made = Workspace("test-article", grammar.steps(DOCKERFILE.read_text(encoding="utf-8")))
    made.write(".env", f"SECRET_KEY={SECRET}\n")
    made.build()
    return made


@pytest.fixture(scope="module")
def site(article):
    """The image's own process, on SQLite."""
    with article.start(env={"SECRET_KEY": SECRET}, port=8000, name="site") as running:
        assert running.exec("python", "manage.py", "migrate").status == 0
        yield running


def python(article, *arguments, **settings):
    """Run Python in the image, past its entrypoint."""
    return article.run(*arguments, options=["--entrypoint", "python"], **settings)


def test_the_workspace_holds_the_dockerfile_byte_for_byte(article):
    assert article.text == DOCKERFILE.read_text(encoding="utf-8")


def test_it_runs_as_a_user_without_privileges(article):
    assert article.sh("id -un; id -gn; id -u").lines[:2] == ["appuser", "appuser"]
    assert article.sh("id -u").lines != ["0"]
    assert article.config()["User"] == "appuser:appuser"


def test_it_holds_no_compiler(article):
    found = article.sh("which gcc g++ cc c++ make ld uv; true")
    assert (found.stdout, found.status) == ("", 0)


def test_the_wheels_are_gone(article):
    found = article.sh("ls -d /wheels /app/wheels /tmp/requirements.txt")
    assert found.stdout == ""
    assert found.stderr.count("No such file or directory") == 3


def test_psycopg_is_the_compiled_one(article):
    said = python(article, "-c", "import psycopg; print(psycopg.pq.__impl__)")
    assert said.stdout == "c\n"


def test_both_stages_have_the_same_python(article):
    bases = [stage.base for stage in grammar.stages(article.text)]
    assert bases == ["python:3.13-slim"] * 2
    assert python(article, "--version").stdout.startswith("Python 3.13.")


def test_static_files_are_in_the_image_with_hashed_names(article):
    listed = article.sh("stat -c '%U:%G' staticfiles/staticfiles.json; cat staticfiles/*.json")
    owner, manifest = listed.stdout.split("\n", 1)
    assert owner == "appuser:appuser"
    hashed = json.loads(manifest)["paths"]["reading/site.css"]
    assert hashed.startswith("reading/site.")
    assert hashed != "reading/site.css"
    assert article.sh(f"test -s staticfiles/{hashed}").status == 0


def test_media_can_be_written_to_and_the_code_folder_cannot(article):
    done = article.sh("echo x > /app/media/x && cat /app/media/x; touch /app/new")
    assert done.stdout == "x\n"
    assert "Permission denied" in done.stderr


def test_the_projects_own_tests_pass_in_it(article):
    done = python(article, "manage.py", "test")
    assert done.status == 0, done
    assert "\nOK" in done.stderr
    assert "Ran 0 tests" not in done.stderr


def test_it_refuses_to_serve_without_a_secret_key(article):
    done = python(article, "manage.py", "check")
    assert done.status == 1
    assert "SECRET_KEY is not set" in done.stderr


def test_gunicorn_answers(site):
    answer = site.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    page = site.get("/")
    assert page.status_code == 200
    assert "staticfiles" not in page.text
    assert "GET /healthz" in site.logs()


def test_process_1_is_gunicorn_not_the_shell(site):
    words = site.exec("cat", "/proc/1/cmdline").stdout.split("\0")
    assert words[1].endswith("/gunicorn")
    assert "app.wsgi" in words
    assert site.logs().startswith("Running process type: server\n")


def test_docker_stop_ends_it_in_order(article):
    running = article.start(env={"SECRET_KEY": SECRET}, port=8000, name="stopped")
    ended = running.stop(timeout=20)
    assert ended.status == 0, "137 would mean that docker had to kill it"
    assert "Handling signal: term" in running.last_logs


def test_an_unknown_process_type_is_printed_and_passes_for_success(article):
    """A weakness that the article's entrypoint has: the status is 0."""
    done = article.run("worker-of-sorts")
    assert done.stdout == (
        "Running process type: worker-of-sorts\nUnknown process type: worker-of-sorts\n"
    )
    assert done.status == 0


def test_it_holds_no_secret(article):
    image = client.connect().images.get(article.tag)
    told = json.dumps([image.history(), image.attrs])
    assert "collectstatic" in told
    assert SECRET not in told
    names = {entry.partition("=")[0] for entry in article.config()["Env"]}
    assert {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"} <= names
    assert not [n for n in names if any(w in n for w in ("SECRET", "PASSWORD", "TOKEN"))]
    found = article.sh(f"ls -A /app; grep -rl {SECRET} /app /home /tmp")
    assert "manage.py" in found.lines
    assert ".env" not in found.lines
    assert SECRET not in found.stdout
    assert not [line for line in found.lines if line.startswith("/")]
