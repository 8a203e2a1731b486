"""Runs of which nobody tells the result are lost in time, and old ones are forgotten."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue import history
from gateway.catalogue.history import ClientHeartbeat, Run
from gateway.catalogue.tables import Job, columns
from gateway.context import Context
from gateway.db.database import Database
from gateway.resolvers import clients, jobs
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.settings import load
from gateway.upkeep import runs as upkeep_of_runs
from gateway.upkeep.runs import RunsUpkeep

pytestmark = pytest.mark.anyio

RUNS = columns(Run)
DAY = 86_400
START = 1000 * DAY


@pytest.fixture
def upkeep(database: Database) -> RunsUpkeep:
    """Return the upkeep: a run is lost after a day, and a client silent after ten minutes."""
    settings = load(run_lost_after=DAY, client_silent_after=600, run_history_days=10)
    return RunsUpkeep(database, settings)


async def begin(
    ctx: Context, job_id: str = "job", start: int = START, client_id: str | None = None
) -> None:
    """Have a job begin to run."""
    running = {"status": "running", "time_started": start, "time_ended": -1, "result": ""}
    if not await ctx.db.rows(sa.select(columns(Job).id).where(columns(Job).id == job_id)):
        await jobs.create(ctx, JobDraft([], job_id=job_id, client_id=client_id))
    await jobs.update(ctx, job_id, {"schedule": running})


async def end(ctx: Context, job_id: str, time: int, result: str = "success") -> None:
    """Have a job's run end."""
    ended = {"status": "scheduled", "time_ended": time, "result": result}
    await jobs.update(ctx, job_id, {"schedule": ended})


async def outcomes(ctx: Context) -> Sequence[str]:
    """Return the outcomes of all runs, the oldest first."""
    query = sa.select(RUNS.outcome).order_by(RUNS.started_at, RUNS.id)
    return [row[0] for row in await ctx.db.rows(query)]


async def heard(ctx: Context, client_id: str, time: int) -> None:
    """Have a client of the project been heard of."""
    async with ctx.write() as transaction:
        seen = ClientHeartbeat(project_id=ctx.project_id, client_id=client_id, seen_at=time)
        await transaction.insert(seen)


async def revision(ctx: Context) -> int:
    return await jobs.COLLECTION.revision(ctx)


async def test_a_run_without_a_result_is_lost_after_a_day(ctx: Context, upkeep: RunsUpkeep) -> None:
    await begin(ctx)
    before = await revision(ctx)
    assert await upkeep.lose(knows_silence=False, now=START + DAY) == 0
    assert await revision(ctx) == before
    assert await upkeep.lose(knows_silence=False, now=START + DAY + 1) == 1
    assert await outcomes(ctx) == ["lost"]
    row = await ctx.db.rows(sa.select(*(columns(Job)[name] for name in sorted(history.OF_JOB))))
    assert [tuple(one) for one in row] == [(START, 1, START, None)]
    # What shows the run isn't what it was.
    assert await revision(ctx) != before
    await end(ctx, "job", START + 2 * DAY)
    assert await outcomes(ctx) == ["success"]


async def test_a_job_that_takes_days_has_more_time(ctx: Context, upkeep: RunsUpkeep) -> None:
    await begin(ctx, start=START - 10 * DAY)
    await end(ctx, "job", START - 8 * DAY)
    await begin(ctx)
    assert await upkeep.lose(knows_silence=False, now=START + 6 * DAY) == 0
    assert await upkeep.lose(knows_silence=False, now=START + 6 * DAY + 1) == 1
    assert await outcomes(ctx) == ["success", "lost"]


async def test_a_run_of_a_client_that_is_silent_is_lost(ctx: Context, upkeep: RunsUpkeep) -> None:
    for name in ("silent", "alive", "unheard"):
        await clients.create(ctx, ClientDraft(name))
        await begin(ctx, name, client_id=name)
    await heard(ctx, "silent", START)
    await heard(ctx, "alive", START + 600)
    # A process that hasn't listened for long enough doesn't know.
    assert await upkeep.lose(knows_silence=False, now=START + 601) == 0
    assert await upkeep.lose(knows_silence=True, now=START + 600) == 0
    assert await upkeep.lose(knows_silence=True, now=START + 601) == 1
    query = sa.select(RUNS.job_id).where(RUNS.outcome == "lost")
    assert [row[0] for row in await ctx.db.rows(query)] == ["silent"]


async def test_another_project_s_client_of_the_same_id_doesn_t_matter_unless_it_is_central(
    ctx: Context, make_ctx: Any, upkeep: RunsUpkeep
) -> None:
    other = make_ctx("other")
    await clients.create(ctx, ClientDraft("host"))
    await begin(ctx, client_id="host")
    await clients.create(other, ClientDraft("host"))
    await heard(other, "host", START - DAY)
    assert await upkeep.lose(knows_silence=True, now=START + 10_000) == 0
    await clients.create(other, ClientDraft("central", is_central=True))
    await begin(ctx, "by_central", client_id="central")
    await heard(other, "central", START - DAY)
    assert await upkeep.lose(knows_silence=True, now=START + 10_000) == 1
    query = sa.select(RUNS.job_id).where(RUNS.outcome == "lost")
    assert [row[0] for row in await ctx.db.rows(query)] == ["by_central"]


async def test_old_runs_are_forgotten_in_steps_but_for_the_last_and_the_last_success(
    ctx: Context, upkeep: RunsUpkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_of_runs, "BATCH", 2)
    for number, result in enumerate(["success", "success", "fail", "fail", "fail", "fail"]):
        await begin(ctx, start=START + number)
        await end(ctx, "job", START + number, result)
    await begin(ctx, "hanging")
    now = START + 10 * DAY + 100
    revisions = {await revision(ctx)}
    found = []
    for _ in range(3):
        found.append(await upkeep.forget(now=now))
        revisions.add(await revision(ctx))
    assert (found, len(revisions)) == ([2, 2, 0], 3)
    query = sa.select(RUNS.started_at, RUNS.outcome).order_by(RUNS.started_at, RUNS.outcome)
    assert [tuple(row) for row in await ctx.db.rows(query)] == [
        (START, "running"),
        (START + 1, "success"),
        (START + 5, "fail"),
    ]
    own = columns(Job)
    count = sa.select(own.failures_in_a_row).where(own.id == "job")
    assert await ctx.db.scalar(count) == 4
