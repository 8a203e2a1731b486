"""Pools of connections: nobody waits for what others read, nor for what nobody wants."""

import asyncio
import threading
from pathlib import Path

import asyncpg
import pytest

from gateway.db.pools import PostgresPool, SQLitePool
from gateway.db.rows import make_row_class
from gateway.db.slots import Slots
from gateway.settings import load

pytestmark = pytest.mark.anyio

ROW = make_row_class(["number"], [None], asyncpg.Record)
SLEEP = "SELECT pg_sleep(60) /* given up */"
# Asleep, not just active: what is between two messages of its client does not hear a cancellation.
OTHERS = """
SELECT count(*), count(*) FILTER (WHERE wait_event = 'PgSleep')
FROM pg_stat_activity WHERE query LIKE '%/* given up */' AND pid <> pg_backend_pid()
"""


async def test_a_read_that_is_given_up_costs_no_connection(postgres_url: str) -> None:
    pool = PostgresPool(load(database_url=postgres_url, database_pool_size=2))
    onlooker = await asyncpg.connect(postgres_url)
    try:
        for _ in range(5):
            reading = asyncio.create_task(pool.fetch(SLEEP, [], ROW))
            while (await onlooker.fetchrow(OTHERS))[1] == 0:
                assert not reading.done()
            answers = pool.answers
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            # What is given up is no sign of life.
            assert pool.answers == answers
            (row,) = await pool.fetch("SELECT 1 /* given up */", [], ROW)
            assert tuple(row) == (1,)
        assert (await onlooker.fetchrow(OTHERS))[0] == 1
    finally:
        await onlooker.close()
        await pool.close()


async def test_a_transaction_that_is_given_up_costs_no_connection(postgres_url: str) -> None:
    pool = PostgresPool(load(database_url=postgres_url, database_pool_size=1))
    onlooker = await asyncpg.connect(postgres_url)

    async def wait() -> None:
        async with pool.transaction() as lent:
            await lent.fetch(SLEEP, [], ROW)

    try:
        backends = set()
        for _ in range(3):
            waiting = asyncio.create_task(wait())
            while (await onlooker.fetchrow(OTHERS))[1] == 0:
                assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            async with pool.transaction() as lent:
                (row,) = await lent.fetch("SELECT pg_backend_pid()", [], ROW)
            backends.add(row[0])
        assert len(backends) == 1
    finally:
        await onlooker.close()
        await pool.close()


COUNT = """
WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT ?)
SELECT count(*) FROM numbers
"""


async def test_a_long_read_of_sqlite_keeps_nobody_waiting(tmp_path: Path) -> None:
    pool = SQLitePool(load(database_url=f"sqlite:///{tmp_path}/empty.sqlite3"))
    try:
        quick, long = (
            asyncio.create_task(pool.fetch(COUNT, [many], make_row_class(["number"], [None])))
            for many in (10, 2_000_000)
        )
        await asyncio.sleep(0)
        assert quick.done()
        assert not long.done()
        assert [row.number for row in (*await quick, *await long)] == [10, 2_000_000]
    finally:
        await pool.close()


async def test_what_comes_back_to_a_closed_pool_is_closed(tmp_path: Path) -> None:
    pool = SQLitePool(load(database_url=f"sqlite:///{tmp_path}/empty.sqlite3"))
    before = set(threading.enumerate())
    row = make_row_class(["number"], [None])
    async with pool.transaction() as lent:
        reading = asyncio.create_task(pool.fetch(COUNT, [2_000_000], row))
        await asyncio.sleep(0)
        await pool.close()
        assert not reading.done()
        assert await lent.fetch("SELECT 1", [], row)
    assert await reading
    # A thread that is left behind keeps the process from ending.
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


async def test_turns_come_in_order_and_those_given_up_are_passed_on() -> None:
    places = Slots(1)
    await places.take()
    came: list[int] = []

    async def wait(number: int) -> None:
        await places.take()
        came.append(number)

    turns = [asyncio.create_task(wait(number)) for number in range(4)]
    await asyncio.sleep(0)
    turns[0].cancel()  # before its turn
    places.release()
    turns[1].cancel()  # when it has come, unseen
    await asyncio.wait(turns[:3])
    assert came == [2]
    places.release()
    await turns[3]
    assert came == [2, 3]
    places.release()
    await asyncio.wait_for(places.take(), 1)


async def test_nobody_waits_for_a_place_for_ever() -> None:
    places = Slots(1)
    await places.take()
    with pytest.raises(TimeoutError):
        await places.take(0.01)
    places.release()
    await places.take()


@pytest.mark.parametrize(("setting", "level"), [("normal", 1), ("full", 2)])
async def test_every_connection_to_a_file_is_as_durable_as_set(
    tmp_path: Path, setting: str, level: int
) -> None:
    url = f"sqlite:///{tmp_path}/file.sqlite3"
    pool = SQLitePool(load(database_url=url, sqlite_synchronous=setting))
    row = make_row_class(["level"], [None], tuple)
    (inline,) = await pool.fetch("PRAGMA synchronous", [], row)
    async with pool.transaction() as lent:
        (written,) = await lent.fetch("PRAGMA synchronous", [], row)
    await pool.close()
    assert (tuple(inline), tuple(written)) == ((level,), (level,))
