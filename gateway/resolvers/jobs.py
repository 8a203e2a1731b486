"""Jobs: lists of actions with a schedule and a client, and the events sent to schedulers."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, history, json_values, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import new_id
from gateway.catalogue.tables import JOB_NAME_CHARACTERS, Job, columns, default_of, source
from gateway.catalogue.vocabularies import JobEvent
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, OutdatedChoice, shown
from gateway.query import filters
from gateway.query.filters import AnyOf, RelatedCondition, Where
from gateway.query.selects import CALLER
from gateway.resolvers import (
    actions,
    clients,
    due_times,
    job_actions,
    job_removals,
    rules,
    sessions,
    trusts,
    writing,
)
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Job)
COLLECTION = collection(Job, rules.JOBS, COLUMNS.description, COLUMNS.id)
OF_CLIENT = (COLUMNS.project_id, COLUMNS.client_id)
OF_SESSION = (COLUMNS.project_id, COLUMNS.session_id)

_ACTION_OF_JOB = sa.and_(
    job_actions.COLUMNS.project_id == COLUMNS.project_id,
    job_actions.COLUMNS.job_id == COLUMNS.id,
)
_BEFORE = sa.select(
    COLUMNS.trust_id,
    COLUMNS.session_id,
    COLUMNS.description,
    COLUMNS.client_id,
    COLUMNS.job_schedule,
    *due_times.INPUTS,
).where(COLUMNS.project_id == CALLER, COLUMNS.id == sa.bindparam("id"))
_CLIENT_OF_JOB = sa.select(COLUMNS.client_id).where(
    COLUMNS.project_id == CALLER, COLUMNS.id == sa.bindparam("id")
)
_BEFORE_LOCKED = _BEFORE.with_for_update()
_TWO_CLIENTS = sa.select(clients.COLUMNS.id).where(clients.COLUMNS.project_id == CALLER).limit(2)

DOCUMENTED_NAME_BYTES = 64
"""The limit of a job's name in the documented dialect, in bytes of UTF-8."""


@dataclass
class JobDraft:
    """A job to create.

    Without a `client_id` the project's only client gets the job; if it has none or several, the
    job has no client until one is given. `action_defaults` are values of keys that a
    `freezer_action` of the job lacks.
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


async def create(
    ctx: Context,
    draft: JobDraft,
    also: Callable[[Transaction, Job], Awaitable[None]] | None = None,
) -> Job:
    """Create a job and those of its actions that don't exist yet, and return the job's row.

    `also` is called with the row in the same transaction. Raises BadInput; Conflict for an id in
    use; Unprocessable for an unknown client or action, an action that exists with another
    definition, or one that the client doesn't support.
    """
    ctx.authorize("jobs:create")
    row = _build_row(ctx, draft)
    _check_name(ctx, row.description)
    await _assign_client_and_trust(ctx, row)
    _set(row, await due_times.of_new(ctx, row))
    conflict_message = f"a job with the id '{row.id}', or one of its actions, exists already"

    async def write(transaction: Transaction) -> Job:
        await transaction.insert(row)
        await job_actions.assign(ctx, transaction, row, draft.actions)
        if also is not None:
            await also(transaction, row)
        return row

    async with trusts.revoke_on_failure(ctx, row.trust_id):
        return await writing.transact(ctx, write, conflict_message=conflict_message)


async def replace(
    ctx: Context, job_id: str, draft: JobDraft, *, expected_version: int | None = None
) -> Job:
    """Replace the job of this id, or create it, and return its row.

    Raises StaleVersion, and what `create` does but Conflict.
    """
    ctx.authorize("jobs:create")
    draft.job_id = job_id
    row, old_trust_id = await writing.retry(
        lambda: _replace(ctx, draft, expected_version), OutdatedChoice
    )
    if row.trust_id != old_trust_id:
        await trusts.revoke_if_unused(ctx, old_trust_id)
    return row


async def _replace(
    ctx: Context, draft: JobDraft, expected_version: int | None
) -> tuple[Job, str | None]:
    """Replace a job with the client and trust that suit it as it is; return also its old trust.

    Raises OutdatedChoice if it has another client, or is gone, when they are to be written.
    """
    key = {"project_id": ctx.project_id, "id": draft.job_id}
    stored = await ctx.db.rows(_BEFORE, key)
    seen = stored[0].client_id if stored else None
    new = _build_row(ctx, draft, orjson.loads(stored[0].job_schedule) if stored else {})
    # A job that stays without a client stays as it is, whatever clients there are by now.
    if new.client_id or not stored or seen:
        await _assign_client_and_trust(ctx, new)

    async def write(transaction: Transaction) -> tuple[Job, str | None]:
        left = await sessions.release(ctx, transaction, new.id, keep=new.session_id)
        rows = await transaction.rows(_BEFORE_LOCKED, key)
        trust_id, session_id, name, client_id = rows[0][:4] if rows else (None, None, None, None)
        sessions.check_unmoved(session_id, left)
        if client_id != seen:
            raise OutdatedChoice
        if new.description != name:
            _check_name(ctx, new.description)
        _set(new, await due_times.of_replaced(ctx, transaction, new, rows))
        row = await writing.upsert(ctx, transaction, new, expected_version, kept=history.OF_JOB)
        same_client = bool(rows) and client_id == new.client_id
        await job_actions.assign(ctx, transaction, row, draft.actions, is_of_client=same_client)
        return row, trust_id

    async with trusts.revoke_on_failure(ctx, new.trust_id):
        return await writing.transact(ctx, write)


async def update(
    ctx: Context,
    job_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Job:
    """Change the given keys of a job, and return its row.

    `schedule` is a merge patch, `actions` a list of drafts that replaces the job's; `description`,
    `client_id`, `session_id` and `session_tag` are columns. Raises NotFound, StaleVersion, and what
    `create` does but Conflict.
    """
    ctx.authorize("jobs:update")
    row, old_trust_id = await writing.retry(
        lambda: _update(ctx, job_id, changes, expected_version), OutdatedChoice
    )
    if row.trust_id != old_trust_id:
        await trusts.revoke_if_unused(ctx, old_trust_id)
    return row


async def _update(
    ctx: Context, job_id: str, changes: Mapping[str, Any], expected_version: int | None
) -> tuple[Job, str | None]:
    """Change a job, and its trust as its client needs; return also its old trust.

    Raises OutdatedChoice if it has another client when they are to be written.
    """
    values, seen = await _column_changes(ctx, job_id, changes)
    drafts = changes.get("actions")

    async def write(transaction: Transaction) -> tuple[Job, str | None]:
        left = None
        if "session_id" in values:
            left = await sessions.release(ctx, transaction, job_id, keep=values["session_id"])
        row, removes = await _locked(ctx, transaction, job_id, changes, expected_version)
        if "session_id" in values:
            sessions.check_unmoved(row.session_id, left)
        if values.get("description", row.description) != row.description:
            _check_name(ctx, values["description"])
        if "client_id" in values and row.client_id != seen:
            raise OutdatedChoice
        changes_client = values.get("client_id", row.client_id) != row.client_id
        trust_id = row.trust_id
        columns = values | _patched_schedule(row, changes)
        reported = changes.keys() <= due_times.REPORT and "status" in (
            changes.get("schedule") or ()
        )
        columns |= await due_times.of_changed(ctx, transaction, row, columns, reported=reported)
        told = job_removals.succeeded(row)
        await update_row(transaction, row, **columns)
        if drafts is not None:
            await job_actions.assign(ctx, transaction, row, drafts, is_of_client=not changes_client)
        elif changes_client:
            await job_actions.check(ctx, transaction, row)
        if removes and job_removals.succeeded(row) not in {None, told}:
            await job_removals.apply(ctx, transaction, row)
        return row, trust_id

    async with trusts.revoke_on_failure(ctx, values.get("trust_id")):
        return await writing.transact(ctx, write)


async def _locked(
    ctx: Context,
    transaction: Transaction,
    job_id: str,
    changes: Mapping[str, Any],
    expected_version: int | None,
) -> tuple[Job, bool]:
    """Lock a job that is to be changed, and return whether a run of it may have removed backups."""
    if job_removals.may_report(changes):
        return await job_removals.get_for_update(ctx, transaction, job_id, expected_version)
    return await get_for_update(ctx, transaction, Job, job_id, expected_version), False


async def _column_changes(
    ctx: Context, job_id: str, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the columns that an update gives, with the trust of another client, and the client.

    The client is the one that the job had meanwhile, if the update gives one.
    """
    seen = None
    values = {key: changes[key] for key in changes if key not in {"schedule", "actions"}}
    # v2 clients write an empty id for none.
    values |= {key: values[key] or None for key in ("client_id", "session_id") if key in values}
    if values.get("client_id"):
        checks.client_identifier("client_id", values["client_id"])
    if "client_id" in values:
        key = {"project_id": ctx.project_id, "id": job_id}
        seen = await ctx.db.scalar(_CLIENT_OF_JOB, key)
        if values["client_id"] != seen:
            # Another client needs another trust, or none.
            values |= {"user_credentials": None, "trust_id": None}
            values |= await trusts.trust_columns(ctx, values["client_id"])
    return values, seen


def _patched_schedule(row: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a job's schedule after the changes, none where they have none."""
    if "schedule" not in changes:
        return {}
    stored = orjson.loads(row.job_schedule)
    patched = json_values.merge_patch(stored, changes["schedule"] or {})
    return projections.schedule_columns(patched, stored)


async def request(ctx: Context, job_id: str, event: JobEvent) -> bool:
    """Send an event to a job's scheduler; return False if the same event was already pending.

    Changes only the event, since the scheduler may write the rest at any time; a start also resets
    the status and result of the last run. Raises NotFound.
    """
    ctx.authorize("jobs:event:create")

    async def write(transaction: Transaction) -> bool:
        row = await get_for_update(ctx, transaction, Job, job_id)
        if row.event == event:
            return False
        stored = orjson.loads(row.job_schedule)
        schedule = stored | {"event": event.value}
        if event is JobEvent.START:
            schedule |= {"status": "", "result": ""}
        columns = projections.schedule_columns(schedule, stored)
        columns |= await due_times.of_changed(ctx, transaction, row, columns)
        await update_row(transaction, row, **columns)
        return True

    return await writing.transact(ctx, write)


async def delete(ctx: Context, job_id: str, *, expected_version: int | None = None) -> None:
    """Delete a job, but not its actions and backups. Raises NotFound and StaleVersion."""
    ctx.authorize("jobs:delete")

    async def write(transaction: Transaction) -> str | None:
        left = await sessions.release(ctx, transaction, job_id)
        row = await get_for_update(ctx, transaction, Job, job_id, expected_version)
        sessions.check_unmoved(row.session_id, left)
        await transaction.delete(row)
        return row.trust_id

    await trusts.revoke_if_unused(ctx, await writing.transact(ctx, write))


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a description, client or action."""
    own = filters.search(Job, text, "id", "session_id")
    return AnyOf((own, with_action(actions.search(text))))


def with_action(where: Where) -> Where:
    """Return the condition that a job has an action of which another condition holds."""
    return RelatedCondition(job_actions.COLLECTION.source, _ACTION_OF_JOB, source(Job), where)


def _build_row(
    ctx: Context, draft: JobDraft, known: Mapping[str, Any] = MappingProxyType({})
) -> Job:
    """Return the checked row of a new job, without storing it. Raises BadInput.

    `known` is the schedule of the job that it replaces, which isn't checked again.
    """
    if draft.job_id:
        checks.identifier("job_id", draft.job_id)
    if draft.client_id:
        checks.client_identifier("client_id", draft.client_id)
    if draft.session_id:
        checks.identifier("session_id", draft.session_id)
    times = {"time_created": int(time.time()), "time_started": -1, "time_ended": -1}
    missing = {key: value for key, value in times.items() if key not in draft.schedule}
    # Anybody else could make a scheduler act in another user's name.
    accepts_credentials = "service" in ctx.identity.roles
    row = Job(
        project_id=ctx.project_id,
        id=draft.job_id or new_id(),
        user_id=ctx.identity.user_id,
        description=draft.description,
        client_id=draft.client_id or None,
        session_id=draft.session_id or None,
        session_tag=draft.session_tag,
        **trusts.credentials(draft.user_credentials or {} if accepts_credentials else {}),
        **projections.schedule_columns(draft.schedule | missing, known),
    )
    check_lengths(row)
    for action in draft.actions:
        action.fill_in(draft.action_defaults)
    return row


def _check_name(ctx: Context, name: str) -> None:
    """Check a job's new name against the limit of the dialect. Raises BadInput."""
    if ctx.dialect == "freezer-19":
        limit, length, unit = JOB_NAME_CHARACTERS, len(name), "characters"
    else:
        limit, length, unit = DOCUMENTED_NAME_BYTES, len(name.encode()), "bytes"
    if length > limit:
        raise BadInput(
            f"'description' is {length} {unit} long, the limit is {limit}: {shown(name)}",
            field="description",
        )


async def _assign_client_and_trust(ctx: Context, row: Job) -> None:
    """Set the client and trust of a job without. Raises Unprocessable and Unavailable."""
    row.client_id = row.client_id or await only_client(ctx)
    if row.trust_id is None:
        _set(row, await trusts.trust_columns(ctx, row.client_id))


def _set(row: Job, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        setattr(row, key, value)


async def only_client(ctx: Context) -> str | None:
    """Return the id of the project's client, or None if it has none or several."""
    rows = await ctx.db.rows(_TWO_CLIENTS, {"project_id": ctx.project_id})
    return rows[0][0] if len(rows) == 1 else None
