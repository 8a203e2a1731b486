"""A database server that is stopped: everybody is told in time, and all is well when it goes on."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Cluster, Postgres
from tests.support.outage import Cable

pytestmark = pytest.mark.anyio

BOUND = 1.0
"""The time limit of reads, in seconds."""
SLACK = 20
"""How much longer a busy machine may take for an answer; less than writes may take."""

UNKNOWN = "may have been made or not"
WRITE = 'mutation { registerClient(input: {clientId: "%s"}) { client { clientId } } }'

numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Cluster, str]]:
    """Return a server of these tests' own."""
    cluster = Cluster()
    with cluster as url:
        yield cluster, url
        cluster.signal(signal.SIGCONT)


async def make_database(url: str) -> str:
    made = await Postgres(url).create()
    database = Database(load(database_url=made))
    await migrations.upgrade(database)
    await database.close()
    return made


@pytest.fixture
async def url(cluster: tuple[Cluster, str]) -> str:
    """Return the URL of a database with tables on that server."""
    return await make_database(cluster[1])


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application on it."""
    async with opened(create_app(load(database_url=url, database_read_timeout=BOUND))) as client:
        yield client


def read(client: httpx.AsyncClient, number: int) -> asyncio.Task[httpx.Response]:
    queries = ("{ jobs { nodes { id } } }", "{ backups { totalCount } clients { totalCount } }")
    asked = (
        client.get("/v2/demo/clients")
        if number % 3 == 0
        else client.post("/graphql", json={"query": queries[number % 3 - 1]})
    )
    return asyncio.create_task(asked)


def write(client: httpx.AsyncClient, client_id: str) -> asyncio.Task[httpx.Response]:
    number = int(client_id.removeprefix("c"))
    asked = (
        client.post("/v2/demo/clients", json={"client_id": client_id})
        if number % 2
        else client.post("/graphql", json={"query": WRITE % client_id})
    )
    return asyncio.create_task(asked)


async def ask_30(client: httpx.AsyncClient) -> tuple[list[httpx.Response], dict[str, str]]:
    """Send 20 reads and 10 writes at once; return the answers, and the writes' by client."""
    reads = [read(client, number) for number in range(20)]
    writes = {name: write(client, name) for name in (f"c{next(numbers)}" for _ in range(10))}
    answers = await asyncio.gather(*reads, *writes.values())
    return answers, {name: task.result().text for name, task in writes.items()}


def statuses(answers: list[httpx.Response]) -> set[int]:
    return {answer.status_code for answer in answers}


async def test_30_requests_to_a_stopped_server(
    cluster: tuple[Cluster, str], url: str, client: httpx.AsyncClient
) -> None:
    server, _ = cluster
    answers, registered = await ask_30(client)
    assert statuses(answers) <= {200, 201}
    server.signal(signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    stopped = loop.time()
    async with asyncio.timeout(BOUND + SLACK):
        answers, refused = await ask_30(client)
    assert statuses(answers) == {503}
    assert all("Retry-After" in answer.headers for answer in answers)
    # Others are refused at once: they don't wait as long as the first did.
    async with asyncio.timeout(10 * (loop.time() - stopped)):
        for _ in range(10):
            answers, more = await ask_30(client)
            assert statuses(answers) == {503}
            refused |= more
    server.signal(signal.SIGCONT)
    async with asyncio.timeout(60):
        while (await client.get("/v2/demo/clients")).status_code != 200:
            pass
    answers, more = await ask_30(client)
    assert statuses(answers) <= {200, 201}
    # Who was told that nothing happened was told the truth, and nothing is left half done.
    connection = await asyncpg.connect(url)
    while await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state <> 'idle' AND pid <> pg_backend_pid()"
    ):
        pass
    found = {row["id"] for row in await connection.fetch("SELECT id FROM clients")}
    await connection.close()
    assert found >= registered.keys() | more.keys()
    assert {name for name in found & refused.keys() if UNKNOWN not in refused[name]} == set()


async def test_a_statement_that_is_slow_is_no_outage(url: str) -> None:
    app = create_app(load(database_url=url, database_read_timeout=BOUND))
    async with opened(app) as client:
        other = await asyncpg.connect(url)
        async with other.transaction():
            await other.execute("LOCK TABLE clients IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.create_task(client.get("/v2/demo/clients"))
            writing = asyncio.create_task(
                client.post("/v2/demo/clients", json={"client_id": "slow"})
            )
            # Reads have their time limit; writes wait for locks as long as `database_timeout`.
            assert (await waiting).status_code == 503
            assert not writing.done()
            assert (await client.get("/v2/demo/jobs")).status_code == 200
        assert (await writing).status_code == 201
        await other.close()


@pytest.mark.parametrize("arrives", [True, False])
async def test_with_a_key_a_commit_without_an_answer_is_repeated(
    postgres_url: str, *, arrives: bool
) -> None:
    url = await make_database(postgres_url)

    async def register(client: httpx.AsyncClient) -> httpx.Response:
        backup = {"backup_name": "n", "container": "c", "hostname": "h"}
        key = {"Idempotency-Key": "k"}
        return await client.post("/v2/demo/backups", json=backup, headers=key)

    async with Cable(url) as cable:
        app = create_app(load(database_url=cable.url, database_read_timeout=BOUND))
        async with opened(app) as client:
            assert (await client.get("/v2/demo/backups")).json() == {"backups": []}
            cable.jam_at(b"COMMIT", arrives=arrives)
            assert (await register(client)).status_code == 503
            await cable.cut()
        async with opened(create_app(load(database_url=url))) as client:
            repeat = await register(client)
            while repeat.status_code == 409:
                # The server has yet to notice that the first is gone.
                repeat = await register(client)
            assert repeat.status_code == 201
            stored = (await client.get("/v2/demo/backups")).json()["backups"]
            assert [one["backup_id"] for one in stored] == [repeat.json()["backup_id"]]
    await Postgres(postgres_url).drop(url)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_commit_without_an_answer(
    postgres_url: str, surface: str, *, arrives: bool
) -> None:
    url = await make_database(postgres_url)
    async with Cable(url) as cable:
        app = create_app(load(database_url=cable.url, database_read_timeout=BOUND))
        async with opened(app) as client:
            assert (await client.get("/v2/demo/clients")).json() == {"clients": []}
            cable.jam_at(b"COMMIT", arrives=arrives)
            if surface == "rest":
                answer = await client.post("/v2/demo/clients", json={"client_id": "maybe"})
                said = answer.json()["description"]
            else:
                answer = await client.post("/graphql", json={"query": WRITE % "maybe"})
                (error,) = answer.json()["errors"]
                assert error["extensions"]["code"] == "UNAVAILABLE"
                said = error["message"]
            assert answer.status_code == 503
            assert UNKNOWN in said
            await cable.cut()
            await cable.mend()
            while (found := await client.get("/v2/demo/clients")).status_code == 503:
                pass
            assert len(found.json()["clients"]) == arrives
    await Postgres(postgres_url).drop(url)
