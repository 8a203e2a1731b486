"""A central freezer-scheduler: it runs the jobs of several projects, each by a Keystone trust."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live import LiveGateway

from . import scheduler
from .catalogue import Catalogue
from .gateways import serving
from .hosts import FAR, Host, silent_server
from .keystone import Keystone
from .scheduler import Scheduler

CENTRAL = "central"
Trusts = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def gateway(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """Run a gateway for the scheduler."""
    with serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def running(
    keystone: Keystone, gateway: LiveGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scheduler]:
    """Run the scheduler, which logs in as the gateway's user: the one whom everybody trusts."""
    assert gateway.url
    folder = tmp_path_factory.mktemp("central")
    account = ("gateway", "service")
    with scheduler.running(
        keystone, folder, CENTRAL, account, centralized_scheduler=True
    ) as running:
        running.wait_to_say("Fetched 0 jobs from API")
        yield running


@pytest.fixture(scope="module")
def trusts(keystone: Keystone) -> Trusts:
    """Return a function that finds the trusts made since."""
    before = keystone.trusts().keys()
    return lambda: [trust for key, trust in keystone.trusts().items() if key not in before]


def test_jobs_of_two_projects(
    keystone: Keystone, gateway: LiveGateway, running: Scheduler, trusts: Trusts, tmp_path: Path
) -> None:
    hosts = {}
    for user, project in (("alice", "alpha"), ("bob", "beta")):
        catalogue = Catalogue(gateway.url, keystone.token(user, project))
        (tmp_path / user).mkdir()
        hosts[user] = Host(CENTRAL, running, catalogue, tmp_path / user)
    jobs = [(user, hosts[user].job(hosts[user].backup())) for user in ("alice", "alice", "bob")]
    assert {
        (trust["trustor_user_id"], trust["project_id"], trust["trustee_user_id"])
        for trust in trusts()
    } == {
        (keystone.users["alice"], keystone.projects["alpha"], keystone.users["gateway"]),
        (keystone.users["bob"], keystone.projects["beta"], keystone.users["gateway"]),
    }
    assert len(trusts()) == 2, "one for each user and project"
    for user, job in jobs:
        ended = job.becomes("COMPLETED", result="SUCCESS")
        assert ended["userId"] == keystone.users[user], (
            "whose job it was, though the trustee ran it"
        )
        (backup,) = ended["backups"]["nodes"]
        assert backup["backupName"] == "nightly"
        assert backup["client"] == {"clientId": CENTRAL}
    for (_, job), left in zip(jobs, (2, 1, 0), strict=True):
        job.delete()
        assert len(trusts()) == left


def test_what_it_forgets_the_trust_for(
    keystone: Keystone, gateway: LiveGateway, running: Scheduler, trusts: Trusts, tmp_path: Path
) -> None:
    # All of it is told in docs/compatibility.md.
    host = Host(
        CENTRAL, running, Catalogue(gateway.url, keystone.token("alice", "alpha")), tmp_path
    )
    session = host.session()
    member = host.job(host.backup(), date=FAR)
    member.becomes("SCHEDULED", event=None)
    session.add(member)
    with silent_server() as port:
        busy = host.job(host.hanging_backup(port))
        busy.becomes("RUNNING")
        # By then it has told the process, too, and an event no more: docs/compatibility.md.
        member.becomes("COMPLETED", result="SUCCESS")
        busy.ask_for("abort")
        running.wait_to_say("Job update error: [*] Error 403")
    assert running.says(f"Error while starting session {session.session_id}. [*] Error 403")
    assert session.becomes("active")["sessionTag"] == 0
    busy.becomes("COMPLETED", result="FAIL")
    for job in (member, busy):
        job.delete()
    assert not trusts()
