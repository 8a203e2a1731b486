"""Operations whose time is over: they are cancelled with their SQL, and nothing of them is left."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import httpx
import pytest

from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio

SECONDS = 0.5
LIMITS = {
    "deadline": SECONDS,
    "write_deadline": SECONDS,
    # Nothing else ends what waits.
    "database_read_timeout": 600,
    "database_timeout": 600,
    "database_pool_size": 1,
}
PATIENCE = 60
TOLD = f"cancelled: it may take {SECONDS:g} s at most"

JOBS = "{ jobs { nodes { description } } }"
SEVERAL = "{ jobs { nodes { id } } clients { totalCount } more: jobs(first: 1) { totalCount } }"
REGISTER = 'mutation { it: registerClient(input: {clientId: "%s"}) { client { clientId } } }'

ENDLESS = """
ALTER TABLE jobs RENAME TO stored;
CREATE VIEW jobs AS WITH RECURSIVE numbers(number) AS
    (SELECT 1 UNION ALL SELECT number + 1 FROM numbers)
    SELECT stored.* FROM numbers CROSS JOIN stored;
"""
"""Makes a file whose jobs take for ever to read."""
USUAL = "DROP VIEW jobs; ALTER TABLE stored RENAME TO jobs;"
BUSY = """
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""


async def graphql(client: httpx.AsyncClient, query: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": query}, headers={"X-Project-Id": "p1"})


def told(answer: httpx.Response) -> None:
    """Check that an operation is said to have taken too long."""
    assert answer.status_code == 504, answer.text
    body = answer.json()
    if "errors" in body:
        (error,) = body["errors"]
        assert (error["message"], error["extensions"]["code"]) == (TOLD, "DEADLINE_EXCEEDED")
        assert not any((body.get("data") or {}).values())
    else:
        assert body == {"title": "Gateway Timeout", "description": TOLD}


def sqlite_file(url: str) -> sqlite3.Connection:
    return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)


@asynccontextmanager
async def unreadable_jobs(url: str) -> AsyncIterator[None]:
    """Let nobody come to an end of reading jobs, within the block."""
    if url.startswith("sqlite"):
        other = sqlite_file(url)
        other.executescript(ENDLESS)
        yield
        # Nobody reads any more, who would keep the table.
        other.executescript(USUAL)
        other.close()
    else:
        async with locked(url, "jobs", "ACCESS EXCLUSIVE"):
            yield


@asynccontextmanager
async def unwritable_clients(url: str, *, leaves_none: bool = True) -> AsyncIterator[None]:
    """Let nobody write clients, within the block."""
    if url.startswith("sqlite"):
        other = sqlite_file(url)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
    else:
        async with locked(url, "clients", "EXCLUSIVE", leaves_none=leaves_none):
            yield


@asynccontextmanager
async def locked(
    url: str, table: str, mode: str, *, leaves_none: bool = True
) -> AsyncIterator[None]:
    """Lock a table; in the end, nobody waits for it any more, or anybody."""
    other, onlooker = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with other.transaction():
            await other.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield
            # The server ends a statement a moment after it is asked to.
            async with asyncio.timeout(PATIENCE):
                while leaves_none and len(await onlooker.fetch(BUSY)) > 1:
                    pass
    finally:
        await other.close()
        await onlooker.close()


async def warm(client: httpx.AsyncClient) -> None:
    """Have everything done that is done once, which may take too long on a busy machine."""
    async with asyncio.timeout(PATIENCE):
        while (await graphql(client, SEVERAL)).status_code != 200:
            pass


async def same_tasks(before: set[Any]) -> None:
    """Return when no task is left but those that were there before."""
    async with asyncio.timeout(PATIENCE):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left)


async def test_a_read_that_takes_too_long(make_client: MakeClient, database_url: str) -> None:
    client = await make_client(**LIMITS)
    await warm(client)
    before = asyncio.all_tasks()
    async with unreadable_jobs(database_url):
        for answer in (
            await client.get("/v2/p1/jobs"),
            await graphql(client, JOBS),
            await graphql(client, SEVERAL),
            await client.get("/graphql", params={"query": JOBS}),
        ):
            told(answer)
        await same_tasks(before)
        # The only connection is free for other reads.
        assert (await client.get("/v2/p1/clients")).json() == {"clients": []}
    assert (await client.get("/v2/p1/jobs")).json() == {"jobs": []}


async def test_many_reads_at_once(make_client: MakeClient, database_url: str) -> None:
    client = await make_client(**LIMITS)
    await warm(client)
    before = asyncio.all_tasks()
    async with unreadable_jobs(database_url):
        # Most wait for the connection, or for their turn.
        for answer in await asyncio.gather(*(client.get("/v2/p1/jobs") for _ in range(30))):
            told(answer)
        await same_tasks(before)
    assert (await client.get("/v2/p1/jobs")).json() == {"jobs": []}


async def test_a_write_that_takes_too_long(make_client: MakeClient, database_url: str) -> None:
    client = await make_client(**LIMITS)
    await warm(client)
    before = asyncio.all_tasks()
    async with unwritable_clients(database_url):
        told(await client.post("/v2/p1/clients", json={"client_id": "rest"}))
        told(await graphql(client, REGISTER % "graphql"))
        await same_tasks(before)
        assert (await client.get("/v2/p1/clients")).json() == {"clients": []}
    # Nobody is left behind who would hold a lock, or write after all.
    assert (await client.post("/v2/p1/clients", json={"client_id": "c"})).status_code == 201
    assert [one["client"]["client_id"] for one in (await all_clients(client))] == ["c"]


async def all_clients(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/v2/p1/clients")).json()["clients"]
    return found


async def test_without_a_deadline(make_client: MakeClient, database_url: str) -> None:
    client = await make_client(**LIMITS | {"write_deadline": 0})
    async with unwritable_clients(database_url, leaves_none=False):
        writing = asyncio.create_task(client.post("/v2/p1/clients", json={"client_id": "c"}))
        told(await graphql(client, REGISTER % "other"))
        assert not writing.done()
    assert (await writing).status_code == 201


class Commits:
    """Commits of changed clients that take as long as the test says, on PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __aenter__(self) -> Self:
        """Begin to hold them up."""
        self.other = await asyncpg.connect(self.url)
        await self.other.execute("""
            CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON clients
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
        """)
        await self.other.execute("SELECT pg_advisory_lock(1)")
        return self

    async def one_waits(self) -> None:
        """Return when a transaction is being committed."""
        async with asyncio.timeout(PATIENCE):
            while "COMMIT" not in [row["query"] for row in await self.other.fetch(BUSY)]:
                pass

    async def go_on(self) -> None:
        """Let it end."""
        await self.other.execute("SELECT pg_advisory_unlock(1)")

    async def __aexit__(self, *_: object) -> None:
        """Hold up none any more."""
        await self.other.execute("DROP TRIGGER slow ON clients; DROP FUNCTION wait")
        await self.other.close()


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_commit_is_not_cancelled(
    make_client: MakeClient, database_url: str, surface: str
) -> None:
    client = await make_client(**LIMITS)
    async with Commits(database_url) as commits:
        writing = asyncio.create_task(
            client.post("/v2/p1/clients", json={"client_id": "c"})
            if surface == "rest"
            else graphql(client, REGISTER % "c")
        )
        await commits.one_waits()
        async with locked(database_url, "jobs", "ACCESS EXCLUSIVE"):
            reading = asyncio.create_task(client.get("/v2/p1/jobs"))
            # It began later, so that the write's time is over as well.
            told(await reading)
            assert not writing.done()
            await commits.go_on()
            answer = await writing
    if surface == "rest":
        assert answer.status_code == 201
    else:
        assert answer.status_code == 200
        (error,) = answer.json()["errors"]
        # There was no time left to read it.
        assert error["extensions"]["code"] == "NOT_READ_BACK"
        assert error["message"].startswith("the change was made")
        assert error["message"].endswith(TOLD)
    assert [one["client"]["client_id"] for one in (await all_clients(client))] == ["c"]


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
async def test_mutations_before_the_deadline_are_told_as_made(
    make_client: MakeClient, database_url: str
) -> None:
    client = await make_client(**LIMITS)
    one = '%s: registerClient(input: {clientId: "%s"}) { client { clientId } }'
    action = 'a: createAction(input: {actionId: "a", freezerAction: {}}) { action { actionId } }'
    async with locked(database_url, "clients", "EXCLUSIVE"):
        answer = await graphql(
            client, f"mutation {{ {action} {one % ('b', 'b')} {one % ('c', 'c')} }}"
        )
    assert answer.status_code == 200
    body = answer.json()
    assert body["data"] == {"a": {"action": {"actionId": "a"}}, "b": None, "c": None}
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [
        (["b"], "DEADLINE_EXCEEDED"),
        (["c"], "DEADLINE_EXCEEDED"),
    ]
    assert await all_clients(client) == []
