"""Runs are recorded from the revision on that has their table, whoever writes; the last before."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import migrations
from gateway.catalogue.history import Run
from gateway.catalogue.tables import LAST_SECOND, Job, columns
from gateway.db.database import Database
from gateway.settings import load
from tests.support.databases import Server

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
STATES: Sequence[dict[str, Any]] = (
    {"status": "scheduled", "result": "success", "time_started": 1000, "time_ended": 1005},
    {"status": "completed", "result": "fail", "time_started": 1000, "time_ended": None},
    {"status": "running", "result": None, "time_started": 1000, "time_ended": None},
    {"status": "running", "result": "success", "time_started": 1000, "time_ended": 1005},
    {"status": "scheduled", "result": None, "time_started": 1000, "time_ended": None},
    {"status": None, "result": "aborted", "time_started": 1000, "time_ended": LAST_SECOND + 1},
    {"status": "running", "result": None, "time_started": None, "time_ended": None},
    {"status": "running", "result": None, "time_started": LAST_SECOND + 1, "time_ended": None},
    {"status": "running", "result": None, "time_started": -5, "time_ended": None},
    {"status": None, "result": None, "time_started": None, "time_ended": None},
)


@pytest.fixture
async def older(server: Server) -> AsyncIterator[Database]:
    """Return a database of a gateway that records no runs."""
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database, "0006")
    yield database
    await database.close()
    await server.drop(url)


def job(name: str, state: dict[str, Any], number: int) -> dict[str, Any]:
    """Return what an older gateway writes of a new job."""
    session = {"session_id": "s" if number % 2 else None, "session_tag": number % 7}
    own = {"project_id": f"p{number % 3}", "id": name, "user_id": "u", "description": ""}
    written = {"job_schedule": "{}", "client_id": "c", "version": 0}
    times = {"created_at": MOMENT, "updated_at": MOMENT}
    return own | session | written | times | state | {"current_pid": number % 4 or None}


async def insert(database: Database, jobs: Sequence[dict[str, Any]]) -> None:
    """Insert jobs by no other columns than an older gateway has."""
    typed = (sa.column(name, columns(Job)[name].type) for name in jobs[0])
    given = {name: sa.bindparam(name) for name in jobs[0]}
    async with database.transaction() as connection:
        await connection.execute(sa.insert(sa.table("jobs", *typed)).values(given), jobs)


async def runs(database: Database) -> dict[str, tuple[Any, ...]]:
    """Return the runs, by the ids of their jobs."""
    own = columns(Run)
    shown = [c for c in own if c.key not in {"id", "job_id"}]
    return {row[0]: tuple(row)[1:] for row in await database.rows(sa.select(own.job_id, *shown))}


async def counts(database: Database) -> dict[str, tuple[Any, ...]]:
    """Return what jobs say of their runs, by the jobs' ids."""
    own = columns(Job)
    counted = (own.last_run_start, own.last_success_start, own.failures_in_a_row, own.failing_since)
    return {row[0]: tuple(row)[1:] for row in await database.rows(sa.select(own.id, *counted))}


async def test_the_last_run_of_each_job_is_filled_in(older: Database) -> None:
    # More than two batches.
    states = [STATES[number % len(STATES)] for number in range(2100)]
    before = [job(f"a{number:04}", state, number) for number, state in enumerate(states)]
    await insert(older, before)
    assert (await migrations.upgrade(older)).is_current
    # What is written now tells what was written then.
    await insert(older, [one | {"id": f"b{one['id'][1:]}"} for one in before])
    for found in (await runs(older), await counts(older)):
        of = {
            kind: {name[1:]: values for name, values in found.items() if name[0] == kind}
            for kind in "ab"
        }
        assert of["a"] == of["b"]
    assert len(of["a"]) == len(before)
    assert len(await runs(older)) == 2 * sum(
        1 for number in range(len(before)) if number % len(STATES) in {0, 1, 2, 3, 5}
    )


async def test_an_older_gateway_s_writes_are_recorded(older: Database) -> None:
    await insert(older, [job("a", STATES[-1], 0)])
    await migrations.upgrade(older)
    writes = [STATES[2], STATES[0], {**STATES[1], "time_started": 2000}]
    own = columns(Job)
    table = sa.table("jobs", sa.column("id"), *(sa.column(n, own[n].type) for n in STATES[0]))
    async with older.transaction() as connection:
        for write in writes:
            await connection.execute(sa.update(table).where(table.c.id == "a").values(write))
    assert await counts(older) == {"a": (2000, 1000, 1, 2000)}
