"""The files for Kubernetes: two versions of the API know them. Those for Swarm: as Compose's.

No cluster is asked. `kubectl kustomize` and the schemas of the API are enough for that.
"""

import subprocess

import kubernetes_validate
import pytest
import yaml

from workshop.paths import VARIANTS, program

DEPLOY = VARIANTS / "kubernetes" / "deploy"
OVERLAYS = ["laptop", "production"]
IMAGE = "reading-list"
DEFAULT_HOSTS = "localhost,127.0.0.1"


def rendered(overlay):
    done = subprocess.run(
        [program("kubectl"), "kustomize", str(DEPLOY / overlay)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request):
    return rendered(request.param)


def named(manifests, kind, name):
    (found,) = (m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def pods(manifests):
    """(name, labels, spec) of each pod that somebody makes."""
    for manifest in manifests:
        template = manifest["spec"].get("template") if "spec" in manifest else None
        if template:
            yield manifest["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def containers(manifests):
    return [
        (name, container) for name, _, spec in pods(manifests) for container in spec["containers"]
    ]


@pytest.mark.parametrize("version", ["1.30", "1.36"])
def test_the_api_knows_every_word(manifests, version):
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_validator_finds_a_word_that_is_wrong():
    web = named(rendered("laptop"), "Deployment", "web")
    web["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(web, "1.36", strict=True)


def test_a_laptop_needs_nothing_that_an_old_cluster_has_not():
    """So the same manifests run on a control plane that is built from Debian's source."""
    known = {"v1", "apps/v1", "batch/v1", "networking.k8s.io/v1"}
    assert {manifest["apiVersion"] for manifest in rendered("laptop")} == known


def test_no_pod_may_do_more_than_it_has_to(manifests):
    for name, _, spec in pods(manifests):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], name
    for name, container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name


def test_the_cluster_is_told_to_refuse_others(manifests):
    namespace = named(manifests, "Namespace", IMAGE)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_secret_is_a_file(manifests):
    for name, container in containers(manifests):
        for variable in container.get("env", []):
            is_secret = variable["name"].startswith(("SECRET", "DATABASE", "POSTGRES_PASSWORD"))
            assert variable["name"].endswith("_FILE") or not is_secret, name
            assert "valueFrom" not in variable, name


def test_the_containers_get_what_compose_gives_them(manifests):
    stack = yaml.safe_load((VARIANTS / "stack" / "compose.yaml").read_text(encoding="utf-8"))
    compose = stack["services"]
    for role in ("web", "worker", "beat", "migrate"):
        (container,) = [found for name, found in containers(manifests) if name == role]
        told = {variable["name"]: variable["value"] for variable in container["env"]}
        asked = set(compose[role]["environment"]) - {"ALLOWED_HOSTS", "BROKER_URL"}
        assert asked <= set(told), role
        if any(m["kind"] == "Service" and m["metadata"]["name"] == "redis" for m in manifests):
            assert told["BROKER_URL"] == compose[role]["environment"]["BROKER_URL"]
        else:
            # Its address may hold a password.
            assert told.get("BROKER_URL_FILE") == "/run/secrets/site/broker_url"
            assert "BROKER_URL" not in told
        words = compose[role].get("command", "server")
        assert container["args"] == words.split()


def services(*path):
    return yaml.safe_load(VARIANTS.joinpath(*path).read_text(encoding="utf-8"))["services"]


def targets(service):
    """Where a container has a volume or a folder in memory."""
    named = [v["target"] if isinstance(v, dict) else v.split(":")[1] for v in service["volumes"]]
    return {*named, *service.get("tmpfs", [])}


def test_swarm_gives_the_containers_what_compose_gives_them():
    """But for what `docker stack deploy` has no word for, as the head of the file says."""
    stack, compose = services("swarm", "deploy", "stack.yaml"), services("stack", "compose.yaml")
    assert stack.keys() == compose.keys()
    words = {"command", "user", "healthcheck", "read_only", "cap_drop", "stop_grace_period"}
    for name, told in compose.items():
        found = stack[name]
        for word in words & told.keys():
            assert found.get(word) == told[word], (name, word)
        variables = {**told.get("environment", {}), "ALLOWED_HOSTS": None}
        assert {**found.get("environment", {}), "ALLOWED_HOSTS": None} == variables, name
        shared_memory = {"/dev/shm"} if "shm_size" in told else set()
        assert targets(found) == targets(told) | shared_memory, name
        limits = found["deploy"]["resources"]["limits"]
        assert limits["memory"].lower() == told["mem_limit"], name
        assert (limits["cpus"], limits["pids"]) == (str(told["cpus"]), told["pids_limit"]), name


def test_a_migration_that_always_fails_ends():
    policy = services("swarm", "deploy", "stack.yaml")["migrate"]["deploy"]["restart_policy"]
    assert policy == {"condition": "on-failure", "max_attempts": 3}
    spec = named(rendered("laptop"), "Job", "migrate")["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (3, "Never")


def test_a_database_gets_the_time_that_compose_gives_it():
    spec = named(rendered("laptop"), "StatefulSet", "db")["spec"]["template"]["spec"]
    told = services("stack", "compose.yaml")["db"]["stop_grace_period"]
    assert told == f"{spec['terminationGracePeriodSeconds']}s"


def test_who_stops_gets_the_time_that_it_needs(manifests):
    web = named(manifests, "Deployment", "web")["spec"]["template"]["spec"]
    told = {v["name"]: v["value"] for v in web["containers"][0]["env"]}
    settings = (VARIANTS / "production" / "container" / "gunicorn.conf.py").read_text("utf-8")
    assert "graceful_timeout = 8\n" in settings
    assert int(told["STOP_DELAY"]) + 1 + 8 < web["terminationGracePeriodSeconds"]


def test_the_probes_ask_what_they_ought_to(manifests):
    (web,) = [found for name, found in containers(manifests) if name == "web"]
    asked = {
        kind: web[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }
    assert asked == {"startup": "/", "liveness": "/livez", "readiness": "/readyz"}
    # Else Django answers 400, or redirects to HTTPS, and the pod never starts.
    headers = {h["name"]: h["value"] for h in web["startupProbe"]["httpGet"]["httpHeaders"]}
    told = {v["name"]: v["value"] for v in web["env"]}
    assert headers["Host"] in told.get("ALLOWED_HOSTS", DEFAULT_HOSTS).split(",")
    assert headers["X-Forwarded-Proto"] == "https"


def test_an_update_starts_the_new_one_first_and_beat_is_never_twice(manifests):
    web = named(manifests, "Deployment", "web")["spec"]["strategy"]
    assert web["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    beat = named(manifests, "Deployment", "beat")["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


def test_a_deploy_can_select_the_job_alone(manifests):
    """`kubectl apply --selector` looks at an object's own labels, not at those of its pods."""
    labels = {"app.kubernetes.io/component": "migrate"}
    found = [m for m in manifests if labels.items() <= m["metadata"].get("labels", {}).items()]
    assert [(m["kind"], m["metadata"]["name"]) for m in found] == [("Job", "migrate")]


def test_every_selector_finds_a_pod(manifests):
    labels = [found for _, found, _ in pods(manifests)]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Service":
            wanted = spec["selector"]
        elif manifest["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            wanted = spec["selector"]["matchLabels"]
        else:
            continue
        assert any(wanted.items() <= found.items() for found in labels), manifest["metadata"]


def test_nobody_is_reached_but_by_a_rule(manifests):
    policy = named(manifests, "NetworkPolicy", "default-deny")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policy)
    for _, labels, _ in pods(manifests):
        wanted = policy["podSelector"].get("matchLabels", {})
        assert wanted.items() <= labels.items()


def test_no_image_is_pulled_again_because_of_its_tag(manifests):
    """For `latest`, or no tag, Kubernetes asks the registry each time."""
    for name, container in containers(manifests):
        _, _, tag = container["image"].rpartition("/")[2].partition(":")
        assert tag not in ("", "latest"), name


def test_production_runs_an_image_by_its_digest_and_scales():
    manifests = rendered("production")
    images = {container["image"] for _, container in containers(manifests)}
    assert [image for image in images if "@sha256:" not in image] == []
    web = named(manifests, "Deployment", "web")
    assert "replicas" not in web["spec"]
    scaler = named(manifests, "HorizontalPodAutoscaler", "web")["spec"]
    assert scaler["scaleTargetRef"]["name"] == "web"
    # Eight threads in each process, which is the image's default, and PostgreSQL has 97.
    told = {v["name"]: v["value"] for v in web["spec"]["template"]["spec"]["containers"][0]["env"]}
    surge = web["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    pods_at_most = scaler["maxReplicas"] + surge
    assert pods_at_most * int(told["WEB_CONCURRENCY"]) * 8 < 97 - 10
    budget = named(manifests, "PodDisruptionBudget", "web")["spec"]
    assert budget["minAvailable"] < scaler["minReplicas"]
    assert named(manifests, "PersistentVolumeClaim", "media")["spec"]["accessModes"] == [
        "ReadWriteMany"
    ]
