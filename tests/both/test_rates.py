"""Rate limits: who is charged for what on both surfaces, who is refused, and who never is."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from gateway.rates import costs
from gateway.rest_compat.routes import ROUTES
from gateway.settings import load
from tests.support.apps import MakeClient
from tests.support.databases import Sqlite
from tests.support.rates import Clock, limited

pytestmark = pytest.mark.anyio

MakeLimited = Callable[..., Any]

CAPACITY = 400
FEW = {"rate_limit_user": 10, "rate_limit_project": 10, "rate_limit_burst": 40}
QUERY = "{ jobs(first: 100) { nodes { id } } }"
REGISTER = 'mutation { registerClient(input: {clientId: "g"}) { client { clientId } } }'
LEFT = "X-RateLimit-Remaining"


@pytest.fixture
def clock() -> Clock:
    """Return the time that points are restored by."""
    return Clock()


@pytest.fixture
async def make_limited(database_url: str, clock: Clock) -> AsyncIterator[MakeLimited]:
    """Return a function that makes a client of an application with other rates."""
    async with AsyncExitStack() as stack:

        async def make(**given: object) -> httpx.AsyncClient:
            return await stack.enter_async_context(limited(database_url, clock, **FEW | given))

        yield make


async def ask(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": query}, headers=headers)


async def page(client: httpx.AsyncClient, surface: str, **headers: str) -> httpx.Response:
    """Ask for a page of 100 jobs."""
    if surface == "graphql":
        return await ask(client, QUERY, **headers)
    return await client.get("/v2/p1/jobs?limit=100", headers=headers)


async def spend(client: httpx.AsyncClient) -> None:
    """Spend all that there is."""
    while (await page(client, "rest")).status_code == 200:
        pass
    while (await client.get("/v2/p1/jobs?limit=1")).status_code == 200:
        pass


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_who_has_spent_everything_is_refused_until_it_is_restored(
    make_limited: MakeLimited, clock: Clock, surface: str
) -> None:
    client = await make_limited()
    for left in (300, 200, 100, 0):
        response = await page(client, surface)
        assert response.status_code == 200
        assert response.headers["X-RateLimit-Limit"] == str(CAPACITY)
        assert response.headers[LEFT] == str(left)
        assert response.headers["X-RateLimit-Reset"] == str((CAPACITY - left) // 10)
    clock.now += 2.5
    for _ in range(2):
        response = await page(client, surface)
        assert response.status_code == 429
        # 25 points are there, and 75 are missing: eight seconds.
        assert response.headers["Retry-After"] == "8"
        assert response.headers[LEFT] == "25"
    body = response.json()
    if surface == "rest":
        assert body["title"] == "Too Many Requests"
        message = body["description"]
    else:
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert "data" not in body
        message = error["message"]
    assert "costs 100 points, you have 25 left" in message
    assert "try again in 8 s" in message
    clock.now += int(response.headers["Retry-After"])
    assert (await page(client, surface)).status_code == 200


async def test_both_surfaces_spend_the_same_points(make_limited: MakeLimited) -> None:
    client = await make_limited()
    for surface, left in (("rest", 300), ("graphql", 200), ("rest", 100), ("graphql", 0)):
        assert (await page(client, surface)).headers[LEFT] == str(left)
    for surface in ("rest", "graphql"):
        assert (await page(client, surface)).status_code == 429


async def test_another_user_of_the_project_has_points_of_their_own(
    make_limited: MakeLimited,
) -> None:
    client = await make_limited(rate_limit_project=20)
    await spend(client)
    bob = {"X-Auth-Token": "bob@p1"}
    for left in (300, 200, 100, 0):
        response = await page(client, "rest", **bob)
        assert (response.status_code, response.headers[LEFT]) == (200, str(left))
    # Now the project has none left for anybody.
    carol = await page(client, "graphql", **{"X-Auth-Token": "carol@p1"})
    assert carol.status_code == 429
    assert "your project has 0 left, and gets 20 a second" in carol.text
    for surface in ("rest", "graphql"):
        other = await page(client, surface, **{"X-Auth-Token": "alice@p2"})
        assert other.status_code == 200


async def test_nobody_spends_the_points_of_another_project(make_limited: MakeLimited) -> None:
    client = await make_limited()
    mallory = {"X-Auth-Token": "mallory@p2"}
    while (await client.get("/v2/p1/jobs", headers=mallory)).status_code == 200:
        pass
    await ask(client, QUERY, **mallory, **{"X-Project-Id": "p1"})
    response = await page(client, "rest")
    assert (response.status_code, response.headers[LEFT]) == (200, str(CAPACITY - 100))


async def test_a_token_without_a_project_is_charged_to_its_user(make_limited: MakeLimited) -> None:
    client = await make_limited()
    unscoped = {"X-Auth-Token": "alice"}
    answers = [await ask(client, "{ __schema { description } }", **unscoped) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert (await ask(client, "{ viewer { user } }", **{"X-Auth-Token": "bob"})).status_code == 200


WRITES: Sequence[tuple[str, str]] = [
    (method, path) for path, method, *_ in ROUTES if method not in {"GET", "HEAD"}
]


async def test_v2_writes_are_charged_and_never_refused(make_limited: MakeLimited) -> None:
    client = await make_limited()
    response = await client.post("/v2/p1/clients", json={"client_id": "h"})
    assert response.status_code == 201
    assert response.headers[LEFT] == str(CAPACITY - costs.WRITE)
    await spend(client)
    response = await client.post("/v2/p1/clients", json={"client_id": "i"})
    assert response.status_code == 201
    assert WRITES
    for method, path in WRITES * 2:
        address = f"/v2/p1{path}".replace("{id}", "x").replace("{job_id}", "y")
        response = await client.request(method, address, json={})
        assert response.status_code not in {429, 500}, (method, path)
        assert response.headers[LEFT] == "0"
    assert (await page(client, "rest")).status_code == 429
    # Those of GraphQL are refused, before anything is written.
    assert (await ask(client, REGISTER)).status_code == 429


async def test_writes_leave_no_debt(make_limited: MakeLimited, clock: Clock) -> None:
    client = await make_limited()
    for _ in range(2 * CAPACITY // costs.WRITE):
        await client.delete("/v2/p1/jobs/absent")
    clock.now += 10
    assert (await page(client, "rest")).status_code == 200


@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/v2/p1/jobs?limit=7", 7),
        ("/v2/p1/backups", 100),
        ("/v2/p1/clients?limit=5000", 1000),
        ('/v2/p1/jobs?limit=7&search={"match":[{"client_id":"h"}]}', 7 + costs.SCAN),
        ("/v2/p1/jobs?limit=7&all_projects=true", 7),
        ("/v2/p1/jobs/absent", 1),
        ("/v2/p1/sessions?limit=none", 0),
        ("/v2/p1/jobs?limit=7&search={", 0),
    ],
)
async def test_a_v2_read_costs_its_length(make_limited: MakeLimited, path: str, cost: int) -> None:
    client = await make_limited(rate_limit_user=100, rate_limit_project=100)
    for method in ("GET", "HEAD"):
        before = int((await client.get("/v2/p1/jobs/absent")).headers[LEFT])
        response = await client.request(method, path)
        assert before - int(response.headers[LEFT]) == cost, (method, response.text)


async def test_a_list_that_has_not_changed_costs_a_point(make_limited: MakeLimited) -> None:
    client = await make_limited()
    tag = (await client.get("/v2/p1/jobs")).headers["ETag"]
    response = await client.get("/v2/p1/jobs", headers={"If-None-Match": tag})
    assert (response.status_code, response.headers[LEFT]) == (304, str(CAPACITY - 101))
    response = await client.get("/v2/p1/jobs", headers={"If-None-Match": '"another"'})
    assert (response.status_code, response.headers[LEFT]) == (200, str(CAPACITY - 202))


async def test_a_request_that_costs_more_than_a_bucket_holds_costs_all_of_it(
    make_limited: MakeLimited, clock: Clock
) -> None:
    client = await make_limited()
    response = await client.get("/v2/p1/jobs?limit=1000")
    assert (response.status_code, response.headers[LEFT]) == (200, "0")
    clock.now += 39
    assert (await client.get("/v2/p1/jobs?limit=1000")).status_code == 429
    clock.now += 1
    assert (await client.get("/v2/p1/jobs?limit=1000")).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["{", "{ nothing }", "{ jobs(first: 100000) { nodes { id } } }", "query A { viewer { user } }"],
)
async def test_a_document_that_cannot_be_run_is_charged_and_read_no_more_when_nothing_is_left(
    make_limited: MakeLimited, query: str
) -> None:
    client = await make_limited()

    async def send() -> httpx.Response:
        given = {"query": query, "operationName": "B"}
        return await client.post("/graphql", json=given)

    assert (await send()).headers[LEFT] == str(CAPACITY - costs.REFUSED)
    await spend(client)
    assert (await send()).status_code == 429


async def test_every_answer_to_a_caller_tells_what_is_left(make_limited: MakeLimited) -> None:
    client = await make_limited(cors_origins=("https://dash.example",))
    paths = ["/v2/p1/jobs/absent", "/v2/p1/jobs?limit=x", "/v2/p1/jobs"]
    for path in paths:
        response = await client.get(path, headers={"Origin": "https://dash.example"})
        assert LEFT in response.headers
        assert LEFT in response.headers["Access-Control-Expose-Headers"]
    nobody = await client.get("/v2/p1/jobs", headers={"X-Auth-Token": ""})
    assert nobody.status_code == 401
    assert LEFT not in nobody.headers


async def test_without_authentication_nobody_is_charged(
    client: httpx.AsyncClient, make_client: MakeClient
) -> None:
    for surface in ("rest", "graphql"):
        response = await page(client, surface)
        assert response.status_code == 200
        assert LEFT not in response.headers
        assert LEFT in (await page(await make_client(rate_limit="on"), surface)).headers


def test_with_keystone_everybody_is_charged() -> None:
    keystone = {
        "auth": "keystone",
        "keystone_auth_url": "https://keystone.example/v3",
        "keystone_username": "gateway",
        "keystone_password": "secret",
    }
    assert load(**keystone).has_rate_limits
    assert not load(**keystone, rate_limit="off").has_rate_limits
    assert not load().has_rate_limits


JOBS, POLL_PAGE, RUNS_A_MINUTE = 1000, 10, 200
POLL: Mapping[str, Any] = {
    "match_not": [{"status": "completed"}],
    "match": [{"client_id": "host"}],
}
"""As freezer-scheduler sends it, in the body of a GET."""


async def test_default_rates_never_refuse_a_scheduler_with_a_thousand_jobs(
    sqlite: Sqlite, sqlite_template: str, clock: Clock
) -> None:
    """It registers, schedules its jobs, and polls every minute; each job runs every five minutes.

    The requests of a minute come all at once.
    """
    async with limited(await sqlite.create(sqlite_template), clock) as client:

        async def send(method: str, path: str, **body: Any) -> httpx.Response:
            response = await client.request(method, f"/v2/p1/{path}", **body)
            assert response.status_code != 429, (method, path)
            return response

        async def poll() -> None:
            # A last page is empty.
            for offset in range(0, JOBS + POLL_PAGE, POLL_PAGE):
                await send("GET", f"jobs/?limit={POLL_PAGE}&offset={offset}", json=POLL)

        async def change(job: int) -> None:
            await send("PATCH", f"jobs/{job}", json={"job_schedule": {"status": "scheduled"}})

        await send("POST", "clients/", json={"client_id": "host"})
        await poll()
        for job in range(JOBS):
            await change(job)
        for _ in range(2):
            clock.now += 60
            # Whatever it did a minute ago is restored, so that it may go on for ever.
            response = await send("GET", "jobs/absent")
            assert int(response.headers[LEFT]) >= int(response.headers["X-RateLimit-Limit"]) - 1
            await poll()
            for job in range(RUNS_A_MINUTE):
                for _ in range(4):
                    await change(job)
                await send("POST", "backups/", json={})
