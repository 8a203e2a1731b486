"""Buckets in the database: shared by processes, overspent by a slice at most, and dispensable."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import httpx
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from gateway import migrations
from gateway.db.database import Database
from gateway.rates.buckets import OUTAGE_SECONDS, SLICES
from gateway.rates.store import BucketStore
from gateway.settings import load
from tests.support.databases import Postgres
from tests.support.outage import Cable
from tests.support.rates import NOW, Clock, limited
from tests.support.spender import CAPACITY

pytestmark = pytest.mark.anyio

SLICE = CAPACITY // SLICES
EVENTS = {"rate limits are suspended", "rate limits are back"}


class Spender:
    """A process that spends points."""

    def __init__(self, asks: IO[str], answers: IO[str]) -> None:
        """Take the process's standard input and output."""
        self.asks, self.answers = asks, answers

    def ask(self, now: float, requests: int) -> None:
        """Have it make so many requests at this time."""
        self.asks.write(f"{now} {requests}\n")
        self.asks.flush()

    def admitted(self) -> int:
        """Return how many of the requests were admitted."""
        return int(self.answers.readline())


@contextmanager
def spending(url: str) -> Iterator[Spender]:
    """Run a process that spends points."""
    command = [sys.executable, "-m", "tests.support.spender", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield Spender(process.stdin, process.stdout)
        process.stdin.close()


async def test_two_processes_overspend_a_bucket_by_a_slice_each_at_most(database_url: str) -> None:
    with ExitStack() as stack:
        spenders = [stack.enter_context(spending(database_url)) for _ in range(2)]

        def spend(now: float, requests: int) -> int:
            # Both at once.
            for spender in spenders:
                spender.ask(now, requests)
            return sum(spender.admitted() for spender in spenders)

        # Each leases a slice, of which it spends one point.
        assert spend(NOW, 1) == 2
        # An hour later the bucket is full again, and the rests of the slices are still leased.
        rests = 2 * (SLICE - 1)
        spent = spend(NOW + 3600, CAPACITY)
        assert CAPACITY <= spent <= CAPACITY + rests
        # Whatever order the processes ask in, time restores what it should, and no more.
        spent += sum(spend(NOW + 3600 + seconds, CAPACITY) for seconds in range(1, 11))
        assert CAPACITY + 100 - 2 * SLICE <= spent <= CAPACITY + rests + 100


async def test_a_lease_takes_what_there_is(database: Database) -> None:
    clock = Clock()
    store = BucketStore(database, clock)
    assert await store.lease(("p1", "a"), 30, 100, 10) == (30, 70)
    assert await store.lease(("p1", "b"), 30.5, 100, 10) == (30.5, 69.5)
    assert await store.lease(("p1", "a"), 100, 100, 10) == (70, 0)
    assert await store.lease(("p1", "a"), 1, 100, 10) == (0, 0)
    clock.now += 2.5
    assert await store.lease(("p1", "a"), 20, 100, 10) == (20, 5)
    clock.now -= 3600
    assert await store.lease(("p1", "a"), 20, 100, 10) == (5, 0)
    clock.now += 10**9
    assert await store.lease(("p1", "a"), 20, 100, 10) == (20, 80)
    # A bucket that has become smaller holds no more than that.
    assert await store.lease(("p1", "a"), 20, 50, 10) == (20, 30)


async def test_buckets_that_are_full_again_are_forgotten(database: Database) -> None:
    clock = Clock()
    store = BucketStore(database, clock)
    await store.lease(("p1", "a"), 30, 100, 10)
    clock.now += 43_200
    await store.lease(("p1", "b"), 30, 100, 10)
    clock.now += 43_201
    assert await store.forget() == 1
    assert await store.lease(("p1", "a"), 10, 100, 10) == (10, 90)
    assert await BucketStore(database).forget() == 2


async def test_time_is_the_databases_own(database: Database) -> None:
    store = BucketStore(database)
    assert await store.lease(("p1", "a"), 1000, 1000, 1_000_000) == (1000, 0)
    leased = 0.0
    while leased < 500:
        got, left = await store.lease(("p1", "a"), 1000, 1000, 1_000_000)
        assert 0 <= got + left <= 1000
        leased += got


async def test_buckets_that_cannot_be_reached_refuse_nobody(
    database_url: str, database: Database
) -> None:
    clock = Clock()
    few = {"rate_limit_user": 1, "rate_limit_project": 1, "rate_limit_burst": 100}
    async with limited(database_url, clock, **few) as client:
        async with database.transaction() as connection:
            await connection.execute(sa.text("ALTER TABLE rate_buckets RENAME TO elsewhere"))
        with capture_logs() as logs:
            for _ in range(3):
                for _ in range(3):
                    assert (await client.get("/v2/p1/jobs?limit=100")).status_code == 200
                clock.now += OUTAGE_SECONDS
        found = [line["event"] for line in logs if line["event"] in EVENTS]
        assert found == ["rate limits are suspended"]
        async with database.transaction() as connection:
            await connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO rate_buckets"))
        with capture_logs() as logs:
            assert (await client.get("/v2/p1/jobs?limit=100")).status_code == 200
            assert (await client.get("/v2/p1/jobs?limit=100")).status_code == 429
        found = [line["event"] for line in logs if line["event"] in EVENTS]
        assert found == ["rate limits are back"]


@pytest.fixture
async def cable(postgres_url: str) -> AsyncIterator[Cable]:
    """Return a cable to a PostgreSQL database that has the tables."""
    server = Postgres(postgres_url)
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    await database.close()
    async with Cable(url) as cable:
        yield cable
    await server.drop(url)


async def test_a_database_that_goes_away_is_unavailable_and_refuses_nobody(cable: Cable) -> None:
    async def statuses(client: httpx.AsyncClient) -> set[int]:
        query = {"query": "{ jobs(first: 100) { nodes { id } } }"}
        rest = [await client.get("/v2/p1/jobs?limit=100") for _ in range(2)]
        return {one.status_code for one in [*rest, await client.post("/graphql", json=query)]}

    clock = Clock()
    few = {"rate_limit_user": 1, "rate_limit_project": 1, "rate_limit_burst": 400}
    async with limited(cable.url, clock, **few) as client:
        assert await statuses(client) == {200}
        await cable.cut()
        # The last of the points, and then more than there are.
        assert await statuses(client) == {503}
        clock.now += 1000
        assert await statuses(client) == {503}
        assert await statuses(client) == {503}
        await cable.mend()
        assert await statuses(client) == {200}
        clock.now += OUTAGE_SECONDS
        assert await statuses(client) == {200}
        assert await statuses(client) == {200, 429}
