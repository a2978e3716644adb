"""The article's variations as files: each builds the sample project, and serves the same pages."""

import difflib
import json
import re
import shutil

import pytest

from workshop.build.buildx import BuildFailed
from workshop.engine import client
from workshop.lesson.workspace import Workspace
from workshop.paths import DOCKERFILE, VARIANTS

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.slow]

ENV = {"SECRET_KEY": "a-key-for-tests-only", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}
# A value that is easy to find again, in a file that must stay out of the image.
SECRET = "a-secret-that-no-image-may-hold"
NAMES = ("pip", "poetry", "hashes", "sqlite", "python-version", "asgi")


@pytest.fixture(scope="module")
def spaces(left_clean):
    """A workspace for each variation, made when it is first asked for."""
    made = {}

    def space(name):
        if name not in made:
            found = Workspace(f"test-variant-{name}")
            # For ASGI the article's Dockerfile stays, and the entrypoint differs.
            found.use(DOCKERFILE if name == "asgi" else VARIANTS / f"{name}.Dockerfile")
            # What belongs beside it, also where the Dockerfile is the article's.
            if (VARIANTS / name).is_dir():
                shutil.copytree(VARIANTS / name, found.path, dirs_exist_ok=True)
            found.write(".env", f"SECRET_KEY={SECRET}\n")
            found.build()
            made[name] = found
        return made[name]

    return space


@pytest.mark.parametrize("name", NAMES)
def test_it_serves_the_same_pages(spaces, name):
    space = spaces(name)
    with space.start("server", port=8000, env=ENV) as site:
        migrated = site.exec("python", "manage.py", "migrate", "--verbosity", "0")
        assert migrated.status == 0, migrated
        page = site.get("/")
        assert (page.status_code, "Reading list" in page.text) == (200, True)
        (sheet,) = re.findall(r'href="(/static/reading/site[^"]+\.css)"', page.text)
        assert site.get(sheet).status_code == 200
        assert site.get("/admin/login/").status_code == 200
        sent = site.post("/add/", data={"title": "Emma", "author": "Jane Austen", "status": "want"})
        assert "Emma" in sent.text


# What test_article_image.py asks of the article's image.


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_a_user_without_privileges(spaces, name):
    assert spaces(name).sh("id -un; id -gn").lines == ["appuser", "appuser"]
    assert spaces(name).sh("id -u").lines != ["0"]


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_no_compiler_and_no_wheels(spaces, name):
    found = spaces(name).sh("which gcc g++ cc c++ make ld uv poetry; ls -d /wheels /app/wheels")
    assert found.stdout == ""
    assert found.stderr.count("No such file or directory") == 2


@pytest.mark.parametrize("name", NAMES)
def test_static_files_have_hashed_names_and_an_owner(spaces, name):
    listed = spaces(name).sh("stat -c '%U:%G' staticfiles/staticfiles.json; cat staticfiles/*.json")
    owner, manifest = listed.stdout.split("\n", 1)
    assert owner == "appuser:appuser"
    hashed = json.loads(manifest)["paths"]["reading/site.css"]
    assert hashed != "reading/site.css"
    assert spaces(name).sh(f"test -s staticfiles/{hashed}").status == 0


@pytest.mark.parametrize("name", NAMES)
def test_media_can_be_written_to_and_the_code_folder_cannot(spaces, name):
    done = spaces(name).sh("echo x > /app/media/x && cat /app/media/x; touch /app/new")
    assert done.stdout == "x\n"
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_projects_own_tests_pass_in_it(spaces, name):
    done = spaces(name).run("manage.py", "test", options=["--entrypoint=python"])
    assert done.status == 0, done
    assert "Ran 0 tests" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_no_secret(spaces, name):
    image = client.connect().images.get(spaces(name).tag)
    told = json.dumps([image.history(), image.attrs])
    assert "collectstatic" in told
    assert SECRET not in told
    found = spaces(name).sh(f"ls -A /app; grep -rl {SECRET} /app /home /tmp")
    assert "manage.py" in found.lines
    assert ".env" not in found.lines
    assert not [line for line in found.lines if line.startswith("/")]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "asgi"])
def test_it_differs_from_the_articles_in_few_lines(name):
    file = VARIANTS / f"{name}.Dockerfile"
    lines = difflib.ndiff(DOCKERFILE.read_text().splitlines(), file.read_text().splitlines())
    assert 0 < sum(line[0] in "+-" for line in lines) <= 24


@pytest.mark.parametrize("name", ["pip", "poetry"])
def test_it_installs_what_uv_lock_pins(spaces, name):
    code = (
        "from importlib.metadata import version; print(*(version(n) for n in ('django', 'pillow')))"
    )
    found = spaces(name).run("-c", code, options=["--entrypoint=python"])
    lock = (spaces(name).path / "uv.lock").read_text(encoding="utf-8")
    pins = [re.search(rf'name = "{n}"\nversion = "([^"]+)"', lock)[1] for n in ("django", "pillow")]
    assert found.stdout.split() == pins


def test_a_tampered_archive_fails_in_the_stage_that_downloads(spaces):
    space = spaces("hashes")
    lock = space.read("uv.lock")
    # Both archives of it, because pip takes the other one where only one fits.
    tampered = re.sub(r'(asgiref-\S+", hash = "sha256:)\w+', rf"\g<1>{'0' * 64}", lock)
    with (
        space.changed({"uv.lock": tampered}),
        pytest.raises(BuildFailed) as failed,
    ):
        space.build(target="builder", name="tampered")
    assert "pip wheel" in failed.value.step
    assert "DO NOT MATCH THE HASHES" in str(failed.value)


def test_without_postgresql_there_is_no_compiler_and_no_driver(spaces):
    packages = spaces("sqlite").look().packages().bytes
    assert not {"psycopg", "psycopg-c", "libpq5", "libpq-dev"} & packages.keys()
    assert spaces("sqlite").size() < spaces("hashes").size()


def test_one_argument_sets_the_python_of_both_stages(spaces):
    with pytest.raises(BuildFailed) as failed:
        spaces("python-version").build("--build-arg", "PYTHON_VERSION=0.0", name="none")
    assert "python:0.0-slim" in str(failed.value)
