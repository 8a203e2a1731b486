"""Who is alive: the polls of schedulers, and nothing else."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa

from gateway.app import create_app
from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.tables import Client, columns
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.settings import Settings, load
from gateway.upkeep import heartbeats
from gateway.upkeep.heartbeats import Heartbeats
from gateway.upkeep.timer import Upkeep
from tests.support.apps import GraphQL, opened

pytestmark = pytest.mark.anyio

POLL: Mapping[str, Any] = {
    "match_not": [{"status": "completed"}],
    "match": [{"client_id": "host"}],
}
"""As freezerclient 6 sends it for freezer-scheduler 19."""
COMMAND: Mapping[str, Any] = {"match": [{"client_id": "host"}]}
"""As `freezer job-list -C host` has it."""
HOUR = 3600


async def register(client: httpx.AsyncClient, client_id: str = "host", project: str = "p1") -> None:
    """Register a client."""
    answer = await client.post(f"/v2/{project}/clients", json={"client_id": client_id})
    assert answer.status_code == 201, answer.text


async def ask(
    client: httpx.AsyncClient, search: Any, project: str = "p1", **headers: str
) -> httpx.Response:
    """Ask for jobs, as a scheduler does."""
    return await client.request(
        "GET",
        f"/v2/{project}/jobs/?limit=10&offset=0&all_projects=False",
        content=orjson.dumps(search),
        headers=headers,
    )


async def seen(database: Database) -> dict[tuple[str, str], int]:
    """Return the heartbeats in the database."""
    own = columns(ClientHeartbeat)
    rows = await database.rows(sa.select(own.project_id, own.client_id, own.seen_at))
    return {(row[0], row[1]): row[2] for row in rows}


async def revisions(database: Database) -> list[tuple[Any, ...]]:
    query = sa.text("SELECT project_id, revision FROM revisions ORDER BY project_id")
    async with database.transaction() as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def age(database: Database, seconds: int) -> None:
    """Have all heartbeats and registrations be as old as this."""
    own = columns(Client)
    moment = datetime.fromtimestamp(time.time() - seconds, UTC)
    async with database.write("p1") as transaction:
        await transaction.rows(sa.update(ClientHeartbeat).values(seen_at=int(moment.timestamp())))
        await transaction.rows(sa.update(Client).values({own.created_at: moment}))


async def test_a_poll_is_noted_and_written_by_the_time_of_the_stop(
    settings: Settings, database: Database
) -> None:
    async with opened(create_app(settings)) as client:
        await register(client)
        before = await revisions(database)
        assert (await ask(client, POLL)).status_code == 200
        assert await seen(database) == {}
    assert seen_lately(await seen(database))
    assert await revisions(database) == before


def seen_lately(found: Mapping[tuple[str, str], int]) -> bool:
    """Return True if the host alone was seen, and lately."""
    return found.keys() == {("p1", "host")} and abs(found["p1", "host"] - time.time()) < HOUR


async def test_a_poll_that_is_answered_304_is_one(settings: Settings, database: Database) -> None:
    async with opened(create_app(settings)) as client:
        await register(client)
        tag = (await ask(client, POLL)).headers["ETag"]
        client._transport.app.state.contexts.heartbeats.pending.clear()  # type: ignore[attr-defined]  # noqa: SLF001
        known = {"If-None-Match": tag}
        assert (await ask(client, POLL, **known)).status_code == 304
    assert seen_lately(await seen(database))


@pytest.mark.parametrize(
    "search",
    [
        COMMAND,
        {},
        {"match_not": [{"status": "completed"}]},
        {**POLL, "match": []},
        {**POLL, "match_not": [{"status": "running"}]},
        {**POLL, "match_not": [{"status": "completed", "event": "x"}]},
        {**POLL, "match": [{"client_id": "host"}, {"client_id": "other"}]},
        {**POLL, "match": [{"client_id": "host", "status": "running"}]},
        {**POLL, "match": [{"client_id": 5}]},
        {**POLL, "match": [{"client_id": "ho\0st"}]},
        {**POLL, "time_after": 5},
        [POLL],
        "poll",
    ],
)
async def test_nothing_else_is_a_poll(settings: Settings, database: Database, search: Any) -> None:
    async with opened(create_app(settings)) as client:
        await register(client)
        await ask(client, search)
        await client.get("/v2/p1/clients/host")
        await register(client)
    assert await seen(database) == {}


async def test_a_poll_of_a_client_that_is_not_the_project_s_is_none(
    settings: Settings, database: Database
) -> None:
    async with opened(create_app(settings)) as client:
        await register(client)
        await ask(client, POLL, project="p2")
        await ask(client, {**POLL, "match": [{"client_id": "nobody"}]})
    assert await seen(database) == {}


async def test_several_processes_write_the_latest(database: Database, graphql: GraphQL) -> None:
    query = "mutation($id: String!) { registerClient(input: {clientId: $id}) { client { id } } }"
    for name in ("one", "two"):
        assert "errors" not in await graphql(query, {"id": name}, project="p1")
    first, second = Heartbeats(database), Heartbeats(database)
    first.pending |= {("p1", "one"): 2000, ("p1", "two"): 1000}
    second.pending |= {("p1", "one"): 1000, ("p1", "two"): 2000}
    await first.write()
    await second.write()
    assert await seen(database) == {("p1", "one"): 2000, ("p1", "two"): 2000}
    assert first.pending == {}


async def test_a_client_that_is_deleted_takes_its_heartbeat_along(
    settings: Settings, database: Database
) -> None:
    async with opened(create_app(settings)) as client:
        await register(client)
        await ask(client, POLL)
        await client._transport.app.state.contexts.heartbeats.write()  # type: ignore[attr-defined]  # noqa: SLF001
        assert await seen(database)
        assert (await client.delete("/v2/p1/clients/host")).status_code == 204
    assert await seen(database) == {}


async def test_a_dead_database_loses_no_heartbeat_and_keeps_memory_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = Database(load(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    monkeypatch.setattr(heartbeats, "MAX_PENDING", 3)
    noted = Heartbeats(dead)
    for number in range(5):
        noted.note("p1", f"host{number}")
    with pytest.raises(Unavailable):
        await noted.write()
    noted.note("p1", "late")
    assert noted.pending.keys() == {("p1", f"host{number}") for number in range(3)}
    upkeep = Upkeep(dead, load())
    upkeep.heartbeats.note("p1", "host")
    async with upkeep.running():
        pass
    assert len(upkeep.heartbeats.pending) == 1
    await dead.close()


async def test_silence(settings: Settings, database: Database) -> None:
    query = """query($of: DateTime) {
      silent: clients(where: {isSilent: {eq: true}}) { nodes { clientId } }
      seen: clients(where: {lastSeenAt: {isNull: false}}) { nodes { clientId } }
      byTime: clients(orderBy: {field: LAST_SEEN_AT, direction: DESC}) { nodes { clientId } }
      bySilence: clients(orderBy: {field: IS_SILENT, direction: DESC}) {
        nodes { clientId isSilent lastSeenAt atThatTime: isSilent(asOf: $of) }
      }
    }"""

    async with opened(create_app(settings)) as client:

        async def shown(of: datetime | None = None) -> dict[str, Any]:
            sent = {"query": query, "variables": {"of": of and of.isoformat()}}
            answer = await client.post("/graphql", json=sent, headers={"X-Project-Id": "p1"})
            assert "errors" not in answer.json(), answer.text
            found: dict[str, Any] = answer.json()["data"]
            return found

        for name in ("ahost", "host"):
            await register(client, name)
        assert (await shown())["silent"]["nodes"] == []
        await ask(client, POLL)
        noted = client._transport.app.state.contexts.heartbeats  # type: ignore[attr-defined]  # noqa: SLF001
        await noted.write()
        await age(database, HOUR)
        assert len((await shown())["silent"]["nodes"]) == 2
        await ask(client, POLL)
        await noted.write()
        found = await shown(datetime.now(UTC).replace(year=2100))
    assert found["silent"]["nodes"] == [{"clientId": "ahost"}]
    assert found["seen"]["nodes"] == [{"clientId": "host"}]
    assert [node["clientId"] for node in found["byTime"]["nodes"]] == ["host", "ahost"]
    silent, alive = found["bySilence"]["nodes"]
    assert (silent["clientId"], silent["isSilent"], silent["lastSeenAt"]) == ("ahost", True, None)
    assert (alive["clientId"], alive["isSilent"], alive["atThatTime"]) == ("host", False, True)
    assert abs(datetime.fromisoformat(alive["lastSeenAt"]).timestamp() - time.time()) < HOUR
