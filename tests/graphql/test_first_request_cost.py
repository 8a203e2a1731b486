"""The cost of an operation in Python function calls, at first sight and when it comes again."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from gateway.auth.identity import Identity
from gateway.auth.policy import Policy
from gateway.context import Context
from gateway.db import pools
from gateway.db.database import Database
from gateway.schema import create_schema
from gateway.schema.execution.operations import Executor
from gateway.settings import load
from tests.support.databases import Sqlite
from tests.support.ordinary import JOBS, QUERY, counted_calls, fill

pytestmark = pytest.mark.anyio

RUNS = 3
MAX_COLD_CALLS, MAX_WARM_CALLS = 3500, 750
TEXTS = count()


@pytest.fixture
async def database(sqlite: Sqlite, sqlite_template: str) -> AsyncIterator[Database]:
    """Return a database with jobs of one action and one backup each."""
    url = await sqlite.create(sqlite_template)
    database = Database(load(database_url=url))
    await fill(database)
    yield database
    await database.close()
    await sqlite.drop(url)


async def test_calls_at_first_sight_and_after(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A statement that takes long, on a machine that is busy, would go on in a thread.
    monkeypatch.setattr(pools, "MAX_INLINE_SECONDS", 60)
    identity = Identity("local", "local", "p1", frozenset({"admin"}), is_local=True)
    ctx = Context(identity, "p1", database, Policy())
    executor = Executor(create_schema(), load())

    async def calls(text: str) -> int:
        with counted_calls() as made:
            result = await executor.execute(ctx, text, {})
        data: Any = result.data
        assert not result.errors
        assert len(data["jobs"]["nodes"]) == JOBS
        assert data["jobs"]["nodes"][0]["backups"] == {"nodes": [{"level": 0}]}
        assert data["jobs"]["nodes"][0]["actions"] == {"nodes": [{"backupName": "n"}]}
        return made[0]

    texts = [f"{QUERY} # {next(TEXTS)}" for _ in range(RUNS + 2)]
    # The statements are compiled by then, and what graphql-core keeps of a schema is made.
    for text in texts[:2]:
        await calls(text)
    # The least of some runs: the garbage collector may call functions of its own.
    cold = min([await calls(text) for text in texts[2:]])
    warm = min([await calls(texts[-1]) for _ in range(RUNS)])
    assert executor.planned == len(texts)
    assert cold <= MAX_COLD_CALLS, cold
    assert warm <= MAX_WARM_CALLS, warm
    assert warm * 2 < cold
