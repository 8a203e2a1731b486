"""Blocking calls to Keystone: how many run at once, and what becomes of them."""

import asyncio
import threading

import pytest

from gateway import logs
from gateway.auth.threads import LIMITS, WorkerThreads
from gateway.errors import Unavailable

pytestmark = pytest.mark.anyio


async def test_a_call_returns_or_raises_what_it_does() -> None:
    threads = WorkerThreads()
    assert await threads.run("tokens", divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run("tokens", divmod, 7, 0)


async def test_a_call_knows_its_request() -> None:
    logs.request_id.set("req-1")
    assert await WorkerThreads().run("signin", logs.request_id.get) == "req-1"


async def test_each_purpose_has_a_limit_of_its_own() -> None:
    threads = WorkerThreads()
    came, go = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        came.release()
        go.wait()

    number = LIMITS["signin"]
    waiting = [asyncio.create_task(threads.run("signin", wait)) for _ in range(number + 2)]
    await asyncio.sleep(0)
    for _ in range(number):
        assert came.acquire(timeout=60)
    assert not came.acquire(blocking=False)
    # Who signs in holds up no other call.
    assert await threads.run("tokens", divmod, 7, 3) == (2, 1)
    # Who gives up is not called for.
    waiting[-1].cancel()
    go.set()
    await asyncio.wait(waiting)
    assert came.acquire(blocking=False)
    assert not came.acquire(blocking=False)


async def test_nobody_waits_for_threads_that_are_closed() -> None:
    threads = WorkerThreads()
    go = threading.Event()
    waiting = [
        asyncio.create_task(threads.run("trusts", go.wait)) for _ in range(LIMITS["trusts"] + 2)
    ]
    await asyncio.sleep(0)
    threads.close()
    for one in waiting:
        with pytest.raises(Unavailable):
            await one
    go.set()
    with pytest.raises(Unavailable):
        await threads.run("trusts", divmod, 7, 3)
    names = {f"keystone-{purpose}" for purpose in LIMITS}
    assert all(one.daemon for one in threading.enumerate() if one.name in names)
