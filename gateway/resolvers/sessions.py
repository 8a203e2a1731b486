"""Sessions: jobs on several hosts that start together, each run exactly once."""

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values, projections, schedules
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import new_id, now
from gateway.catalogue.tables import INT64, Job, Session, columns, default_of, source
from gateway.catalogue.vocabularies import (
    JobEvent,
    JobResult,
    JobStatus,
    SessionOutcome,
    SessionStatus,
)
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, LostRace, NotFound, shown
from gateway.query import filters
from gateway.query.filters import Where
from gateway.query.selects import CALLER
from gateway.resolvers import due_times, rules, writing
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Session)
COLLECTION = collection(Session, rules.SESSIONS, COLUMNS.description, COLUMNS.id)
JOBS = columns(Job)

_SESSION_OF_JOB = sa.select(JOBS.session_id).where(
    JOBS.project_id == CALLER, JOBS.id == sa.bindparam("job_id")
)
_IN_SESSION = (
    JOBS.project_id == sa.bindparam("of_project"),
    JOBS.session_id == sa.bindparam("of_session"),
)
_LOCK_JOBS = sa.select(JOBS.id).where(*_IN_SESSION).order_by(JOBS.id).with_for_update()
_RELEASE_JOBS = (
    sa.update(source(Job))
    .where(*_IN_SESSION)
    .values(
        session_id=None,
        session_tag=0,
        version=JOBS.version + 1,
        updated_at=None,
        due_version=JOBS.due_version + 1,
    )
    .returning(JOBS.id, JOBS.version)
)
"""The statement that takes all jobs out of a session."""

States = dict[str, dict[str, Any]]
"""The state of each job of a session in the current run, by the job's id."""


@dataclass
class SessionDraft:
    """A session to create; for `hold_off` seconds after its start, jobs may join a run."""

    schedule: dict[str, Any]
    description: str = default_of(Session, "description")
    hold_off: int = default_of(Session, "hold_off")
    session_tag: int = default_of(Session, "session_tag")
    run: dict[str, Any] = field(default_factory=dict)
    """The columns of the run that v2 lets a client set: `status`, `result` and times."""


class Outcome(NamedTuple):
    """The answer to a job that asks to start or end, and the session's current tag."""

    result: SessionOutcome
    session_tag: int


async def create(ctx: Context, draft: SessionDraft) -> Session:
    """Create a session without jobs under a new id, and return its row. Raises BadInput."""
    ctx.authorize("sessions:create")
    row = _build_row(ctx, new_id(), draft)

    async def write(transaction: Transaction) -> Session:
        await transaction.insert(row)
        return row

    return await writing.transact(ctx, write)


async def replace(
    ctx: Context, session_id: str, draft: SessionDraft, *, expected_version: int | None = None
) -> Session:
    """Replace the session of this id, or create it, and return its row; its jobs stay in it.

    Raises BadInput and StaleVersion.
    """
    ctx.authorize("sessions:replace")
    row = _build_row(ctx, checks.identifier("session_id", session_id), draft)

    async def write(transaction: Transaction) -> Session:
        return await writing.upsert(
            ctx, transaction, row, expected_version, kept=frozenset({"job_states"})
        )

    return await writing.transact(ctx, write)


async def update(
    ctx: Context,
    session_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Session:
    """Change a session, and return its row; `schedule` is a merge patch, other keys are columns.

    Raises NotFound, StaleVersion and BadInput.
    """
    ctx.authorize("sessions:update")

    async def write(transaction: Transaction) -> Session:
        values = dict(changes)
        row = await get_for_update(ctx, transaction, Session, session_id, expected_version)
        if "schedule" in values:
            patch = checks.mapping("schedule", values.pop("schedule") or {})
            stored = orjson.loads(row.schedule)
            values["schedule"] = _dump_schedule(json_values.merge_patch(stored, patch), stored)
        await update_row(transaction, row, **values)
        return row

    return await writing.transact(ctx, write)


async def delete(ctx: Context, session_id: str, *, expected_version: int | None = None) -> None:
    """Delete a session, and release its jobs. Raises NotFound and StaleVersion."""
    ctx.authorize("sessions:delete")

    async def write(transaction: Transaction) -> None:
        row = await get_for_update(ctx, transaction, Session, session_id, expected_version)
        values = {"of_project": ctx.project_id, "of_session": session_id}
        await transaction.rows(_LOCK_JOBS, values)
        given = values | {"updated_at": now()}
        for job_id, version in await transaction.rows(_RELEASE_JOBS, given, is_told=True):
            transaction.tell(ChangeKind.JOB, ctx.project_id, job_id, version=version)
        await transaction.delete(row)

    await writing.transact(ctx, write)


async def add_job(ctx: Context, session_id: str, job_id: str) -> None:
    """Add a job to a session: it gets the session's schedule, and leaves its old session.

    Raises NotFound for either.
    """
    ctx.authorize("sessions:job:add")

    async def write(transaction: Transaction) -> None:
        job_key = {"project_id": ctx.project_id, "job_id": job_id}
        left = await transaction.scalar(_SESSION_OF_JOB, job_key)
        locked = await _lock(ctx, transaction, {session_id, left or session_id})
        row = locked.get(session_id)
        if row is None:
            raise NotFound(f"no session with the id '{session_id}' in this project")
        job = await get_for_update(ctx, transaction, Job, job_id)
        check_unmoved(job.session_id, left)
        if left in locked.keys() - {session_id}:
            await _set_state(transaction, locked[left], job_id)
        schedule = orjson.loads(job.job_schedule)
        await _set_state(
            transaction,
            row,
            job_id,
            client_id=job.client_id,
            status=schedule.get("status", ""),
            result=schedule.get("result", ""),
            time_started=schedule.get("time_started", -1),
            time_ended=schedule.get("time_ended", -1),
        )
        # The session's schedule replaces the job's own; status, event and times stay the job's.
        kept = {key: value for key, value in schedule.items() if not key.startswith("schedule_")}
        values = {"session_id": session_id, "session_tag": row.session_tag}
        values |= projections.schedule_columns(kept | orjson.loads(row.schedule), schedule)
        values |= await due_times.of_changed(ctx, transaction, job, values)
        await update_row(transaction, job, **values)

    await writing.transact(ctx, write)


async def remove_job(ctx: Context, session_id: str, job_id: str) -> None:
    """Remove a job from a session, and send a stop to its scheduler. Raises NotFound."""
    ctx.authorize("sessions:job:remove")

    async def write(transaction: Transaction) -> None:
        row = await get_for_update(ctx, transaction, Session, session_id)
        job = await get_for_update(ctx, transaction, Job, job_id)
        if job.session_id != session_id:
            raise NotFound(f"the job '{job_id}' is not in the session '{session_id}'")
        await _set_state(transaction, row, job_id)
        stored = orjson.loads(job.job_schedule)
        values = projections.schedule_columns(stored | {"event": JobEvent.STOP.value}, stored)
        values |= await due_times.of_changed(ctx, transaction, job, values)
        await update_row(transaction, job, session_id=None, session_tag=0, **values)

    await writing.transact(ctx, write)


async def release(
    ctx: Context, transaction: Transaction, job_id: str, *, keep: str | None = None
) -> str | None:
    """Remove a job that leaves its session from the current run, unless it stays in `keep`.

    Must be called before the job is locked: every transaction locks sessions before jobs. Returns
    the job's session, for `check_unmoved`. Raises the driver's errors.
    """
    job_key = {"project_id": ctx.project_id, "job_id": job_id}
    session_id: str | None = await transaction.scalar(_SESSION_OF_JOB, job_key)
    if session_id is not None and session_id != keep:
        for row in (await _lock(ctx, transaction, {session_id})).values():
            await _set_state(transaction, row, job_id)
    return session_id


def check_unmoved(session_id: str | None, seen: str | None) -> None:
    """Check that a locked job is in the session that it was seen in before. Raises LostRace."""
    if session_id != seen:
        raise LostRace


async def _lock(
    ctx: Context, transaction: Transaction, session_ids: Collection[str]
) -> Mapping[str, Session]:
    """Lock those of these sessions that there are, in the order of their ids, and return them."""
    locked = {}
    for session_id in sorted(session_ids):
        with suppress(NotFound):
            locked[session_id] = await get_for_update(ctx, transaction, Session, session_id)
    return locked


async def start(
    ctx: Context, session_id: str, job_id: str, tag: int, *, last_tag: int = INT64 - 1
) -> Outcome:
    """Start a job with its session, and return the outcome: the first begins a run, others join.

    A job with the session's tag begins a new run after the hold-off of the last one, and the
    session's tag is incremented. Within the hold-off, a job one tag behind joins the run, and a job
    with the session's tag gets `hold-off`. Any other job is `out-of-sync`. Concurrent calls are
    safe: the session is locked. Raises NotFound; BadInput for a tag ahead of the session's, a job
    that isn't in it, or an outcome with a tag over the last one that the caller can be told.
    """
    ctx.authorize("sessions:action:create")

    async def write(transaction: Transaction) -> Outcome:
        row = await get_for_update(ctx, transaction, Session, session_id)
        if tag > row.session_tag:
            raise BadInput(
                f"'current_tag' {tag} is too high: the session's is {row.session_tag}",
                field="current_tag",
            )
        _check_tag(row.session_tag, last_tag, field="current_tag")
        _state(row, job_id)
        seconds = int(time.time())
        held = row.time_start is not None and seconds - row.time_start <= row.hold_off
        running = {"status": JobStatus.RUNNING, "result": "", "time_started": seconds}
        if held and tag == row.session_tag:
            return Outcome(SessionOutcome.HOLD_OFF, row.session_tag)
        if held and tag == row.session_tag - 1:
            await _set_state(transaction, row, job_id, **_state(row, job_id) | running)
            return Outcome(SessionOutcome.SUCCESS, row.session_tag)
        if held or tag != row.session_tag:
            return Outcome(SessionOutcome.OUT_OF_SYNC, row.session_tag)
        _check_tag(row.session_tag + 1, last_tag, field="current_tag")
        # A new run, for which the other jobs' states of the last one don't count.
        waiting = {"status": "", "result": ""}
        states = {name: state | waiting for name, state in _states(row).items()}
        states[job_id] |= running
        await update_row(
            transaction,
            row,
            session_tag=row.session_tag + 1,
            time_start=seconds,
            status=SessionStatus.RUNNING,
            result=None,
            job_states=json_values.dump(states),
        )
        return Outcome(SessionOutcome.SUCCESS, row.session_tag)

    return Outcome(*await writing.transact(ctx, write))


async def end(
    ctx: Context, session_id: str, job_id: str, result: str, *, last_tag: int = INT64 - 1
) -> Outcome:
    """Record the result of a job's part of the run, and return the outcome; the last ends the run.

    A run fails if one of its jobs does. Raises NotFound, and BadInput for a job that isn't in the
    session, or a tag over the last one that the caller can be told.
    """
    ctx.authorize("sessions:action:create")

    async def write(transaction: Transaction) -> Outcome:
        row = await get_for_update(ctx, transaction, Session, session_id)
        _check_tag(row.session_tag, last_tag)
        seconds = int(time.time())
        ended = {"status": JobStatus.COMPLETED, "result": result, "time_ended": seconds}
        states = _states(row) | {job_id: _state(row, job_id) | ended}
        values: dict[str, Any] = {"job_states": json_values.dump(states)}
        if row.status != SessionStatus.COMPLETED and all(
            state["status"] == JobStatus.COMPLETED for state in states.values()
        ):
            failed = any(state["result"] != JobResult.SUCCESS for state in states.values())
            values |= {"status": SessionStatus.COMPLETED, "time_end": seconds}
            values["result"] = JobResult.FAIL if failed else JobResult.SUCCESS
        await update_row(transaction, row, **values)
        return Outcome(SessionOutcome.SUCCESS, row.session_tag)

    return Outcome(*await writing.transact(ctx, write))


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a description."""
    return filters.search(Session, text, "id")


def _build_row(ctx: Context, session_id: str, draft: SessionDraft) -> Session:
    """Return the checked row of a session, without storing it. Raises BadInput."""
    row = Session(
        project_id=ctx.project_id,
        id=session_id,
        user_id=ctx.identity.user_id,
        description=draft.description,
        hold_off=draft.hold_off,
        session_tag=draft.session_tag,
        schedule=_dump_schedule(draft.schedule, {}),
        **draft.run,
    )
    check_lengths(row)
    return row


def _dump_schedule(schedule: dict[str, Any], known: dict[str, Any]) -> str:
    """Return a schedule as text, in which the values known so far stay. Raises BadInput."""
    return json_values.dump(schedules.readable(schedule, known), what="'schedule'")


def _check_tag(tag: int, last_tag: int, field: str | None = None) -> None:
    if tag > last_tag:
        raise BadInput(
            f"the session's tag, {tag}, would be over the last that can be told, {last_tag}",
            field=field,
        )


def _states(row: Session) -> States:
    states: States = orjson.loads(row.job_states)
    return states


def _state(row: Session, job_id: str) -> dict[str, Any]:
    """Return the state of a job in a session. Raises BadInput for a job that isn't in it."""
    try:
        return _states(row)[job_id]
    except KeyError:
        raise BadInput(f"job_id {shown(job_id)} not found in session", field="job_id") from None


async def _set_state(transaction: Transaction, row: Session, job_id: str, **state: Any) -> None:
    """Store the state of a job in a session, or remove the job if no state is given."""
    states = _states(row)
    states.pop(job_id, None)
    if state:
        states[job_id] = state
    await update_row(transaction, row, job_states=json_values.dump(states))
