"""What the article promises of its image, as far as chapters 03 to 05 don't check it already."""

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


def python(article, *arguments, **settings):
    """Run Python in the image, past its entrypoint."""
    return article.run(*arguments, options=["--entrypoint", "python"], **settings)


@pytest.mark.slow
def test_it_runs_as_a_user_without_privileges(article):
    assert article.sh("id -un; id -gn; id -u").lines[:2] == ["appuser", "appuser"]
    assert article.sh("id -u").lines != ["0"]
    assert article.config()["User"] == "appuser:appuser"


@pytest.mark.slow
def test_it_holds_no_compiler_and_no_wheels(article):
    found = article.sh(
        "which gcc g++ cc c++ make ld uv; ls -d /wheels /app/wheels /tmp/requirements.txt"
    )
    assert found.stdout == ""
    assert found.stderr.count("No such file or directory") == 3


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


@pytest.mark.slow
def test_the_projects_own_tests_pass_in_it(article):
    done = python(article, "manage.py", "test")
    assert done.status == 0, done
    assert "\nOK" in done.stderr
    assert "Ran 0 tests" not in done.stderr


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
