"""Sessions: jobs on several hosts that start together, each run exactly once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.tables import Job, Session, columns, default_of, new_id, now, source
from gateway.catalogue.vocabularies import (
    JobEvent,
    JobResult,
    JobStatus,
    SessionOutcome,
    SessionStatus,
)
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, NotFound, shown
from gateway.query import filters
from gateway.query.filters import Where
from gateway.query.selects import CALLER
from gateway.resolvers import rules, writing
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Session)
COLLECTION = collection(Session, rules.SESSIONS, COLUMNS.description, COLUMNS.id)
JOBS = columns(Job)

_SESSION_OF_JOB = sa.select(JOBS.session_id).where(
    JOBS.project_id == CALLER, JOBS.id == sa.bindparam("job_id")
)
_FREEING = (
    sa.update(source(Job))
    .where(
        JOBS.project_id == sa.bindparam("of_project"), JOBS.session_id == sa.bindparam("of_session")
    )
    .values(session_id=None, session_tag=0, version=JOBS.version + 1, updated_at=None)
)
"""Takes all jobs out of a session."""

States = dict[str, dict[str, Any]]
"""What each job of a session does in its current run, by the job's id."""


@dataclass
class SessionDraft:
    """A session to create; `hold_off` is how long jobs may join a run, in seconds."""

    schedule: dict[str, Any]
    description: str = default_of(Session, "description")
    hold_off: int = default_of(Session, "hold_off")
    session_tag: int = default_of(Session, "session_tag")
    more: dict[str, Any] = field(default_factory=dict)
    """What else v2 lets a client say: `status`, `result` and the times of a run."""


@dataclass(frozen=True)
class Outcome:
    """The answer to a job that asks to start or end, and the session's current tag."""

    result: SessionOutcome
    session_tag: int


async def create(ctx: Context, draft: SessionDraft) -> Session:
    """Create a session without jobs, under a fresh id. Raises BadInput."""
    ctx.authorize("sessions:create")
    row = _build_row(ctx, new_id(), draft)
    async with ctx.write() as transaction:
        await transaction.insert(row)
    return row


async def replace(
    ctx: Context, session_id: str, draft: SessionDraft, *, expected_version: int | None = None
) -> Session:
    """Put a session in the place of the one of this id, or create it; its jobs stay in it."""
    ctx.authorize("sessions:replace")
    row = _build_row(ctx, checks.identifier("session_id", session_id), draft)
    async with ctx.write() as transaction:
        return await writing.upsert(
            ctx, transaction, row, expected_version, kept=frozenset({"job_states"})
        )


async def update(
    ctx: Context,
    session_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Session:
    """Change what is given of a session; `schedule` is a merge patch, other keys are columns.

    Raises NotFound, StaleVersion and BadInput.
    """
    ctx.authorize("sessions:update")
    values = dict(changes)
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Session, session_id, expected_version)
        if "schedule" in values:
            patch = values.pop("schedule") or {}
            values["schedule"] = _scheduled(
                json_values.merge_patch(
                    orjson.loads(row.schedule), checks.mapping("schedule", patch)
                )
            )
        await update_row(transaction, row, **values)
    return row


async def delete(ctx: Context, session_id: str, *, expected_version: int | None = None) -> None:
    """Delete a session, and free its jobs. Raises NotFound and StaleVersion."""
    ctx.authorize("sessions:delete")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Session, session_id, expected_version)
        freed = {"of_project": ctx.project_id, "of_session": session_id, "updated_at": now()}
        await transaction.rows(_FREEING, freed)
        await transaction.delete(row)


async def add_job(ctx: Context, session_id: str, job_id: str) -> None:
    """Take a job into a session: it gets the session's schedule, and leaves the one it was in.

    Raises NotFound for either.
    """
    ctx.authorize("sessions:job:add")
    async with ctx.write() as transaction:
        await release(ctx, transaction, job_id, keep=session_id)
        row = await get_for_update(ctx, transaction, Session, session_id)
        job = await get_for_update(ctx, transaction, Job, job_id)
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
        # What the session's schedule says comes in place of what the job's own said.
        when = {key: value for key, value in schedule.items() if not key.startswith("schedule_")}
        await update_row(
            transaction,
            job,
            session_id=session_id,
            session_tag=row.session_tag,
            **projections.schedule_columns(when | orjson.loads(row.schedule)),
        )


async def remove_job(ctx: Context, session_id: str, job_id: str) -> None:
    """Take a job out of a session, and ask its scheduler to stop it. Raises NotFound."""
    ctx.authorize("sessions:job:remove")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Session, session_id)
        job = await get_for_update(ctx, transaction, Job, job_id)
        if job.session_id != session_id:
            raise NotFound(f"the job '{job_id}' is not in the session '{session_id}'")
        await _set_state(transaction, row, job_id)
        schedule = orjson.loads(job.job_schedule) | {"event": JobEvent.STOP.value}
        values = projections.schedule_columns(schedule)
        await update_row(transaction, job, session_id=None, session_tag=0, **values)


async def release(
    ctx: Context, transaction: Transaction, job_id: str, *, keep: str | None = None
) -> None:
    """Take a job that is about to leave its session out of the current run, unless it stays.

    To be called before the job is locked: sessions are always locked first.
    """
    its = {"project_id": ctx.project_id, "job_id": job_id}
    session_id = await transaction.scalar(_SESSION_OF_JOB, its)
    if session_id not in {None, keep}:
        try:
            row = await get_for_update(ctx, transaction, Session, session_id)
        except NotFound:
            return
        await _set_state(transaction, row, job_id)


async def start(ctx: Context, session_id: str, job_id: str, tag: int) -> Outcome:
    """Let a job start with its session: the first to ask begins a run, the others join it.

    A job whose tag is the session's begins a run when the hold-off of the last one has passed, and
    the session's tag grows by one; until then one that is a tag behind joins, and one that isn't
    must wait (`hold-off`). Any other is `out-of-sync`. Any number may ask at once: the
    session is locked. Raises NotFound; BadInput for a tag ahead of the session's, or a job that
    isn't in it.
    """
    ctx.authorize("sessions:action:create")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Session, session_id)
        if tag > row.session_tag:
            raise BadInput(
                f"'current_tag' {tag} is too high: the session's is {row.session_tag}",
                field="current_tag",
            )
        _state(row, job_id)
        moment = int(time.time())
        held = row.time_start is not None and moment - row.time_start <= row.hold_off
        running = {"status": JobStatus.RUNNING, "result": "", "time_started": moment}
        if held and tag == row.session_tag:
            return Outcome(SessionOutcome.HOLD_OFF, row.session_tag)
        if held and tag == row.session_tag - 1:
            await _set_state(transaction, row, job_id, **_state(row, job_id) | running)
            return Outcome(SessionOutcome.SUCCESS, row.session_tag)
        if held or tag != row.session_tag:
            return Outcome(SessionOutcome.OUT_OF_SYNC, row.session_tag)
        # A new run: what the other jobs did in the last one doesn't count in it.
        waiting = {"status": "", "result": ""}
        states = {name: state | waiting for name, state in _states(row).items()}
        states[job_id] |= running
        await update_row(
            transaction,
            row,
            session_tag=row.session_tag + 1,
            time_start=moment,
            status=SessionStatus.RUNNING,
            result=None,
            job_states=json_values.dump(states),
        )
        return Outcome(SessionOutcome.SUCCESS, row.session_tag)


async def end(ctx: Context, session_id: str, job_id: str, result: str) -> Outcome:
    """Record how a job's part of the run ended; the last one ends the run.

    The session fails if one of its jobs did. Raises NotFound, and BadInput for a job that isn't in
    the session.
    """
    ctx.authorize("sessions:action:create")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Session, session_id)
        moment = int(time.time())
        ended = {"status": JobStatus.COMPLETED, "result": result, "time_ended": moment}
        states = _states(row) | {job_id: _state(row, job_id) | ended}
        values: dict[str, Any] = {"job_states": json_values.dump(states)}
        if row.status != SessionStatus.COMPLETED and all(
            state["status"] == JobStatus.COMPLETED for state in states.values()
        ):
            failed = any(state["result"] != JobResult.SUCCESS for state in states.values())
            values |= {"status": SessionStatus.COMPLETED, "time_end": moment}
            values["result"] = JobResult.FAIL if failed else JobResult.SUCCESS
        await update_row(transaction, row, **values)
        return Outcome(SessionOutcome.SUCCESS, row.session_tag)


def search(text: str) -> Where:
    """Look for a text in descriptions; an id must be the whole text."""
    return filters.search(text, ids=(COLUMNS.id,), names=(COLUMNS.description,))


def _build_row(ctx: Context, session_id: str, draft: SessionDraft) -> Session:
    row = Session(
        project_id=ctx.project_id,
        id=session_id,
        user_id=ctx.identity.user_id,
        description=draft.description,
        hold_off=draft.hold_off,
        session_tag=draft.session_tag,
        schedule=_scheduled(draft.schedule),
        **draft.more,
    )
    check_lengths(row)
    return row


def _scheduled(schedule: dict[str, Any]) -> str:
    projections.job(schedule)
    return json_values.dump(schedule, what="'schedule'")


def _states(row: Session) -> States:
    states: States = orjson.loads(row.job_states)
    return states


def _state(row: Session, job_id: str) -> dict[str, Any]:
    try:
        return _states(row)[job_id]
    except KeyError:
        raise BadInput(f"job_id {shown(job_id)} not found in session", field="job_id") from None


async def _set_state(transaction: Transaction, row: Session, job_id: str, **state: Any) -> None:
    """Write what a job does; without anything, it is in the session no more."""
    states = _states(row)
    states.pop(job_id, None)
    if state:
        states[job_id] = state
    await update_row(transaction, row, job_states=json_values.dump(states))
