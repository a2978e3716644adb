"""Every way to an engine, against the engine in use: what is built and run goes through it.

The engine is reached once more by TCP, with and without TLS, and named by the environment or
by contexts that docker's own command line made.
"""

import os
import subprocess
import sys

import listeners
import pytest

from workshop.engine import client, session
from workshop.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("left_clean"),
    pytest.mark.skipif(os.name == "nt", reason="the engine's socket is a Unix one"),
]

# In a process of its own, because client remembers its engine: the command line builds, the API
# finds what was built, and a published port answers.
ALL_OF_IT = """
import subprocess, sys
from workshop.engine import client, session
from workshop.run import containers
assert client.host() == sys.argv[1], client.host()
tag = f"{session.prefix()}/by-another-way"
label = f"{session.LABEL}={session.ident()}"
build = [client.cli(), "buildx", "build", "--tag", tag, "--label", label, "-"]
text = "FROM python:3.13-slim\\nRUN echo by another way > /file\\n"
subprocess.run(build, input=text, text=True, check=True, env=client.environment())
assert client.connect().images.get(tag).labels[session.LABEL] == session.ident()
assert containers.run(tag, ["cat", "/file"]).stdout == "by another way\\n"
with containers.start(tag, ["python", "-m", "http.server", "8000"], port=8000) as server:
    print(server.url, server.get("/file").text)
"""


@pytest.fixture(scope="module")
def path():
    """The path of the engine's Unix socket."""
    host = client.host()
    if not host.startswith("unix://"):
        pytest.skip("the engine in use listens on no Unix socket")
    return host.removeprefix("unix://")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return listeners.certificates(tmp_path_factory.mktemp("tls") / "files")


@pytest.fixture
def clean_environment(tmp_path):
    """This environment without a choice of engine, in a company with a proxy and a bundle."""
    (tmp_path / "bundle.pem").write_text("no certificate at all")
    kept = {k: v for k, v in os.environ.items() if k not in client.ENGINE_VARIABLES}
    return {
        **kept,
        "DOCKER_CONFIG": str(tmp_path / "config"),
        "WORKSHOP_SESSION": session.ident(),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "bundle.pem"),
    }


def python(script, *arguments, env):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip


@pytest.mark.parametrize("tls", ["plain", "tls", "no verification"])
@pytest.mark.parametrize("by", ["environment", "DOCKER_CONTEXT", "current context"])
def test_all_of_it_by_tcp(path, files, clean_environment, by, tls):
    env = clean_environment
    with listeners.listening(listeners.forwarding(path), files if tls != "plain" else None) as host:
        if by == "environment":
            env["DOCKER_HOST"] = host
            if tls != "plain":
                env["DOCKER_TLS_VERIFY" if tls == "tls" else "DOCKER_TLS"] = "1"
                env["DOCKER_CERT_PATH"] = str(files)
        else:
            endpoint = f"host={host}"
            if tls != "plain":
                names = ",".join(f"{name}={files}/{name}.pem" for name in ("ca", "cert", "key"))
                endpoint += f",{names}"
            if tls == "no verification":
                endpoint += ",skip-tls-verify=true"
            create = [client.cli(), "context", "create", "work", "--docker", endpoint]
            subprocess.run(create, env=env, check=True, capture_output=True)
            if by == "DOCKER_CONTEXT":
                env["DOCKER_CONTEXT"] = "work"
            else:
                use = [client.cli(), "context", "use", "work"]
                subprocess.run(use, env=env, check=True, capture_output=True)
        done = python(ALL_OF_IT, host, env=env)
    assert done.returncode == 0, done.stderr
    address, text = done.stdout.split(" ", 1)
    assert address.startswith("http://127.0.0.1:")
    assert text.startswith("by another way")


def test_all_of_it_by_a_context_with_a_unix_socket(path, clean_environment):
    env = clean_environment
    subprocess.run(
        [client.cli(), "context", "create", "work", "--docker", f"host=unix://{path}"],
        env=env, check=True, capture_output=True,
    )  # fmt: skip
    done = python(ALL_OF_IT, f"unix://{path}", env={**env, "DOCKER_CONTEXT": "work"})
    assert done.returncode == 0, done.stderr


def test_a_context_whose_engine_is_gone_is_an_error_beside_a_living_engine(clean_environment):
    env = clean_environment
    gone = ["context", "create", "gone", "--docker", "host=unix:///no/such.sock"]
    subprocess.run([client.cli(), *gone], env=env, check=True, capture_output=True)
    subprocess.run([client.cli(), "context", "use", "gone"], env=env, check=True)
    for action in ("status", "start"):
        done = subprocess.run(
            [sys.executable, "-m", "workshop.cli", "engine", action],
            env=env, cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith(
            "✘ The Docker engine at unix:///no/such.sock (the context gone) does not answer"
        )
