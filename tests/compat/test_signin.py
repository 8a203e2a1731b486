"""Signing in by the gateway: what a real Keystone makes of users, projects and tokens."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from .gateways import in_this_process
from .keystone import PASSWORD, Keystone

pytestmark = pytest.mark.anyio

PATH = "/graphql/token"


@pytest.fixture(scope="module")
async def gateway(
    keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway that believes tokens for as long as is usual."""
    async with in_this_process(keystone, tmp_path_factory.mktemp("gateway")) as client:
        yield client


@pytest.fixture(scope="module")
def sina(keystone: Keystone) -> str:
    """Return the name of a user of two projects, with another role in each."""
    keystone.add_user("sina", "alpha", "member")
    keystone.grant("sina", "beta", "reader")
    return "sina"


def add_user_without_default(keystone: Keystone, name: str, *projects: str) -> str:
    made = keystone.admin("POST", "/users", {"user": {"name": name, "password": PASSWORD}})
    keystone.users[name] = made["user"]["id"]
    for project in projects:
        keystone.grant(name, project, "reader")
    return name


async def sign_in(
    gateway: httpx.AsyncClient, token: str = "", *, status: int = 200, **given: str
) -> dict[str, Any]:
    """Ask for a token; assert the answer's status, and return its document."""
    headers = {"X-Auth-Token": token} if token else {}
    response = await gateway.post(PATH, json=given, headers=headers)
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    if status == 200:
        assert response.headers["Cache-Control"] == "no-store"
    else:
        assert document.keys() == {"title", "description"}
        # No browser is to ask for a password by a window of its own.
        assert "WWW-Authenticate" not in response.headers
    return document


async def sign_out(gateway: httpx.AsyncClient, token: str) -> httpx.Response:
    return await gateway.delete(PATH, headers={"X-Auth-Token": token})


async def viewer(gateway: httpx.AsyncClient, token: str) -> Any:
    """Return who the token's user is, or None if it isn't valid."""
    response = await gateway.post(
        "/graphql",
        json={"query": "{ viewer { project userName roles } }"},
        headers={"X-Auth-Token": token},
    )
    return response.json()["data"]["viewer"] if response.status_code == 200 else None


async def test_the_default_project(
    gateway: httpx.AsyncClient, keystone: Keystone, sina: str
) -> None:
    answer = await sign_in(gateway, user=sina, password=PASSWORD)
    alpha, beta = keystone.projects["alpha"], keystone.projects["beta"]
    token, root, expires_at = (answer.pop(key) for key in ("token", "root", "expiresAt"))
    assert answer == {
        "user": {"id": keystone.users[sina], "name": "sina", "domain": "Default"},
        "project": {"id": alpha, "name": "alpha", "domain": "Default"},
        "roles": ["member", "reader"],
        "projects": [
            {"id": alpha, "name": "alpha", "domainId": "default"},
            {"id": beta, "name": "beta", "domainId": "default"},
        ],
    }
    assert expires_at.endswith("Z")
    seen = await viewer(gateway, token)
    assert (seen["project"], seen["userName"]) == (alpha, "sina")
    assert sorted(seen["roles"]) == answer["roles"]
    # What other tokens are made from is good for nothing itself.
    assert (await viewer(gateway, root))["roles"] == []


async def test_another_project(gateway: httpx.AsyncClient, keystone: Keystone, sina: str) -> None:
    beta = keystone.projects["beta"]
    for project in ("beta", beta):
        answer = await sign_in(gateway, user=sina, password=PASSWORD, project=project)
        assert answer["project"]["id"] == beta
        assert answer["roles"] == ["reader"]
        assert (await viewer(gateway, answer["token"]))["project"] == beta


async def test_other_domains(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    domain = keystone.admin("POST", "/domains", {"domain": {"name": "Elsewhere"}})["domain"]["id"]
    given = {"name": "erin", "password": PASSWORD, "domain_id": domain}
    keystone.users["erin"] = keystone.admin("POST", "/users", {"user": given})["user"]["id"]
    given = {"name": "alpha", "domain_id": domain}
    made = keystone.admin("POST", "/projects", {"project": given})["project"]["id"]
    keystone.projects["alpha of Elsewhere"] = made
    keystone.grant("erin", "alpha of Elsewhere", "member")
    keystone.grant("erin", "alpha", "reader")

    erin = {"user": "erin", "password": PASSWORD}
    await sign_in(gateway, status=401, **erin)
    erin["domain"] = "Elsewhere"
    # A project's domain is the user's, unless it is named.
    answer = await sign_in(gateway, **erin, project="alpha")
    assert answer["project"] == {"id": made, "name": "alpha", "domain": "Elsewhere"}
    assert answer["user"]["domain"] == "Elsewhere"
    answer = await sign_in(gateway, **erin, project="alpha", projectDomain="Default")
    assert answer["project"]["id"] == keystone.projects["alpha"]


@pytest.mark.parametrize(
    "wrong",
    [{"password": "wrong"}, {"user": "nobody"}, {"domain": "Nowhere"}, {"user": "\U0001f511"}],
)
async def test_whom_keystone_does_not_know(
    gateway: httpx.AsyncClient, wrong: dict[str, str]
) -> None:
    given = {"user": "alice", "password": PASSWORD} | wrong
    for project in ({}, {"project": "alpha"}, {"project": "nowhere"}):
        refused = await sign_in(gateway, status=401, **given, **project)
        assert "has this password" in refused["description"]
        assert given["password"] not in refused["description"]


async def test_a_project_that_one_has_no_role_in(
    gateway: httpx.AsyncClient, keystone: Keystone
) -> None:
    # Whether it is there is nobody's business who has none.
    for project in ("beta", "nowhere", keystone.projects["beta"], "x" * 300):
        given = {"user": "alice", "password": PASSWORD, "project": project}
        refused = await sign_in(gateway, status=403, **given)
        shown = project if len(project) < 100 else project[:99]
        assert f"there is no project '{shown}" in refused["description"]
        assert "in which 'alice' has a role" in refused["description"]


async def test_without_a_default_project(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    user = add_user_without_default(keystone, "sole", "beta")
    answer = await sign_in(gateway, user=user, password=PASSWORD)
    assert answer["project"]["name"] == "beta"
    user = add_user_without_default(keystone, "several", "alpha", "beta")
    answer = await sign_in(gateway, user=user, password=PASSWORD)
    assert (answer["project"], answer["roles"]) == (None, [])
    assert [project["name"] for project in answer["projects"]] == ["alpha", "beta"]
    beta = keystone.projects["beta"]
    changed = await sign_in(gateway, answer["token"], project=beta)
    assert changed["project"]["id"] == beta
    user = add_user_without_default(keystone, "homeless")
    answer = await sign_in(gateway, user=user, password=PASSWORD)
    assert (answer["project"], answer["projects"]) == (None, [])


async def test_an_application_credential(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    made = keystone.credential("alice", "alpha")
    given = {"applicationCredentialId": made["id"], "applicationCredentialSecret": made["secret"]}
    answer = await sign_in(gateway, **given)
    alpha = keystone.projects["alpha"]
    assert answer["project"]["id"] == alpha
    assert answer["projects"] == [{"id": alpha, "name": "alpha", "domainId": "default"}]
    assert (await viewer(gateway, answer["token"]))["userName"] == "alice"
    refused = await sign_in(gateway, answer["token"], project=keystone.projects["beta"], status=403)
    assert "can't be changed" in refused["description"]
    for wrong in ({"applicationCredentialId": "0" * 32}, {"applicationCredentialSecret": "wrong"}):
        refused = await sign_in(gateway, status=401, **given | wrong)
        assert "has this secret" in refused["description"]


async def test_changing_the_project(
    gateway: httpx.AsyncClient, keystone: Keystone, sina: str
) -> None:
    first = await sign_in(gateway, user=sina, password=PASSWORD)
    alpha, beta = keystone.projects["alpha"], keystone.projects["beta"]
    second = await sign_in(gateway, first["root"], project=beta)
    assert second["token"] not in {first["token"], first["root"]}
    assert (second["root"], second["expiresAt"]) == (first["root"], first["expiresAt"])
    assert second["project"]["id"] == beta
    assert second["projects"] == first["projects"]
    service = keystone.projects["service"]
    refused = await sign_in(gateway, first["root"], project=service, status=403)
    assert f"can't be changed for '{service}'" in refused["description"]
    # The one before can be revoked on its own.
    assert (await sign_out(gateway, first["token"])).status_code == 204
    assert await viewer(gateway, first["token"]) is None
    assert (await viewer(gateway, second["token"]))["project"] == beta
    back = await sign_in(gateway, first["root"], project=alpha)
    assert (await viewer(gateway, back["token"]))["project"] == alpha
    # And with the root goes what was made from it.
    assert (await sign_out(gateway, back["token"])).status_code == 204
    assert (await sign_out(gateway, first["root"])).status_code == 204
    await sign_in(gateway, first["root"], status=401)
    await sign_in(gateway, second["token"], status=401)


async def test_whose_token_it_is(gateway: httpx.AsyncClient, keystone: Keystone, sina: str) -> None:
    token = keystone.token(sina, "beta")
    answer = await sign_in(gateway, token)
    assert answer["token"] == token
    assert answer["user"]["name"] == sina
    assert answer["project"]["name"] == "beta"
    assert len(answer["projects"]) == 2
    for wrong in ("nonsense", "gAAAAABrBG" + "x" * 173):
        refused = await sign_in(gateway, wrong, status=401)
        assert refused["description"] == "the token is not valid"
        await sign_in(gateway, wrong, project=keystone.projects["beta"], status=401)


async def test_signing_out(gateway: httpx.AsyncClient) -> None:
    token = (await sign_in(gateway, user="alice", password=PASSWORD))["token"]
    # The gateway believes it for minutes, but for that.
    assert await viewer(gateway, token)
    response = await sign_out(gateway, token)
    assert response.status_code == 204
    assert response.content == b""
    assert await viewer(gateway, token) is None
    assert (await sign_out(gateway, token)).status_code == 401


async def test_a_user_who_needs_more_than_a_password(
    gateway: httpx.AsyncClient, keystone: Keystone
) -> None:
    keystone.add_user("careful", "alpha", "member")
    options = {
        "multi_factor_auth_enabled": True,
        "multi_factor_auth_rules": [["password", "mapped"]],
    }
    user = {"user": {"options": options}}
    keystone.admin("PATCH", f"/users/{keystone.users['careful']}", user)
    refused = await sign_in(gateway, user="careful", password=PASSWORD, status=401)
    assert "more than a password" in refused["description"]


async def test_keystone_goes_away(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    token = (await sign_in(gateway, user="alice", password=PASSWORD))["token"]
    keystone.stop()
    try:
        for given in ({"user": "alice", "password": PASSWORD}, {}):
            response = await gateway.post(
                PATH, json=given, headers={} if given else {"X-Auth-Token": token}
            )
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            assert response.json().keys() == {"title", "description"}
        assert (await sign_out(gateway, token)).status_code == 503
    finally:
        keystone.start()
    await sign_in(gateway, user="alice", password=PASSWORD)
    assert (await sign_out(gateway, token)).status_code == 204


async def test_nothing_secret_is_logged(
    gateway: httpx.AsyncClient,
    keystone: Keystone,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    credential = keystone.credential("alice", "alpha")
    secrets = [PASSWORD, "a wrong password", credential["secret"]]
    answer = await sign_in(gateway, user="alice", password=PASSWORD)
    secrets += [answer["token"]]
    secrets += [(await sign_in(gateway, answer["token"]))["token"]]
    await sign_in(gateway, user="alice", password="a wrong password", status=401)  # noqa: S106
    await sign_in(
        gateway,
        applicationCredentialId=credential["id"],
        applicationCredentialSecret=credential["secret"],
    )
    keystone.stop()
    try:
        await sign_in(gateway, user="alice", password=PASSWORD, status=503)
        await sign_in(gateway, answer["token"], status=503)
    finally:
        keystone.start()
    printed = capfd.readouterr()
    everything = caplog.text + printed.out + printed.err
    assert "keystone unavailable" in everything
    for secret in secrets:
        assert secret not in everything
