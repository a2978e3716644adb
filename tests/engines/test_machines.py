"""The site on three machines: what every event costs, by the clients' count, and what has to hold.

The acceptance script is the one that the Compose stack has to pass.
"""

import os
import secrets
import subprocess
import sys

import pytest
from acceptance import Platform, Uploads, holds, in_summary  # noqa: F401
from machines import traces
from waiting import wait_for

from workshop.bench import machines
from workshop.engine import client, session
from workshop.errors import WorkshopError
from workshop.run.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


# A chapter whose kernel is gone before its last cell.
ABORTED = "from workshop.bench import machines; machines.prepared('aborted').start()"


class OnSwarm(Platform):
    """The site as a Swarm runs it."""

    def __init__(self, swarm):
        self.swarm = swarm

    @property
    def site(self):
        return Site(self.swarm.space.terminal.variables["PORT"])

    def inside(self, service, command):
        # The database is on the manager, because its data is.
        node = next(iter(self.swarm.running())) if service == "web" else "node1"
        name = f"com.docker.swarm.service.name=site_{service}"
        ident = self.swarm.on(f"ps --quiet --filter label={name}", node).lines[0]
        return self.swarm.on(f"exec {ident} {command}", node).stdout


@pytest.fixture(scope="module")
def swarm():
    with machines.started("machines") as made:
        yield made


def test_what_each_event_costs_the_clients(swarm):
    events = dict(machines.events_of(swarm))
    print(machines.Machines(events, "now", client.machine()).as_markdown())
    assert events["rolling update"].requests >= machines.LEAST
    unplanned = {"a machine is cut off", "a machine is killed"}
    article = "rolling update of the article's image"
    others = {article, *unplanned}
    assert {name: e.failed for name, e in events.items() if name not in others and e.failed} == {}
    # What was under way on that machine is lost: at most one request of each client. Where its
    # processes die one by one, a client that asked again may meet the next one.
    assert events["a machine is cut off"].failed <= machines.CONNECTIONS
    assert events["a machine is killed"].failed <= 2 * machines.CONNECTIONS
    # Clients that never pause: its server always has one to answer, and ends without doing so.
    assert events[article].failed > 0


def test_no_upload_is_lost_by_an_update(swarm):
    swarm.build("next", "--build-arg VERSION=next")
    with Uploads(OnSwarm(swarm).site, clients=3) as uploads:
        uploads.reach(10)
        swarm.deploy("next")
        uploads.reach(10)
    assert uploads.refused == {}
    holds(OnSwarm(swarm), uploads)


def test_no_upload_that_was_answered_is_lost_when_a_machine_dies(swarm):
    version = next(iter(swarm.running().values()))
    with Uploads(OnSwarm(swarm).site, clients=3) as uploads:
        uploads.reach(10)
        machines.taken_away(swarm, "killed", version)
        uploads.reach(10)
    holds(OnSwarm(swarm), uploads)


@pytest.mark.parametrize("rights", ["0000000000000000", "00000000a80425fb"])
def test_a_container_without_rights_is_one_sentence(monkeypatch, rights):
    told = type("Told", (), {"lines": [f"CapEff:\t{rights}"]})
    monkeypatch.setattr(machines.containers, "run", lambda *_, **__: told)
    with pytest.raises(WorkshopError, match="gives a privileged container no rights"):
        machines.require()


def test_an_aborted_chapter_leaves_nothing_but_what_clean_removes():
    own = {**os.environ, "WORKSHOP_SESSION": secrets.token_hex(4)}
    subprocess.run([sys.executable, "-c", ABORTED], env=own, check=True)
    labelled = {"label": f"{session.LABEL}={own['WORKSHOP_SESSION']}"}
    api = client.connect().api
    nodes = [found["Id"] for found in api.containers(filters=labelled)]
    assert len(nodes) == 5
    before = api.volumes()["Volumes"]
    assert [traces(node) for node in nodes] == [{"cgroups", "mounts"}] * 5
    subprocess.run([sys.executable, "-m", "workshop.cli", "clean"], env=own, check=True)
    assert api.containers(all=True, filters=labelled) == []
    assert api.networks(filters=labelled) == []
    # The shared one, and what each machine's engine and the registry have stored.
    gone = {v["Name"] for v in before} - {v["Name"] for v in api.volumes()["Volumes"] or []}
    assert len(gone) >= 5
    wait_for(lambda: not any(map(traces, nodes)), 30)
