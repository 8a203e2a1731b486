"""Buckets in memcached, a real one: shared by processes, overspent by a slice, and dispensable."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiomcache import Client

from gateway.app import create_app
from gateway.errors import RateLimited
from gateway.rates.buckets import OUTAGE_SECONDS, SLICES, RateLimiter
from gateway.rates.memcached import MemcachedStore
from gateway.settings import load
from tests.compat.keystone import free_port
from tests.support.apps import opened
from tests.support.rates import Clock

pytestmark = pytest.mark.anyio

RATE, BURST = 10, 40
CAPACITY = RATE * BURST
SLICE = CAPACITY // SLICES


@contextmanager
def memcached(port: int) -> Iterator[None]:
    """Run memcached on a port of this machine, until it is no more needed."""
    command = ["memcached", "--listen=127.0.0.1", f"--port={port}", "--user=nobody"]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


async def answers(port: int) -> None:
    """Return when memcached answers."""
    while True:
        client = Client("127.0.0.1", port)
        try:
            await client.version()
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return
        finally:
            await client.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def server(port: int) -> AsyncIterator[str]:
    with memcached(port):
        await answers(port)
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def limiter(server: str, clock: Clock) -> AsyncIterator[RateLimiter]:
    """Yield the limits of a process."""
    settings = load(rate_limit_user=RATE, rate_limit_project=RATE, rate_limit_burst=BURST)
    store = MemcachedStore([server], clock)
    yield RateLimiter(settings, store, clock)
    await store.close()


async def admitted(limits: RateLimiter, requests: int, project: str = "p1") -> int:
    """Return how many of some requests of one point are admitted."""
    account, count = limits.account(project, "alice"), 0
    for _ in range(requests):
        try:
            await account.charge(1)
        except RateLimited:
            continue
        count += 1
    return count


async def test_two_processes_overspend_a_bucket_by_a_slice_each_at_most(server: str) -> None:
    clock = Clock()
    async with limiter(server, clock) as one, limiter(server, clock) as other:
        counts = await asyncio.gather(admitted(one, CAPACITY), admitted(other, CAPACITY))
        assert CAPACITY - 2 * SLICE <= sum(counts) <= CAPACITY + 2 * SLICE
        clock.now += BURST / 2
        counts = await asyncio.gather(admitted(one, CAPACITY), admitted(other, CAPACITY))
        assert CAPACITY / 2 - 2 * SLICE <= sum(counts) <= CAPACITY / 2 + 2 * SLICE


async def test_leases_at_the_same_time_take_each_token_once(server: str) -> None:
    clock = Clock()
    stores = [MemcachedStore([server], clock) for _ in range(4)]
    leases = await asyncio.gather(
        *(store.lease(("p1", ""), 10, 100, 1) for store in stores for _ in range(4))
    )
    assert sum(taken for taken, _ in leases) == 100
    clock.now += 7
    assert await stores[0].lease(("p1", ""), 10, 100, 1) == (7, 0)
    # A clock that is behind restores nothing.
    clock.now -= 100
    assert await stores[1].lease(("p1", ""), 10, 100, 1) == (0, 0)
    for store in stores:
        await store.close()


async def test_buckets_are_of_a_project_and_user(server: str) -> None:
    store = MemcachedStore([server], Clock())
    for key in (("p1", ""), ("p1", "alice"), ("p1a", "lice"), ("p\n 1 é" * 60, "x" * 300)):
        assert await store.lease(key, 100, 100, 1) == (100, 0)
    await store.close()


async def test_nobody_is_refused_while_memcached_is_away(port: int) -> None:
    clock = Clock()
    async with limiter(f"127.0.0.1:{port}", clock) as limits:
        with memcached(port):
            await answers(port)
            assert await admitted(limits, 2 * CAPACITY) <= CAPACITY + SLICE
        clock.now += BURST
        assert await admitted(limits, 2 * CAPACITY) == 2 * CAPACITY
        with memcached(port):
            await answers(port)
            clock.now += OUTAGE_SECONDS + 1
            assert await admitted(limits, 3 * CAPACITY) < 3 * CAPACITY


async def test_the_setting_puts_the_buckets_there(server: str, tmp_path: Path) -> None:
    app = create_app(
        load(
            database_url=f"sqlite:///{tmp_path}/catalogue.sqlite3",
            rate_limit="on",
            rate_limit_memcached_servers=server,
        )
    )
    async with opened(app) as client:
        assert "X-RateLimit-Remaining" in (await client.get("/v2/p1/jobs")).headers
    host, _, number = server.partition(":")
    with socket.create_connection((host, int(number))) as connection:
        connection.sendall(b"stats items\r\n")
        # The user's, and the project's.
        assert b":number 2\r\n" in connection.recv(65536)
