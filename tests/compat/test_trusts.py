"""Trusts in a real Keystone: by them a central scheduler does the jobs of whoever created them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.live import LiveGateway

from .gateways import serving
from .keystone import PASSWORD, Keystone

CENTRAL = "central.example.org"


class Estate:
    """A gateway, its Keystone, and a central client that an administrator of `alpha` registered."""

    def __init__(self, keystone: Keystone, gateway: LiveGateway) -> None:
        """Register the client."""
        self.keystone = keystone
        self.gateway = gateway
        self.before = keystone.trusts().keys()
        self.alice = keystone.token("alice", "alpha")
        self.ada = keystone.token("ada", "alpha")
        registered = self.ask("POST", "/clients", self.ada, client_id=CENTRAL, is_central=True)
        assert registered.status_code == 201, registered.text

    def ask(
        self, method: str, path: str, token: str, project: str = "alpha", **body: Any
    ) -> httpx.Response:
        """Send a request for something of a project."""
        return httpx.request(
            method,
            f"{self.gateway.url}/v2/{self.keystone.projects[project]}{path}",
            json=body or None,
            headers={"X-Auth-Token": token},
            timeout=60,
        )

    def create(self, token: str, project: str = "alpha", client_id: str = CENTRAL) -> Any:
        """Ask for a job of the central client."""
        given = {"description": "central", "job_actions": [], "client_id": client_id}
        return self.ask("POST", "/jobs", token, project, **given)

    def trusts(self) -> dict[str, Any]:
        """Return every trust that has been made since the estate was."""
        found = self.keystone.trusts()
        return {key: trust for key, trust in found.items() if key not in self.before}


@pytest.fixture(scope="module")
def estate(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """Return a gateway with a central client."""
    with serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield Estate(keystone, gateway)


def test_a_trust_from_the_first_job_to_the_last(estate: Estate) -> None:
    keystone = estate.keystone
    first, second = (estate.create(estate.alice).json()["job_id"] for _ in range(2))
    (trust,) = estate.trusts().values()
    assert trust["trustor_user_id"] == keystone.users["alice"]
    assert trust["trustee_user_id"] == keystone.users["gateway"]
    assert trust["project_id"] == keystone.projects["alpha"]
    assert trust["impersonation"] is False
    assert not trust.get("redelegation_count")
    # The list leaves the roles out.
    whole = keystone.admin("GET", f"/OS-TRUST/trusts/{trust['id']}")["trust"]
    assert [role["name"] for role in whole["roles"]] == ["member"]
    # It is shown to its trustor and to those who work by it, but to no other member.
    own = {"trust_id": trust["id"], "trustor_user_id": keystone.users["alice"]}
    for job in (first, second):
        for token in (estate.alice, estate.ada):
            assert estate.ask("GET", f"/jobs/{job}", token).json()["user_credentials"] == own
        rita = estate.ask("GET", f"/jobs/{job}", keystone.token("rita", "alpha"))
        assert "user_credentials" not in rita.json()
    assert estate.ask("DELETE", f"/jobs/{first}", estate.alice).status_code == 204
    assert estate.trusts().keys() == {trust["id"]}
    assert estate.ask("DELETE", f"/jobs/{second}", estate.alice).status_code == 204
    assert estate.trusts() == {}


def test_the_central_scheduler_works_by_it(estate: Estate) -> None:
    keystone = estate.keystone
    job = estate.create(estate.alice).json()["job_id"]
    (trust_id,) = estate.trusts()
    gateway = {"name": "gateway", "domain": {"id": "default"}, "password": PASSWORD}
    token = keystone.log_in(
        {"methods": ["password"], "password": {"user": gateway}},
        {"OS-TRUST:trust": {"id": trust_id}},
    )
    changed = estate.ask("PATCH", f"/jobs/{job}", token, job_schedule={"status": "running"})
    assert changed.status_code == 200, changed.text
    shown = estate.ask("GET", f"/jobs/{job}", estate.alice).json()
    assert shown["job_schedule"]["status"] == "running"
    assert shown["user_id"] == keystone.users["alice"]
    assert estate.ask("GET", "/jobs", token, "beta").status_code == 403
    assert estate.ask("DELETE", f"/jobs/{job}", estate.alice).status_code == 204
    assert estate.trusts() == {}


def test_administrators_trust_in_their_own_projects_only(estate: Estate) -> None:
    made = estate.create(estate.ada)
    assert made.status_code == 201, made.text
    assert [trust["trustor_user_id"] for trust in estate.trusts().values()] == [
        estate.keystone.users["ada"]
    ]
    assert estate.ask("DELETE", f"/jobs/{made.json()['job_id']}", estate.ada).status_code == 204
    refused = estate.create(estate.ada, "beta")
    assert refused.status_code == 422
    assert refused.json()["description"].startswith("Missing required credentials")
    assert estate.ask("GET", "/jobs", estate.ada, "beta").json() == {"jobs": []}
    assert estate.trusts() == {}


def test_an_application_credential_cannot_trust(estate: Estate) -> None:
    token = estate.keystone.credential_token(estate.keystone.credential("alice", "alpha"))
    refused = estate.create(token)
    assert refused.status_code == 422
    assert refused.json()["description"].startswith("Missing required credentials")
    assert estate.trusts() == {}


def test_a_job_that_is_refused_leaves_no_trust(estate: Estate) -> None:
    refused = estate.ask(
        "POST", "/jobs", estate.alice, client_id=CENTRAL, job_actions=[{"action_id": "unknown"}]
    )
    assert refused.status_code == 422
    assert estate.trusts() == {}


def test_who_may_take_a_trust_back(estate: Estate) -> None:
    keystone = estate.keystone
    job = estate.create(estate.alice).json()["job_id"]
    assert estate.ask("DELETE", f"/jobs/{job}", estate.ada).status_code == 204
    assert estate.trusts() == {}, "an administrator of Keystone may"
    job = estate.create(estate.alice).json()["job_id"]
    keystone.add_user("carol", "alpha", "member")
    carol = keystone.token("carol", "alpha")
    assert estate.ask("DELETE", f"/jobs/{job}", carol).status_code == 204
    (left,) = estate.trusts()
    keystone.admin("DELETE", f"/OS-TRUST/trusts/{left}")


@contextmanager
def stopped(keystone: Keystone) -> Iterator[None]:
    keystone.stop()
    try:
        yield
    finally:
        keystone.start()


def test_keystone_goes_away(estate: Estate) -> None:
    job = estate.create(estate.alice).json()["job_id"]
    # A second user, for whom there is no trust yet; the gateway knows her token already.
    assert estate.ask("GET", "/jobs", estate.ada).status_code == 200
    with stopped(estate.keystone):
        answer = estate.create(estate.ada)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        # Nobody has to keep a job because its trust can't be taken back.
        assert estate.ask("DELETE", f"/jobs/{job}", estate.alice).status_code == 204
    assert estate.ask("GET", "/jobs", estate.ada).json() == {"jobs": []}
    assert estate.create(estate.ada).status_code == 201


def test_tokens_are_not_logged(estate: Estate) -> None:
    token = estate.keystone.credential_token(estate.keystone.credential("alice", "alpha"))
    assert estate.create(token).status_code == 422
    log = estate.gateway.log.read_text()
    assert "no trust" in log
    for secret in (token, estate.alice, estate.ada, PASSWORD):
        assert secret not in log
