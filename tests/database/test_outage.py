"""A database that dies gives 503, and the gateway serves again by itself when it is back."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.migrations import readiness
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Postgres
from tests.support.outage import Cable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty(postgres_url: str) -> AsyncIterator[str]:
    """Return the URL of a PostgreSQL database without tables."""
    server = Postgres(postgres_url)
    url = await server.create()
    yield url
    await server.drop(url)


@pytest.fixture
async def cable(empty: str) -> AsyncIterator[Cable]:
    """Return a cable to a database that has the tables."""
    await upgrade(empty)
    async with Cable(empty) as cable:
        yield cable


@pytest.fixture
async def client(cable: Cable) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application at the cable's near end."""
    async with opened(create_app(load(database_url=cable.url, database_timeout=3))) as client:
        yield client


async def upgrade(url: str) -> None:
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    await database.close()


async def answers(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Return what each way to use the database is answered with, the writing ones first."""
    mutation = 'mutation { registerClient(input: {clientId: "g"}) { client { clientId } } }'
    query = "{ clients { totalCount } }"
    return [
        await client.post("/v2/p/clients", json={"client_id": "h"}),
        await client.post("/graphql", json={"query": mutation}),
        await client.get("/v2/p/clients"),
        await client.post("/graphql", json={"query": query}),
    ]


async def serves(client: httpx.AsyncClient) -> bool:
    found = await answers(client)
    assert "errors" not in found[1].json()
    assert "errors" not in found[3].json()
    return [response.status_code for response in found] == [201, 200, 200, 200]


async def is_unavailable(client: httpx.AsyncClient) -> bool:
    found = await answers(client)
    assert [int(response.headers["Retry-After"]) > 0 for response in found] == [True] * 4
    assert found[0].json()["title"] == found[2].json()["title"] == "Service Unavailable"
    for response in (found[1], found[3]):
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "UNAVAILABLE"
    assert (await client.get("/healthcheck")).status_code == 200
    return [response.status_code for response in found] == [503] * 4


async def test_a_server_that_goes_and_comes_back(client: httpx.AsyncClient, cable: Cable) -> None:
    assert await serves(client)
    await cable.cut()
    assert await is_unavailable(client)
    await cable.mend()
    assert await serves(client)


async def test_a_restart_between_requests_is_not_noticed(
    client: httpx.AsyncClient, cable: Cable
) -> None:
    for _ in range(3):
        assert await serves(client)
        await cable.cut()
        await cable.mend()


async def test_a_server_that_hangs(client: httpx.AsyncClient, cable: Cable) -> None:
    assert await serves(client)
    cable.jam()
    began = time.monotonic()
    response = await client.get("/v2/p/clients")
    assert response.status_code == 503
    assert time.monotonic() - began < 15
    await cable.mend()
    assert await serves(client)


async def test_a_server_that_is_down_at_the_start(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "FAILURE_SECONDS", 0)
    await cable.cut()
    async with opened(create_app(load(database_url=cable.url))) as client:
        assert await is_unavailable(client)
        await cable.mend()
        assert await serves(client)


async def test_a_schema_that_is_not_there_yet(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FAILURE_SECONDS", 0)
    async with opened(create_app(load(database_url=empty))) as client:
        assert await is_unavailable(client)
        assert "freezer-gateway db upgrade" in (await client.get("/v2/p/jobs")).text
        await upgrade(empty)
        assert await serves(client)


@pytest.mark.parametrize("wrong", [{"username": "nobody"}, {"database": "nothing"}])
async def test_a_server_that_does_not_let_the_gateway_in(
    cable: Cable, wrong: dict[str, str]
) -> None:
    url = load(database_url=cable.url).database.set(**wrong)
    settings = load(database_url=url.render_as_string(hide_password=False))
    async with opened(create_app(settings)) as client:
        assert await is_unavailable(client)
