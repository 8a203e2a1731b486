"""What REST and GraphQL answer to callers with tokens of a real Keystone."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from .gateways import in_this_process
from .keystone import Keystone

pytestmark = pytest.mark.anyio

JOB = {"description": "nightly", "job_actions": [], "job_schedule": {}}


@pytest.fixture(scope="module")
async def gateway(
    keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway that asks Keystone each time."""
    folder = tmp_path_factory.mktemp("gateway")
    async with in_this_process(keystone, folder, keystone_token_cache_time=0) as client:
        yield client


async def jobs(
    gateway: httpx.AsyncClient, token: str, project_id: str, method: str = "GET", **request: Any
) -> httpx.Response:
    return await gateway.request(
        method, f"/v2/{project_id}/jobs", headers={"X-Auth-Token": token}, **request
    )


async def graphql(
    gateway: httpx.AsyncClient, query: str, token: str = "", **headers: str
) -> httpx.Response:
    given = headers | ({"X-Auth-Token": token} if token else {})
    return await gateway.post("/graphql", json={"query": query}, headers=given)


@pytest.mark.parametrize("path", ["/", "/healthcheck"])
async def test_what_needs_no_token(gateway: httpx.AsyncClient, path: str) -> None:
    assert (await gateway.get(path)).status_code in {200, 300}


async def test_the_page_needs_no_token(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/graphql", headers={"Accept": "text/html"})
    # 404 and the like: it isn't built here. It is no secret in either case.
    assert answer.status_code not in {401, 403}


@pytest.mark.parametrize("path", ["/v2", "/v2/p/jobs", "/v2/p/backups/x", "/v2/p/nothing", "/x"])
@pytest.mark.parametrize("token", [None, "nonsense"])
async def test_who_is_nobody(
    gateway: httpx.AsyncClient, keystone: Keystone, path: str, token: str | None
) -> None:
    answer = await gateway.get(path, headers={"X-Auth-Token": token} if token else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.auth_url}"'
    assert answer.json().keys() == {"title", "description"}


async def test_who_is_nobody_in_graphql(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    for token in ("", "nonsense"):
        answer = await graphql(gateway, "{viewer{user}}", token)
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.auth_url}"'


async def test_projects_are_kept_apart(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    alpha, beta = keystone.projects["alpha"], keystone.projects["beta"]
    alice, bob = keystone.token("alice", "alpha"), keystone.token("bob", "beta")
    ada, nova = keystone.token("ada", "alpha"), keystone.token("nova", "service")
    rita = keystone.token("rita", "alpha")
    made = await jobs(gateway, alice, alpha, "POST", json=JOB)
    assert made.status_code == 201, made.text
    statuses = {
        (name, project_id, method): (
            await jobs(gateway, token, project_id, method, json=JOB if method == "POST" else None)
        ).status_code
        for name, token in {
            "alice": alice,
            "bob": bob,
            "rita": rita,
            "ada": ada,
            "nova": nova,
            "unscoped": keystone.token("alice"),
        }.items()
        for project_id in (alpha, beta)
        for method in ("GET", "POST")
    }
    assert statuses == {
        ("alice", alpha, "GET"): 200,
        ("alice", alpha, "POST"): 201,
        ("alice", beta, "GET"): 403,
        ("alice", beta, "POST"): 403,
        ("bob", alpha, "GET"): 403,
        ("bob", alpha, "POST"): 403,
        ("bob", beta, "GET"): 200,
        ("bob", beta, "POST"): 201,
        ("rita", alpha, "GET"): 200,
        ("rita", alpha, "POST"): 403,
        ("rita", beta, "GET"): 403,
        ("rita", beta, "POST"): 403,
        ("ada", alpha, "GET"): 200,
        ("ada", alpha, "POST"): 201,
        ("ada", beta, "GET"): 200,
        ("ada", beta, "POST"): 201,
        ("nova", alpha, "GET"): 200,
        ("nova", alpha, "POST"): 403,
        ("nova", beta, "GET"): 200,
        ("nova", beta, "POST"): 403,
        ("unscoped", alpha, "GET"): 403,
        ("unscoped", alpha, "POST"): 403,
        ("unscoped", beta, "GET"): 403,
        ("unscoped", beta, "POST"): 403,
    }

    listing = "{viewer{project user roles} jobs{totalCount}}"

    async def seen(token: str, **headers: str) -> tuple[str, int | None]:
        answer = await graphql(gateway, listing, token, **headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        if body.get("errors"):
            assert {error["extensions"]["code"] for error in body["errors"]} == {"FORBIDDEN"}
            return "", None
        return body["data"]["viewer"]["project"], body["data"]["jobs"]["totalCount"]

    assert await seen(alice) == (alpha, 3)
    assert await seen(rita) == (alpha, 3)
    assert await seen(bob) == (beta, 2)
    assert await seen(bob, **{"X-Project-Id": alpha}) == ("", None)
    assert await seen(ada, **{"X-Project-Id": beta}) == (beta, 2)
    assert await seen(nova, **{"X-Project-Id": beta}) == (beta, 2)
    assert await seen(keystone.token("alice")) == ("", None)


async def test_access_rules(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    alpha = keystone.projects["alpha"]
    rules = [
        {"service": "backup", "method": "GET", "path": f"/v2/{alpha}/jobs"},
        {"service": "backup", "method": "POST", "path": "/graphql"},
    ]
    token = keystone.credential_token(keystone.credential("alice", "alpha", rules))
    assert (await jobs(gateway, token, alpha)).status_code == 200
    assert (await jobs(gateway, token, alpha, "POST", json=JOB)).status_code == 401
    other = await gateway.get(f"/v2/{alpha}/actions", headers={"X-Auth-Token": token})
    assert other.status_code == 401
    answer = await graphql(gateway, "{viewer{project}}", token)
    assert answer.json() == {"data": {"viewer": {"project": alpha}}}
    by_get = await gateway.get(
        "/graphql", params={"query": "{viewer{project}}"}, headers={"X-Auth-Token": token}
    )
    assert by_get.status_code == 401


async def test_keystone_goes_away(gateway: httpx.AsyncClient, keystone: Keystone) -> None:
    alpha, alice = keystone.projects["alpha"], keystone.token("alice", "alpha")
    keystone.stop()
    try:
        answer = await jobs(gateway, alice, alpha)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json().keys() == {"title", "description"}
        answer = await graphql(gateway, "{viewer{user}}", alice)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert (await gateway.get("/healthcheck")).status_code == 200
    finally:
        keystone.start()
    assert (await jobs(gateway, alice, alpha)).status_code == 200
    assert (await graphql(gateway, "{viewer{user}}", alice)).status_code == 200
