"""The cost of an operation in Python function calls, at first sight and when it comes again."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from gateway.auth.identity import Identity
from gateway.auth.policy import Policy
from gateway.catalogue.tables import Action, Backup, Job, JobAction
from gateway.context import Context
from gateway.db import pools
from gateway.db.database import Database
from gateway.schema import create_schema
from gateway.schema.execution.operations import Executor
from gateway.settings import load
from tests.support.databases import Sqlite
from tests.support.lists import store
from tests.support.stored_estate import put

pytestmark = pytest.mark.anyio

QUERY = """{ jobs(first: 50) { nodes {
  description actions { nodes { backupName } } backups(last: 2) { nodes { level } }
} } }"""
JOBS = 50
RUNS = 3
MAX_COLD_CALLS, MAX_WARM_CALLS = 3500, 750
TEXTS = count()


@pytest.fixture
async def database(sqlite: Sqlite, sqlite_template: str) -> AsyncIterator[Database]:
    """Return a database with jobs of one action and one backup each."""
    url = await sqlite.create(sqlite_template)
    database = Database(load(database_url=url))
    numbers = range(JOBS)
    tries = {"max_retries": 5, "max_retries_interval": 6, "mandatory": False}
    await put(
        database,
        Action,
        [tries | {"id": f"a{n}", "freezer_action": "{}", "backup_name": "n"} for n in numbers],
    )
    await put(
        database,
        Job,
        [
            {"id": f"j{n}", "description": f"j{n:02}", "job_schedule": "{}", "session_tag": 0}
            for n in numbers
        ],
    )
    links = [{"job_id": f"j{n}", "position": 0, "action_id": f"a{n}"} for n in numbers]
    await store(database, JobAction, "p1", links)
    named = {"backup_name": "n", "status": "available", "backup_metadata": "{}", "sort_time": 0}
    await put(
        database,
        Backup,
        [named | {"id": f"b{n}", "job_id": f"j{n}", "level": 0} for n in numbers],
    )
    yield database
    await database.close()
    await sqlite.drop(url)


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Yield a list that holds the number of calls of Python functions in this thread."""
    calls = [0]

    def see(_frame: object, event: str, _argument: object) -> None:
        calls[0] += event == "call"

    profiler = sys.getprofile()
    sys.setprofile(see)
    try:
        yield calls
    finally:
        sys.setprofile(profiler)


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
