"""The upkeep of next runs: rows of older gateways, other time zones, central clients."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.app import create_app
from gateway.catalogue.tables import Job, columns, source
from gateway.context import Context
from gateway.db.database import Database
from gateway.resolvers import clients, due_times, jobs, project_settings
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.settings import Settings
from gateway.upkeep import timer
from gateway.upkeep.due_times import DueTimesUpkeep
from tests.support.apps import MakeContext, opened

pytestmark = pytest.mark.anyio

JOBS = columns(Job)
CRON = {"schedule_year": "2050", "schedule_month": "6", "schedule_day": "1", "schedule_hour": "10"}
IN_UTC = int(datetime(2050, 6, 1, 10, tzinfo=UTC).timestamp())
HOUR = 3600


async def made(ctx: Context, **schedule: str) -> Job:
    """Create a job of a client."""
    await clients.create(ctx, ClientDraft(client_id="host"))
    return await jobs.create(ctx, JobDraft([], client_id="host", schedule=schedule))


async def written_by_an_older_gateway(ctx: Context, job: Job, **values: Any) -> None:
    """Change a job as a gateway does that doesn't know of next runs."""
    statement = (
        sa.update(source(Job))
        .where(JOBS.id == sa.bindparam("the_id"))
        .values({name: sa.bindparam(name) for name in values})
    )
    async with ctx.write() as transaction:
        await transaction.execute_many(statement, [{**values, "the_id": job.id}])


async def due(database: Database, job: Job) -> tuple[Any, ...]:
    """Return the next run of a job, its basis and its time zone."""
    query = sa.select(JOBS.due_at, JOBS.due_basis, JOBS.due_zone).where(
        JOBS.id == sa.bindparam("id")
    )
    (row,) = await database.rows(query, {"id": job.id})
    return tuple(row)


async def test_rows_that_were_there_before_are_filled_in(ctx: Context, database: Database) -> None:
    cron = await made(ctx, **CRON)
    interval = await made(ctx, schedule_interval="2 hours")
    for job in (cron, interval):
        await written_by_an_older_gateway(
            ctx,
            job,
            due_at=None,
            due_basis=None,
            due_version=None,
            status="scheduled",
            time_started=1_800_000_000,
            time_ended=1_800_000_060,
            updated_at=datetime.fromtimestamp(1_800_010_000, UTC),
        )
    upkeep = DueTimesUpkeep(database, None)
    assert await upkeep.renew() == 2
    assert await due(database, cron) == (IN_UTC, "estimated", None)
    # Two hours after the last run, again and again until after its last change.
    assert await due(database, interval) == (1_800_000_000 + 4 * HOUR, "estimated", None)
    assert await upkeep.renew() == 0


async def test_what_an_older_gateway_changes_is_worked_out_anew(
    ctx: Context, database: Database
) -> None:
    job = await made(ctx, **CRON)
    await written_by_an_older_gateway(ctx, job, status="completed", version=job.version + 1)
    upkeep = DueTimesUpkeep(database, None)
    assert await upkeep.renew() == 1
    assert await due(database, job) == (None, None, None)
    # Deleting an action, and a session, are changes of jobs that change nothing of it.
    assert await upkeep.renew() == 0


async def test_another_time_zone_in_the_settings_is_worked_out_anew(
    ctx: Context, database: Database
) -> None:
    cron = await made(ctx, **CRON)
    interval = await made(ctx, schedule_interval="2 hours")
    before = await due(database, interval)
    assert await DueTimesUpkeep(database, "Asia/Tokyo").renew() == 2
    assert await due(database, cron) == (IN_UTC - 9 * HOUR, "estimated", "Asia/Tokyo")
    assert await due(database, interval) == (*before[:2], "Asia/Tokyo")
    await clients.set_time_zone(ctx, "host", "Europe/Berlin")
    assert await due(database, cron) == (IN_UTC - 2 * HOUR, "estimated", "Europe/Berlin")
    assert await DueTimesUpkeep(database, "Asia/Tokyo").renew() == 0


async def test_the_time_zone_of_a_project_goes_before_the_setting(
    ctx: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron, other = await made(ctx, **CRON), await made(ctx, **CRON)
    monkeypatch.setattr(due_times, "_OF_PROJECT", due_times._OF_PROJECT.limit(1))  # noqa: SLF001 - no setting
    await project_settings.set_time_zone(ctx, "Europe/Berlin")
    found = [await due(database, job) for job in (cron, other)]
    in_berlin = (IN_UTC - 2 * HOUR, "estimated", "Europe/Berlin")
    assert sorted(found, key=str) == sorted([in_berlin, (IN_UTC, "estimated", None)], key=str)
    assert await DueTimesUpkeep(database, "Asia/Tokyo").renew() == 1
    assert [await due(database, job) for job in (cron, other)] == [in_berlin] * 2
    await clients.set_time_zone(ctx, "host", "Asia/Tokyo")
    await clients.set_time_zone(ctx, "host", None)
    assert await due(database, cron) == in_berlin
    assert await DueTimesUpkeep(database, "Asia/Tokyo").renew() == 0


async def test_jobs_that_a_central_client_runs_for_others_follow(
    make_ctx: MakeContext, database: Database
) -> None:
    owner, other = make_ctx("owner"), make_ctx("other")
    await clients.create(owner, ClientDraft(client_id="central", is_central=True))
    job = await jobs.create(other, JobDraft([], client_id="central", schedule=CRON))
    await clients.set_time_zone(owner, "central", "Asia/Tokyo")
    assert await due(database, job) == (IN_UTC, "estimated", None)
    assert await DueTimesUpkeep(database, None).renew() == 1
    assert await due(database, job) == (IN_UTC - 9 * HOUR, "estimated", "Asia/Tokyo")
    new = await jobs.create(other, JobDraft([], client_id="central", schedule=CRON))
    assert await due(database, new) == (IN_UTC - 9 * HOUR, "estimated", "Asia/Tokyo")


async def test_a_gateway_does_it_while_it_serves(
    settings: Settings, ctx: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await made(ctx, **CRON)
    await written_by_an_older_gateway(ctx, job, due_at=None, due_version=None)
    monkeypatch.setattr(timer, "FIRST_SECONDS", 0)
    async with opened(create_app(settings)):
        async with asyncio.timeout(30):
            while (await due(database, job))[0] is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
    assert await due(database, job) == (IN_UTC, "estimated", None)
