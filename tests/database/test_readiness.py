"""A database that isn't ready at the start: who waits for it, and who needn't."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.migrations.readiness import FAILURE_SECONDS, SchemaReadiness
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Postgres
from tests.support.outage import Cable

pytestmark = pytest.mark.anyio

GRAPHQL_JSON = "application/graphql-response+json, application/json, application/json-home"


@pytest.fixture
async def cable(postgres_url: str) -> AsyncIterator[Cable]:
    """Return a cable, through which nothing comes, to a database that has the tables."""
    server = Postgres(postgres_url)
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    await database.close()
    async with Cable(url) as cable:
        cable.jam()
        yield cable
    await server.drop(url)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait five seconds for a connection."""
    monkeypatch.setattr("gateway.db.database.CONNECT_SECONDS", 0.2)


async def test_one_check_for_all_and_its_failure_is_remembered(cable: Cable) -> None:
    database = Database(load(database_url=cable.url))
    now = 1000.0
    SchemaReadiness(database, lambda: now)
    query = sa.select(sa.literal(1))

    async def ask(count: int) -> list[object]:
        asked = (database.scalar(query) for _ in range(count))
        return await asyncio.gather(*asked, return_exceptions=True)

    async def write() -> None:
        async with database.write("p"):
            raise AssertionError

    assert {type(answer) for answer in await ask(10)} == {Unavailable}
    assert cable.accepted == 1
    # Remembered, by reads and writes alike.
    assert {type(answer) for answer in await ask(10)} == {Unavailable}
    with pytest.raises(Unavailable):
        await write()
    assert cable.accepted == 1
    now += FAILURE_SECONDS
    assert {type(answer) for answer in await ask(10)} == {Unavailable}
    assert cable.accepted == 2
    now += FAILURE_SECONDS
    await cable.mend()
    assert await ask(10) == [1] * 10
    await database.close()


async def test_who_gives_up_waiting_takes_the_check_from_nobody(cable: Cable) -> None:
    database = Database(load(database_url=cable.url))
    readiness = SchemaReadiness(database)
    first, second = (asyncio.create_task(readiness.require()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await cable.mend()
    await second
    assert first.cancelled()
    assert cable.accepted == 1
    await database.close()


async def test_what_needs_no_database_is_answered_without_one(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.migrations.readiness.FAILURE_SECONDS", 0)
    monkeypatch.setattr("gateway.app.PROJECTS_SECONDS", 0.01)
    async with opened(create_app(load(database_url=cable.url))) as client:
        at_start = cable.accepted
        for path, status in (
            ("/", 300),
            ("/healthcheck", 200),
            ("/v2", 200),
            ("/v2/", 200),
            ("/nothing", 404),
            ("/v2/p/nothing", 404),
            ("/v2/p/jobs/1/nothing", 404),
            ("/graphql?query={__typename}", 200),
            ("/graphql?query={__schema{types{name}}}", 200),
            ("/graphql?query={nothing}", 400),
        ):
            answer = await client.get(path, headers={"Accept": GRAPHQL_JSON})
            assert answer.status_code == status, path
        assert (await client.post("/v2/p/jobs", json=[])).status_code == 400
        assert (await client.delete("/v2/p/jobs")).status_code == 405
        assert cable.accepted == at_start
        page = await client.get("/graphql", headers={"Accept": "text/html"})
        assert "<!doctype html>" in page.text.lower()
        assert (await client.get("/v2/p/jobs")).status_code == 503
        await cable.mend()
        assert (await client.get("/v2/p/jobs")).status_code == 200
