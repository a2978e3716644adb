"""The whole site by Compose: rights, the way of a task, and faults."""

import json

import pytest
from acceptance import Compose, Uploads, always_alive, holds, in_summary, picture, waiting  # noqa: F401
from waiting import wait_for

from workshop.bench import stack as stacks

pytestmark = [pytest.mark.usefixtures("left_clean"), pytest.mark.timeout(900)]

OURS = ("web", "migrate", "worker", "beat")
FILES = {
    "slowly.yaml": """\
services:
  worker:
    command: worker --concurrency 2 -- worker_soft_shutdown_timeout=12
    environment:
      THUMBNAIL_SECONDS: "8"
""",
    "stuck.yaml": """\
services:
  worker:
    environment:
      THUMBNAIL_SECONDS: "120"
""",
    "nowhere.yaml": """\
services:
  worker:
    environment:
      BROKER_URL: redis://127.0.0.1:9/0
    # As in compose.yaml, and sooner at its end.
    healthcheck:
      start_period: 5s
      interval: 2s
      retries: 2
""",
    # Room for few covers.
    "small.yaml": """\
volumes:
  media:
    driver_opts:
      type: tmpfs
      device: tmpfs
      o: size=1m,uid=10001,gid=0,mode=0775
""",
    # Several web containers, and one address.
    "balanced.yaml": """\
services:
  web:
    ports: !reset []
  balancer:
    image: ${IMAGE}-balancer
    build: balancer
    ports: ["127.0.0.1:${PORT}:80"]
    mem_limit: 128m
""",
    "balancer/Dockerfile": """\
FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light
COPY nginx.conf /etc/nginx/nginx.conf
CMD ["nginx", "-g", "daemon off;"]
""",
    "balancer/nginx.conf": """\
events {}
http {
    # Docker's own DNS knows which containers there are.
    resolver 127.0.0.11 valid=1s;
    # A container that is gone does not even refuse. Then ask the next one.
    proxy_connect_timeout 1s;
    server {
        listen 80;
        set $web web;
        location / {
            proxy_set_header Host localhost;
            proxy_pass http://$web:8000;
        }
    }
}
""",
}


@pytest.fixture(scope="module")
def stack(left_clean):
    with stacks.started("test-stack", FILES, "") as made:
        yield made


@pytest.fixture
def platform(stack):
    return Compose(stack)


def container(stack, service):
    """The service's container, as the engine describes it."""
    ident = stack.done(f"docker compose ps --all --quiet {service}").stdout.strip()
    return json.loads(stack.done(f"docker inspect {ident}").stdout)[0]


def upload(platform, title):
    """Add a book with a cover; the page that follows."""
    book = {"title": title, "author": "Jane Austen", "status": "want"}
    files = {"cover": ("cover.png", picture(), "image/png")}
    sent = platform.site.wait().post("/add/", data=book, files=files)
    assert sent.status_code == 200
    assert f"“{title}” is on your list." in sent.text
    return sent.text


def logged(platform, word):
    """How often a word stands in the worker's log."""
    return platform.done("logs worker").count(word)


def test_secrets_that_are_there_stay(stack):
    before = stack.space.read("secrets/database_password")
    assert "made: " not in stack.done("python container/make_secrets.py").stdout
    assert stack.space.read("secrets/database_password") == before
    assert stack.space.read(".env").count("SECRETS=") == 1


@pytest.mark.parametrize("service", OURS)
def test_a_process_of_the_project_may_do_little(stack, service):
    found = container(stack, service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"]
    assert host["PidsLimit"]
    assert found["Config"]["User"] == "10001:10001"
    secrets = [stack.space.read(f"secrets/{name}") for name in ("secret_key", "database_password")]
    assert not any(secret in json.dumps(found["Config"]) for secret in secrets)


@pytest.mark.parametrize("service", ["db", "redis"])
def test_a_database_may_do_little(stack, service):
    found = container(stack, service)
    host = found["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"]
    assert host["NanoCpus"]
    assert host["PidsLimit"]
    assert found["Config"]["User"] == {"db": "postgres"}.get(service, service)


def test_the_server_has_nothing_to_warn_of(platform):
    assert "can't be written" not in platform.done("logs web")


def test_the_image_holds_no_secret(stack):
    assert stack.typed("docker run --rm --entrypoint ls $IMAGE secrets").status != 0


def test_only_the_site_is_published_and_on_this_machine_only(stack):
    published = {
        service: [bound["HostIp"] for all_ in bindings.values() for bound in all_ or []]
        for service in (*OURS, "db", "redis")
        if (bindings := container(stack, service)["NetworkSettings"]["Ports"] or {})
    }
    assert {service: found for service, found in published.items() if found} == {
        "web": ["127.0.0.1"]
    }


def test_a_worker_makes_the_thumbnail(platform):
    upload(platform, "Emma")
    wait_for(lambda: "The thumbnail of book" in platform.done("logs worker"), 60)
    assert platform.rows()["Emma"].status == "ready"
    assert "The thumbnail of book" not in platform.done("logs web")


def test_search_knows_forms_of_a_word(platform):
    upload(platform, "Persuasions")
    assert "Persuasions" in platform.site.get("/?q=persuasion").text


def test_an_upload_while_the_queue_is_away_is_accepted_and_its_thumbnail_made_later(platform):
    platform.stop("redis")
    try:
        assert "Its thumbnail is being made." in upload(platform, "Sanditon")
        assert platform.rows()["Sanditon"].status == "waiting"
    finally:
        platform.up("redis")
    platform.manage("make_thumbnails")
    assert platform.rows()["Sanditon"].status == "ready"


@pytest.mark.slow  # chapter 16 stops one as well
def test_a_worker_that_is_told_to_stop_ends_its_task_first(stack, platform):
    Compose(stack, "-f compose.yaml -f slowly.yaml").up("worker")
    upload(platform, "Lady Susan")
    wait_for(lambda: logged(platform, "received"), 60)
    assert platform.rows()["Lady Susan"].status == "waiting"
    platform.stop("worker")
    assert platform.rows()["Lady Susan"].status == "ready"
    assert logged(platform, "is made") == 1
    platform.up("worker")


# Faults under load


def test_the_web_container_is_killed(platform):
    with (
        Uploads(platform.site, clients=2) as uploads,
        uploads.recovering("the web container was killed"),
    ):
        platform.kill("web")
    holds(platform, uploads)
    assert platform.restarts("web") >= 1  # the engine started it again


def test_the_worker_is_killed_in_a_task(stack, platform):
    Compose(stack, "-f compose.yaml -f slowly.yaml").up("worker")
    with always_alive(platform), Uploads(platform.site, clients=2) as uploads:
        wait_for(lambda: logged(platform, "received"), 60)
        with uploads.recovering("the worker was killed"):
            assert waiting(platform)
            platform.kill("worker")
    wait_for(lambda: platform.restarts("worker"), 60)
    platform.up("worker")  # one that is not slow
    holds(platform, uploads)


def test_the_database_is_restarted_then_hangs(stack, platform):
    # Fewer clients than threads: each one that waits for the database occupies a thread.
    with always_alive(platform), Uploads(platform.site, clients=2) as uploads:
        with uploads.recovering("the database was restarted"):
            platform.restart("db")
        with uploads.recovering("the database hung"), platform.hanging("db"):
            # Its kept connections are open, and nobody answers.
            ready = stack.typed("docker compose exec -T web sh container/entrypoint.sh ready")
    holds(platform, uploads)
    assert ready.status != 0
    assert "no answer" in ready.stderr


@pytest.mark.slow
def test_a_task_of_a_worker_that_is_killed_is_done_again_by_itself(stack, platform):
    Compose(stack, "-f compose.yaml -f stuck.yaml").up("worker")
    upload(platform, "The Watsons")
    wait_for(lambda: logged(platform, "received"), 60)
    platform.kill("worker")
    assert platform.rows()["The Watsons"].status == "waiting"
    platform.up("worker")
    # After a minute the queue gives it to another one, and so does what beat starts.
    wait_for(lambda: platform.rows()["The Watsons"].status == "ready", 240)


@pytest.mark.slow
def test_redis_is_restarted_and_keeps_its_tasks(platform):
    platform.stop("worker")
    with always_alive(platform), Uploads(platform.site, clients=2) as uploads:
        uploads.reach(5)
        waiting_before = platform.done("exec -T redis redis-cli llen celery").strip()
        with uploads.recovering("the queue was restarted"):
            platform.restart("redis")
            platform.up("redis")  # until it answers
        assert int(platform.done("exec -T redis redis-cli llen celery")) >= int(waiting_before) > 0
    platform.up("worker")
    holds(platform, uploads)


@pytest.mark.slow
def test_three_migrate_at_once_and_one_does_it(platform):
    def sql(text):
        return platform.inside("db", f'psql -U reading -tAc "{text}"')

    platform.stop("web")
    platform.stop("worker")
    sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    # Somebody else migrates meanwhile, says the lock.
    lock = "SELECT pg_advisory_lock(hashtext('migrations of Django')), pg_sleep(600)"
    platform.done(f'exec --detach db psql -U reading -c "{lock}"')
    holder = "FROM pg_locks WHERE locktype = 'advisory' AND granted"
    wait_for(lambda: sql(f"SELECT count(*) {holder}").strip() == "1", 60)

    platform.done("up --detach --no-deps --force-recreate --scale migrate=3 migrate")
    wait_for(lambda: platform.done("logs migrate").count("Another container migrates") == 3, 120)
    assert "Applying" not in platform.done("logs migrate")
    sql(f"SELECT pg_terminate_backend(pid) {holder}")

    def ended():
        told = platform.done("ps --all --format {{.State}},{{.ExitCode}} migrate").split()
        return told if all(line.startswith("exited") for line in told) else None

    assert wait_for(ended, 120) == ["exited,0"] * 3
    said = platform.done("logs migrate")
    assert said.count("Applying reading.0001_initial") == 1
    assert said.count("No migrations to apply") == 2
    platform.done("up --detach --wait")


@pytest.mark.slow
def test_ten_times_up_and_down_keeps_the_data(platform):
    before = platform.rows()
    for _ in range(10):
        platform.done("down")
        platform.done("up --detach --wait")
    assert platform.rows() == before


@pytest.mark.slow
def test_500_uploads_while_the_web_containers_are_replaced_one_by_one(stack):
    balanced = Compose(stack, "-f compose.yaml -f balanced.yaml")
    balanced.done("up --detach --wait --build --scale web=2")
    balanced.site.wait()
    old = balanced.done("ps --quiet web").split()
    try:
        with Uploads(balanced.site, clients=8) as uploads:
            for one in old:
                # One more, and when it is ready, one of the old ones goes.
                balanced.done("up --detach --wait --no-deps --no-recreate --scale web=3 web")
                with uploads.recovering("a web container was stopped"):
                    stack.done(f"docker stop {one}")
                stack.done(f"docker rm {one}")
            uploads.reach(max(0, 500 - len(uploads.accepted)))
        assert not set(old) & set(balanced.done("ps --quiet web").split())
        holds(balanced, uploads)
        assert not uploads.refused
    finally:
        balanced.done("down")
        Compose(stack).done("up --detach --wait")


@pytest.mark.slow
def test_the_media_volume_is_full(stack, platform):
    platform.done("down --volumes")
    small = Compose(stack, "-f compose.yaml -f small.yaml")
    small.done("up --detach --wait")
    small.done("exec -T web dd if=/dev/zero of=media/filler bs=1k count=900")
    with always_alive(small), Uploads(small.site, clients=2) as uploads:
        wait_for(lambda: uploads.refused["500"] > 5, 120)
    small.done("exec -T web rm media/filler")
    holds(small, uploads)
    assert not set(uploads.failed) & set(small.rows())
    small.done("down --volumes")
    platform.done("up --detach --wait")


# What is refused


def test_a_port_that_is_taken_is_said_and_nothing_is_lost(stack, platform):
    refused = stack.typed("docker compose -p $ME-second up --detach --no-deps web")
    assert refused.status != 0
    assert "port is already allocated" in refused.stderr
    assert platform.site.answers()
    stack.done("docker compose -p $ME-second down --volumes")


@pytest.mark.slow
def test_secrets_that_are_gone_are_named_and_so_is_an_image_that_is_not_built(stack):
    hidden = stack.space.path / "secrets.away"
    (stack.space.path / "secrets").rename(hidden)
    try:
        refused = stack.typed("docker compose -p $ME-third run --rm migrate")
        assert refused.status != 0
        assert "secrets/database_password" in refused.stderr
    finally:
        hidden.rename(stack.space.path / "secrets")
    stack.space.terminal.run("export IMAGE=not-built-yet")
    try:
        refused = stack.typed("docker compose -p $ME-third run --rm migrate")
        assert refused.status != 0
        assert "No such image: not-built-yet" in refused.stderr
    finally:
        stack.space.terminal.run(f"export IMAGE={stack.space.tag}")
        stack.done("docker compose -p $ME-third down --volumes")


@pytest.mark.slow
def test_a_queue_out_of_reach_at_the_start_is_said_and_the_task_is_done_later(stack, platform):
    platform.stop("worker")
    upload(platform, "Catharine")
    nowhere = Compose(stack, "-f compose.yaml -f nowhere.yaml")
    refused = stack.typed(f"{nowhere.command} up --detach --wait --no-deps worker")
    assert refused.status != 0
    assert "unhealthy" in refused.stderr
    said = nowhere.done("logs worker")
    assert "connecting to 127.0.0.1:9. Connection refused" in said
    assert "Trying again in" in said
    assert platform.rows()["Catharine"].status == "waiting"
    platform.up("worker")
    wait_for(lambda: platform.rows()["Catharine"].status == "ready", 60)


@pytest.mark.slow
def test_a_volume_of_another_postgresql_is_refused_and_stays_as_it_is(stack, platform):
    upload(platform, "Mansfield Park")
    platform.stop("db")
    change = 'docker run --rm --user 0:0 --volume $ME"_db:/data" --entrypoint sh $IMAGE -c'
    stack.done(f'{change} "echo 16 > /data/PG_VERSION"')
    assert stack.typed("docker compose up --detach --wait db").status != 0
    assert "not compatible" in platform.done("logs db")
    # Between two tries of Docker, it counts as unhealthy, and `up` would wait for no other.
    platform.stop("db")
    stack.done(f'{change} "echo 17 > /data/PG_VERSION"')
    platform.up("db")
    assert "Mansfield Park" in platform.rows()
