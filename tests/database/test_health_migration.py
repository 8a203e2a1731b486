"""The revision of health: jobs that were there before are looked at, and all of it goes again."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from gateway import migrations
from gateway.catalogue.tables import Job, columns, source
from gateway.db.database import Database
from gateway.settings import load
from gateway.upkeep.due_times import DueTimesUpkeep
from tests.support.databases import Server

pytestmark = pytest.mark.anyio

BEFORE, OWN = "0011", "0012"


@pytest.fixture
async def earlier(server: Server) -> AsyncIterator[Database]:
    """Return a database of the revision before."""
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database, BEFORE)
    yield database
    await database.close()
    await server.drop(url)


async def names(database: Database) -> set[str]:
    """Return the names of the tables and of the columns of jobs."""
    async with database.transaction() as connection:
        return await connection.run_sync(
            lambda sync: (
                set(sa.inspect(sync).get_table_names())
                | {f"jobs.{column['name']}" for column in sa.inspect(sync).get_columns("jobs")}
            )
        )


async def test_jobs_without_a_next_run_are_looked_at_again(earlier: Database) -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    base = {"project_id": "p1", "user_id": "u", "description": "", "session_tag": 0}
    base |= {"version": 3, "due_version": 3, "created_at": moment, "updated_at": moment}
    base |= {"client_id": "host", "failures_in_a_row": 0, "status": "scheduled"}
    bad, good = '{"schedule_interval": "every day"}', '{"schedule_interval": "1 days"}'
    jobs = [
        {"id": "bad", "schedule_interval": "every day", "job_schedule": bad, "due_at": None},
        {"id": "good", "schedule_interval": "1 days", "job_schedule": good, "due_at": 5},
    ]
    rows = [base | job for job in jobs]
    async with earlier.transaction() as connection:
        typed = (sa.column(name, columns(Job)[name].type) for name in rows[0])
        stored = sa.table(source(Job).name, *typed)
        given = {name: sa.bindparam(name) for name in rows[0]}
        await connection.execute(sa.insert(stored).values(given), rows)
    assert (await migrations.upgrade(earlier)).is_current
    query = sa.select(columns(Job).id, columns(Job).due_version, columns(Job).due_fault)
    assert {tuple(row) for row in await earlier.rows(query)} == {
        ("bad", None, None),
        ("good", 3, None),
    }
    assert await DueTimesUpkeep(earlier, None).renew() == 1
    assert {tuple(row) for row in await earlier.rows(query)} == {
        ("bad", 3, "unreadable"),
        ("good", 3, None),
    }


async def test_it_is_undone(earlier: Database) -> None:
    before = await names(earlier)
    await migrations.upgrade(earlier, OWN)
    added = {"health_mutes", "recovery_objectives", "expected_hosts", "jobs.due_fault"}
    assert await names(earlier) == before | added
    await migrations.downgrade(earlier, BEFORE)
    assert await names(earlier) == before
