"""Sessions: jobs that start together, exactly once."""

import asyncio

import orjson
import pytest

from gateway.catalogue.tables import Job, Session
from gateway.context import Context
from gateway.errors import BadInput, NotFound
from gateway.resolvers import clients, jobs, sessions
from gateway.resolvers.sessions import SessionDraft
from gateway.resolvers.writing import get_for_update

pytestmark = pytest.mark.anyio


async def of(ctx: Context, count: int, hold_off: int = 60) -> tuple[str, list[str]]:
    """Make a session of this many jobs."""
    row = await sessions.create(
        ctx, SessionDraft({"schedule_interval": "5 minutes"}, "all", hold_off=hold_off)
    )
    ids = []
    for number in range(count):
        job = await jobs.create(ctx, jobs.JobDraft([], f"job {number}"))
        await sessions.add_job(ctx, row.id, job.id)
        ids.append(job.id)
    return row.id, ids


async def stored(ctx: Context, session_id: str) -> Session:
    async with ctx.write() as transaction:
        return await get_for_update(ctx, transaction, Session, session_id)


async def job_of(ctx: Context, job_id: str) -> Job:
    async with ctx.write() as transaction:
        return await get_for_update(ctx, transaction, Job, job_id)


async def test_a_job_gets_the_schedule_of_its_session(ctx: Context) -> None:
    session_id, (job_id,) = await of(ctx, 1)
    job = await job_of(ctx, job_id)
    assert (job.session_id, job.session_tag) == (session_id, 0)
    assert job.schedule_interval == "5 minutes"
    await sessions.remove_job(ctx, session_id, job_id)
    job = await job_of(ctx, job_id)
    assert (job.session_id, job.event) == (None, "stop")
    assert orjson.loads((await stored(ctx, session_id)).job_states) == {}


async def test_fifty_schedulers_start_one_session_once(ctx: Context) -> None:
    session_id, ids = await of(ctx, 50)
    outcomes = await asyncio.gather(*(sessions.start(ctx, session_id, job_id, 0) for job_id in ids))
    # One begins the run; the others are a tag behind then, and join it.
    assert [outcome.result for outcome in outcomes] == ["success"] * 50
    row = await stored(ctx, session_id)
    assert (row.session_tag, row.status) == (1, "running")
    states = orjson.loads(row.job_states)
    assert {state["status"] for state in states.values()} == {"running"}
    outcomes = await asyncio.gather(*(sessions.start(ctx, session_id, job_id, 1) for job_id in ids))
    assert {outcome.result for outcome in outcomes} == {"hold-off"}
    await asyncio.gather(*(sessions.end(ctx, session_id, job_id, "success") for job_id in ids))
    row = await stored(ctx, session_id)
    assert (row.status, row.result) == ("completed", "success")


async def test_after_the_hold_off_only_the_current_tag_starts(ctx: Context) -> None:
    session_id, (first, second) = await of(ctx, 2, hold_off=-1)
    assert (await sessions.start(ctx, session_id, first, 0)).session_tag == 1
    late = await sessions.start(ctx, session_id, second, 0)
    assert (late.result, late.session_tag) == ("out-of-sync", 1)
    again = await sessions.start(ctx, session_id, second, 1)
    assert (again.result, again.session_tag) == ("success", 2)
    with pytest.raises(BadInput, match="9 is too high"):
        await sessions.start(ctx, session_id, first, 9)


async def test_a_session_fails_if_one_job_does(ctx: Context) -> None:
    session_id, (first, second) = await of(ctx, 2)
    await sessions.start(ctx, session_id, first, 0)
    await sessions.end(ctx, session_id, first, "fail")
    assert (await stored(ctx, session_id)).status == "running"
    await sessions.end(ctx, session_id, second, "success")
    row = await stored(ctx, session_id)
    assert (row.status, row.result) == ("completed", "fail")


async def test_a_run_forgets_the_one_before(ctx: Context) -> None:
    session_id, (first, second) = await of(ctx, 2, hold_off=-1)
    for tag in (0, 1):
        await sessions.start(ctx, session_id, first, tag)
        await sessions.end(ctx, session_id, first, "success")
        assert (await stored(ctx, session_id)).status == "running"
        await sessions.end(ctx, session_id, second, "success")
        assert (await stored(ctx, session_id)).status == "completed"


async def test_who_is_not_there(ctx: Context) -> None:
    session_id, (job_id,) = await of(ctx, 1)
    stranger = (await jobs.create(ctx, jobs.JobDraft([]))).id
    for call in (
        sessions.start(ctx, session_id, stranger, 0),
        sessions.end(ctx, session_id, stranger, "success"),
    ):
        with pytest.raises(BadInput, match="not found in session"):
            await call
    for call in (
        sessions.start(ctx, "none", job_id, 0),
        sessions.add_job(ctx, "none", job_id),
        sessions.add_job(ctx, session_id, "none"),
        sessions.remove_job(ctx, session_id, stranger),
        sessions.delete(ctx, "none"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_deleting(ctx: Context) -> None:
    session_id, (first, second) = await of(ctx, 2)
    await jobs.delete(ctx, first)
    assert list(orjson.loads((await stored(ctx, session_id)).job_states)) == [second]
    await sessions.delete(ctx, session_id)
    assert (await job_of(ctx, second)).session_id is None


async def test_a_job_moves_between_sessions(ctx: Context) -> None:
    await clients.create(ctx, clients.ClientDraft("h"))
    one, (job_id,) = await of(ctx, 1)
    other, _ = await of(ctx, 0)
    await sessions.add_job(ctx, other, job_id)
    assert orjson.loads((await stored(ctx, one)).job_states) == {}
    assert list(orjson.loads((await stored(ctx, other)).job_states)) == [job_id]
    await jobs.update(ctx, job_id, {"session_id": ""})
    assert orjson.loads((await stored(ctx, other)).job_states) == {}
