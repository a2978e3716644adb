"""Chapter 21 and the acceptance script on a cluster of Kubernetes: `make test-cluster`.

The cluster is a container on the engine in use. Its image is built once, from Debian's source,
which takes minutes; the build cache keeps it. No other run of the tests collects this file.
"""

import os
import re
import shutil
from pathlib import Path

import mutated
import pytest
from acceptance import Platform, Uploads, holds, in_summary  # noqa: F401
from machines import traces
from waiting import wait_for

from workshop.bases import images
from workshop.bench.stack import Stack
from workshop.engine import client
from workshop.lesson import notebooks
from workshop.lesson.workspace import Workspace
from workshop.paths import VARIANTS
from workshop.run.site import Site

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("left_clean")]

HERE = Path(__file__).parent
CONTEXT = "workshop-test"
STARTS_S = 120
WAIT = "--timeout 300s"
OVERLAY = """\
namespace: acceptance
resources: [../laptop]
images:
  - {{name: reading-list, newName: {image}, newTag: "{version}"}}
patches:
  - target: {{kind: Service, name: web}}
    patch: |
      - {{op: add, path: /spec/type, value: NodePort}}
      - {{op: add, path: /spec/ports/0/nodePort, value: 30080}}
"""


class Cluster:
    """One machine that is a container, and the variables with which a reader names it."""

    def __init__(self, folder: Path) -> None:
        self.stack = stack = Stack(Workspace("cluster"))
        stack.done(f"docker build -q -t $IMAGE:node '{HERE}'")
        stack.done(f"docker build -q -t $IMAGE:pause --target pause '{HERE}'")
        stack.done(
            "docker run --detach --name $ME-node --privileged --cgroupns private "
            "--publish 127.0.0.1::6443 --publish 127.0.0.1::30080 $IMAGE:node"
        )
        self.variables = {
            "KUBECONFIG": str(folder / "admin.yaml"),
            "KUBE_CONTEXT": CONTEXT,
            "KUBE_LOAD": f"sh {HERE / 'load.sh'}",
            "CLUSTER": stack.space.terminal.variables["ME"] + "-node",
            "DOCKER": client.cli(),
        }
        stack.space.terminal.variables.update(self.variables)
        wait_for(
            lambda: not stack.typed("docker exec $ME-node test -s admin.yaml").status, STARTS_S
        )
        told = stack.done("docker exec $ME-node cat admin.yaml").stdout
        Path(self.variables["KUBECONFIG"]).write_text(told.replace("6443", self.port(6443)))
        wait_for(lambda: " Ready " in self.typed("get node").stdout, STARTS_S)
        self.load("$IMAGE:pause", "postgres:17", "redis:8")
        tag = "ctr --namespace k8s.io images tag docker.io/$IMAGE:pause localhost/pause:1"
        stack.done(f"docker exec $ME-node {tag}")

    def port(self, inner: int) -> str:
        """The port of this machine that leads to one of the cluster's."""
        return self.stack.done(f"docker port $ME-node {inner}").stdout.strip().rpartition(":")[2]

    def typed(self, command: str):
        return self.stack.typed(f"kubectl --context $KUBE_CONTEXT {command}")

    def done(self, command: str) -> str:
        return self.stack.done(f"kubectl --context $KUBE_CONTEXT {command}").stdout

    def load(self, *names: str) -> None:
        self.stack.done(f'sh -c "$KUBE_LOAD {" ".join(names)}"')


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    images.ensure()
    return Cluster(tmp_path_factory.mktemp("cluster"))


def test_every_cell_of_the_chapter_that_needs_a_cluster_holds(cluster):
    (chapter,) = notebooks.chapters(["21"])
    executed = notebooks.execute(chapter, cluster.variables)
    told = [
        (cell.source, "".join(output.get("text", "") for output in cell.outputs))
        for cell in executed.cells
        if cell.cell_type == "code"
    ]
    assert [source for source, text in told if "Skipped, because" in text] == []
    printed = "".join(text for source, text in told if source.startswith("%%needs "))
    held = re.findall(r"(?m)^✔ (.*)$", printed)
    assert held == mutated.claims(chapter, "cluster")
    print("\n".join(line for line in printed.splitlines() if line.endswith(" failed")))


def test_each_claim_of_these_cells_was_seen_failing(cluster, monkeypatch, tmp_path):
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    (run,) = mutated.runs(mutated.MUTATIONS / "21.toml", "cluster")
    assert mutated.failing(run, tmp_path) == run.fails


class OnKubernetes(Platform):
    """The site in a namespace of its own, behind a port of the cluster's machine."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.space = space = Workspace("acceptance")
        space.use(VARIANTS / "stack.Dockerfile")
        shutil.copytree(VARIANTS / "kubernetes" / "deploy", space.path / "deploy")
        stack = Stack(space)
        space.terminal.variables.update(cluster.variables)
        self.done = lambda command: stack.done(f"kubectl --context $KUBE_CONTEXT {command}").stdout
        stack.done("docker build -q -t $IMAGE:1 .")
        stack.done("docker build -q -t $IMAGE:2 --build-arg VERSION=2 .")
        stack.done('sh -c "$KUBE_LOAD $IMAGE:1 $IMAGE:2"')
        stack.done("python container/make_secrets.py")
        self.done("create namespace acceptance --save-config")
        files = "--from-file secrets/secret_key --from-file secrets/database_url"
        self.done(f"-n acceptance create secret generic site {files}")
        password = "--from-file password=secrets/database_password"
        self.done(f"-n acceptance create secret generic database {password}")
        self.overlay("1")
        self.done("apply --kustomize deploy/mine")
        self.done(f"-n acceptance wait --for condition=complete {WAIT} job/migrate")
        self.done(f"-n acceptance wait --for condition=available {WAIT} deployment --all")
        self.site = Site(cluster.port(30080)).wait()

    def overlay(self, version: str) -> None:
        text = OVERLAY.format(image=self.space.tag, version=version)
        self.space.write("deploy/mine/kustomization.yaml", text)

    def inside(self, service: str, command: str) -> str:
        pod = "statefulset/db" if service == "db" else f"deployment/{service}"
        return self.done(f"-n acceptance exec {pod} -- {command}")

    def deploy(self, version: str) -> None:
        """As the comment in migrate.yaml says."""
        self.overlay(version)
        self.done("-n acceptance delete job migrate --ignore-not-found")
        only = "--selector app.kubernetes.io/component=migrate"
        self.done(f"apply --kustomize deploy/mine {only}")
        self.done(f"-n acceptance wait --for condition=complete {WAIT} job/migrate")
        self.done("apply --kustomize deploy/mine")
        self.settle()

    def settle(self) -> None:
        for name in ("web", "worker", "beat"):
            self.done(f"-n acceptance rollout status {WAIT} deployment/{name}")

    def pod(self) -> str:
        """One that serves. Those that are stopping are pods, too, and no endpoints."""
        name = "'jsonpath={.subsets[0].addresses[0].targetRef.name}'"
        return self.done(f"-n acceptance get endpoints web --output {name}")


@pytest.fixture(scope="module")
def site(cluster):
    return OnKubernetes(cluster)


def test_no_upload_is_lost_by_an_update(site):
    with Uploads(site.site, clients=3) as uploads:
        uploads.reach(10)
        site.deploy("2")
        uploads.reach(10)
    assert uploads.refused == {}
    holds(site, uploads)


def test_no_upload_is_lost_when_a_pod_is_deleted(site):
    """As each pod of a machine that is drained."""
    with Uploads(site.site, clients=3) as uploads:
        uploads.reach(10)
        site.done(f"-n acceptance delete pod {site.pod()}")
        site.settle()
        uploads.reach(10)
    assert uploads.refused == {}
    holds(site, uploads)


def test_no_upload_that_was_answered_is_lost_when_a_pod_is_killed(site):
    with Uploads(site.site, clients=3) as uploads:
        uploads.reach(10)
        site.done(f"-n acceptance delete --force --grace-period 0 pod {site.pod()}")
        site.settle()
        uploads.reach(10)
    holds(site, uploads)


def test_the_machine_that_it_runs_on_keeps_its_settings(cluster):
    """A kubelet sets these for the whole machine. Here it writes into files."""
    for name in ("vm/overcommit_memory", "kernel/panic"):
        inside = cluster.stack.done(f"docker exec $ME-node cat /proc/sys/{name}").stdout
        assert Path("/proc/sys", name).read_text() != inside, name


def test_nothing_of_the_cluster_is_left_when_its_container_is_gone(cluster):
    (ident,) = cluster.stack.done("docker ps --no-trunc --quiet --filter name=$ME-node").lines
    assert traces(ident) == {"cgroups", "mounts"}
    cluster.stack.done("docker rm --force --volumes $ME-node")
    wait_for(lambda: not traces(ident), 30)
    assert os.listdir("/sys/class/net").count("pods0") == 0
