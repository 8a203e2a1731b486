"""Connections that read: one that nobody waits for any more comes home, and is used again."""

import asyncio

import asyncpg
import pytest

from gateway.readers import PostgresReaders
from gateway.settings import load

pytestmark = pytest.mark.anyio

OTHERS = """
SELECT count(*), count(*) FILTER (WHERE state = 'active')
FROM pg_stat_activity WHERE query LIKE '%/* given up */' AND pid <> pg_backend_pid()
"""


async def test_a_read_that_is_given_up_costs_no_connection(postgres_url: str) -> None:
    readers = PostgresReaders(load(database_url=postgres_url, database_pool_size=2))
    onlooker = await asyncpg.connect(postgres_url)
    try:
        for _ in range(5):
            reading = asyncio.create_task(readers.fetch("SELECT pg_sleep(60) /* given up */", []))
            while (await onlooker.fetchrow(OTHERS))[1] == 0:
                assert not reading.done()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert [tuple(row) for row in await readers.fetch("SELECT 1 /* given up */", [])] == [
                (1,)
            ]
        assert (await onlooker.fetchrow(OTHERS))[0] == 1
    finally:
        await onlooker.close()
        await readers.close()
