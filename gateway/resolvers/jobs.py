"""Jobs: which actions run when and where, and what is asked of their schedulers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.tables import Job, JSONText, columns, default_of, new_id, source
from gateway.catalogue.vocabularies import JobEvent
from gateway.context import Context
from gateway.query import filters
from gateway.query.filters import AnyOf, Expression, Where, without_key
from gateway.query.selects import CALLER
from gateway.resolvers import actions, clients, job_actions, rules, sessions, trusts, writing
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Job)
COLLECTION = collection(Job, rules.JOBS, COLUMNS.description, COLUMNS.id)
OF_CLIENT = (COLUMNS.project_id, COLUMNS.client_id)
OF_SESSION = (COLUMNS.project_id, COLUMNS.session_id)

# Correlated by name: inside of a subquery, as in a filter of documents on SQLite, they would
# otherwise be about any job.
_BY_OTHERS = sa.and_(
    sa.exists()
    .where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.is_central,
        clients.COLUMNS.project_id != COLUMNS.project_id,
    )
    .correlate(source(Job)),
    ~sa.exists()
    .where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.project_id == COLUMNS.project_id,
    )
    .correlate(source(Job)),
)
"""Whether another project's central client runs the job; its processes are that project's own."""

CURRENT_PID = sa.case((_BY_OTHERS, None), else_=COLUMNS.current_pid)
"""The process that runs the job, where it is the job's own project's."""
SCHEDULE = sa.type_coerce(
    sa.case(
        (_BY_OTHERS, without_key(COLUMNS.job_schedule, "current_pid")), else_=COLUMNS.job_schedule
    ),
    JSONText(),
)
"""The schedule's document, with the process only in it where it is the job's own project's."""

_TRUST = sa.select(COLUMNS.trust_id).where(
    COLUMNS.project_id == CALLER, COLUMNS.id == sa.bindparam("id")
)


@dataclass
class JobDraft:
    """A job to create.

    Without a `client_id` the project's only client gets the job; where it has none or several,
    the job belongs to no client until one is given. `action_defaults` fills keys of a
    `freezer_action` that an action lacks.
    """

    actions: list[ActionDraft]
    description: str = default_of(Job, "description")
    client_id: str | None = None
    schedule: dict[str, Any] = field(default_factory=dict)
    action_defaults: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    session_id: str | None = None
    session_tag: int = default_of(Job, "session_tag")
    user_credentials: dict[str, Any] | None = None


async def create(ctx: Context, draft: JobDraft) -> Job:
    """Create a job and those of its actions that don't exist yet: all of it, or nothing.

    Raises BadInput; Conflict where the id is taken; Unprocessable for a client or an action that
    isn't there, an action that exists with another definition, or one the client can't do.
    """
    ctx.authorize("jobs:create")
    row = _build_row(ctx, draft)
    await _assign_client_and_trust(ctx, row)
    conflict_message = f"a job with the id '{row.id}' exists already"
    async with (
        trusts.or_revoke(ctx, row.trust_id),
        ctx.write(conflict_message=conflict_message) as transaction,
    ):
        await transaction.insert(row)
        await job_actions.assign(ctx, transaction, row, draft.actions)
    return row


async def replace(
    ctx: Context, job_id: str, draft: JobDraft, *, expected_version: int | None = None
) -> Job:
    """Put a job in the place of the one of this id, or create it under the id. As `create`."""
    ctx.authorize("jobs:create")
    draft.job_id = job_id
    new = _build_row(ctx, draft)
    await _assign_client_and_trust(ctx, new)
    async with trusts.or_revoke(ctx, new.trust_id), ctx.write() as transaction:
        await sessions.release(ctx, transaction, job_id, keep=new.session_id)
        its = {"project_id": ctx.project_id, "id": job_id}
        trust_id = await transaction.scalar(_TRUST, its)
        row = await writing.upsert(ctx, transaction, new, expected_version)
        await job_actions.assign(ctx, transaction, row, draft.actions)
    if row.trust_id != trust_id:
        await trusts.revoke_if_unused(ctx, trust_id)
    return row


async def update(
    ctx: Context,
    job_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Job:
    """Change what is given of a job, and nothing else; its owner stays who it was.

    `schedule` is a merge patch (null removes a key), `actions` is a list of drafts that replaces
    the job's; `description`, `client_id`, `session_id` and `session_tag` replace. Raises NotFound,
    StaleVersion, and what `create` does.
    """
    ctx.authorize("jobs:update")
    values = {key: changes[key] for key in changes if key not in {"schedule", "actions"}}
    # An empty id is how v2 clients say "none".
    values |= {key: values[key] or None for key in ("client_id", "session_id") if key in values}
    if values.get("client_id"):
        checks.client_identifier("client_id", values["client_id"])
    if "client_id" in values:
        query = sa.select(COLUMNS.client_id).where(
            COLUMNS.project_id == ctx.project_id, COLUMNS.id == job_id
        )
        if values["client_id"] != await ctx.db.scalar(query):
            # Another client works by another trust, or by none.
            values |= {"user_credentials": None, "trust_id": None}
            values |= await trusts.trust_columns(ctx, values["client_id"])
    drafts = changes.get("actions")
    async with trusts.or_revoke(ctx, values.get("trust_id")), ctx.write() as transaction:
        if "session_id" in values:
            await sessions.release(ctx, transaction, job_id, keep=values["session_id"])
        row = await get_for_update(ctx, transaction, Job, job_id, expected_version)
        if "schedule" in changes:
            schedule = json_values.merged(orjson.loads(row.job_schedule), changes["schedule"] or {})
            values |= projections.schedule_columns(schedule)
        moved = values.get("client_id", row.client_id) != row.client_id
        trust_id = row.trust_id
        await update_row(transaction, row, **values)
        if drafts is not None:
            await job_actions.assign(ctx, transaction, row, drafts)
        elif moved:
            await job_actions.check(ctx, transaction, row)
    if row.trust_id != trust_id:
        await trusts.revoke_if_unused(ctx, trust_id)
    return row


async def request(ctx: Context, job_id: str, event: JobEvent) -> bool:
    """Ask a job's scheduler to start, stop or abort it; False where that is asked already.

    Only the event is touched, whatever the scheduler writes meanwhile; a start also forgets how
    the last run went. Raises NotFound.
    """
    ctx.authorize("jobs:event:create")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Job, job_id)
        if row.event == event:
            return False
        schedule = orjson.loads(row.job_schedule) | {"event": event.value}
        if event is JobEvent.START:
            schedule |= {"status": "", "result": ""}
        await update_row(transaction, row, **projections.schedule_columns(schedule))
        return True


async def delete(ctx: Context, job_id: str, *, expected_version: int | None = None) -> None:
    """Delete a job; its actions and its backups stay. Raises NotFound, StaleVersion."""
    ctx.authorize("jobs:delete")
    async with ctx.write() as transaction:
        await sessions.release(ctx, transaction, job_id)
        row = await get_for_update(ctx, transaction, Job, job_id, expected_version)
        await transaction.delete(row)
    await trusts.revoke_if_unused(ctx, row.trust_id)


def search(text: str) -> Where:
    """Look for a text in descriptions, clients, and what the actions back up where."""
    by_action = (
        sa.select(sa.literal_column("1"))
        .select_from(job_actions.COLLECTION.source)
        .where(
            job_actions.COLUMNS.project_id == COLUMNS.project_id,
            job_actions.COLUMNS.job_id == COLUMNS.id,
            actions.search(text).sql(),
        )
        .correlate(COLUMNS.id.table)
        .exists()
    )
    own = filters.search(
        text,
        ids=(COLUMNS.id, COLUMNS.session_id),
        names=(COLUMNS.description, COLUMNS.client_id),
    )
    return AnyOf((own, Expression(by_action)))


def _build_row(ctx: Context, draft: JobDraft) -> Job:
    """Make the row of a new job, checked but not stored."""
    if draft.job_id:
        checks.identifier("job_id", draft.job_id)
    if draft.client_id:
        checks.client_identifier("client_id", draft.client_id)
    if draft.session_id:
        checks.identifier("session_id", draft.session_id)
    times = {"time_created": int(time.time()), "time_started": -1, "time_ended": -1}
    unsaid = {key: value for key, value in times.items() if key not in draft.schedule}
    # Whoever else brought credentials could make a scheduler work in somebody's name.
    may_bring = "service" in ctx.identity.roles
    row = Job(
        project_id=ctx.project_id,
        id=draft.job_id or new_id(),
        user_id=ctx.identity.user_id,
        description=draft.description,
        client_id=draft.client_id or None,
        session_id=draft.session_id or None,
        session_tag=draft.session_tag,
        **trusts.credentials(draft.user_credentials or {} if may_bring else {}),
        **projections.schedule_columns(draft.schedule | unsaid),
    )
    check_lengths(row)
    for action in draft.actions:
        _fill(action, draft.action_defaults)
    return row


def _fill(action: ActionDraft, defaults: Mapping[str, Any]) -> None:
    if action.freezer_action is not None:
        for key, value in defaults.items():
            if action.freezer_action.get(key) is None:
                action.freezer_action[key] = value


async def _assign_client_and_trust(ctx: Context, row: Job) -> None:
    """Settle on which client a new job runs, and by which trust."""
    row.client_id = row.client_id or await _only_client(ctx)
    if row.trust_id is None:
        for key, value in (await trusts.trust_columns(ctx, row.client_id)).items():
            setattr(row, key, value)


async def _only_client(ctx: Context) -> str | None:
    query = sa.select(clients.COLUMNS.id).where(clients.COLUMNS.project_id == ctx.project_id)
    found = await ctx.db.rows(query.limit(2))
    return found[0][0] if len(found) == 1 else None
