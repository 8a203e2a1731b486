"""Clients that hang up, on real sockets: their reads are cancelled, and their writes are not."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from gateway import migrations
from gateway.db.database import Database
from gateway.settings import load
from tests.support.databases import Postgres
from tests.support.live import LiveGateway, live
from tests.support.raw_http import Connection, raw

pytestmark = pytest.mark.anyio

PATIENCE = 60
# Nothing else ends what waits.
PATIENT = {"deadline": "0", "database_read_timeout": "600", "database_timeout": "600"}

HEADERS = "HTTP/1.1\nHost: localhost\nX-Project-Id: p1\nContent-Type: application/json"
JOBS = {"query": "{ jobs { nodes { id } } clients { totalCount } }"}
REGISTER = {"query": 'mutation { registerClient(input: {clientId: "c"}) { client { id } } }'}


def post(path: str, document: Any) -> bytes:
    return raw(f"POST {path} {HEADERS}", json.dumps(document).encode())


LIST = raw(f"GET /v2/p1/jobs {HEADERS}")
READS = {"REST": LIST, "GraphQL": post("/graphql", JOBS)}
WRITES = {
    "REST": post("/v2/p1/clients", {"client_id": "c"}),
    "GraphQL": post("/graphql", REGISTER),
}
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'
"""


def abandoned(gateway: LiveGateway) -> list[Any]:
    """Return the paths of the requests of which the log says that the client was gone."""
    whole, _, _ = gateway.log.read_text().rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line for line in lines if line["level"] == "error"] == []
    return [line["path"] for line in lines if line.get("status") == 499]


@pytest.fixture(scope="module")
async def url(postgres_url: str) -> AsyncIterator[str]:
    """Return the URL of a PostgreSQL database with tables."""
    made = await Postgres(postgres_url).create()
    database = Database(load(database_url=made))
    await migrations.upgrade(database)
    await database.close()
    yield made
    await Postgres(postgres_url).drop(made)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[LiveGateway]:
    """Return a gateway on it."""
    folder = tmp_path_factory.mktemp("hang-ups")
    with live(folder, sample_data=False, database_url=url, **PATIENT) as gateway:
        yield gateway


@pytest.fixture
async def onlooker(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection that sees who waits."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection that others wait for."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def until_waiting(onlooker: asyncpg.Connection, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await onlooker.fetchval(WAITING) != number:
            pass


@pytest.mark.parametrize("surface", READS)
async def test_a_read_is_cancelled_on_the_server(
    gateway: LiveGateway, onlooker: asyncpg.Connection, other: asyncpg.Connection, surface: str
) -> None:
    before = abandoned(gateway)
    async with other.transaction():
        await other.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with Connection(gateway.url) as leaving, Connection(gateway.url) as staying:
            leaving.send(READS[surface])
            await until_waiting(onlooker, 1)
            staying.send(LIST)
            await until_waiting(onlooker, 2)
            # While the lock is held: nothing but the hang-up ends the statement.
            leaving.__exit__(None, None, None)
            await until_waiting(onlooker, 1)
            await other.execute("COMMIT; BEGIN")
            assert staying.read().body == b'{"jobs":[]}'
    assert len(abandoned(gateway)) == len(before) + 1


@pytest.mark.parametrize("surface", WRITES)
async def test_a_write_is_completed(
    gateway: LiveGateway, onlooker: asyncpg.Connection, other: asyncpg.Connection, surface: str
) -> None:
    await other.execute("DELETE FROM clients")
    async with other.transaction():
        await other.execute("LOCK TABLE clients IN EXCLUSIVE MODE")
        with Connection(gateway.url) as writing:
            writing.send(WRITES[surface])
            await until_waiting(onlooker, 1)
        # This one comes later, and the gateway sees both hang-ups before the lock is gone.
        with Connection(gateway.url) as reading:
            await other.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            reading.send(LIST)
            await until_waiting(onlooker, 2)
        await until_waiting(onlooker, 1)
    async with asyncio.timeout(PATIENCE):
        while await onlooker.fetchval("SELECT count(*) FROM clients WHERE id = 'c'") == 0:
            pass


ENDLESS = """
ALTER TABLE jobs RENAME TO stored;
CREATE VIEW jobs AS WITH RECURSIVE numbers(number) AS
    (SELECT 1 UNION ALL SELECT number + 1 FROM numbers)
    SELECT stored.* FROM numbers CROSS JOIN stored;
"""


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until


def test_a_read_of_a_file_is_interrupted(tmp_path: Path) -> None:
    only_one = {"max_running_requests": "1", "max_waiting_requests": "0", "waiting_writes": "0"}
    with live(tmp_path, sample_data=False, **PATIENT, **only_one) as gateway:

        def others_are_served() -> bool:
            return httpx.get(f"{gateway.url}/v2/p1/clients").status_code == httpx.codes.OK

        assert others_are_served()
        with sqlite3.connect(tmp_path / "live.sqlite3") as file:
            file.executescript(ENDLESS)
        for number, request in enumerate(READS.values()):
            with Connection(gateway.url) as connection:
                connection.send(request)
                wait_until(lambda: not others_are_served())
            # Its thread has ended as well, before its place is free.
            wait_until(others_are_served)
            assert len(abandoned(gateway)) == number + 1
        file.close()
