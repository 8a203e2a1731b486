"""Jobs: which actions run when and where, and what is asked of their schedulers."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from gateway import documents, filters, projections, resolvers
from gateway.context import Context
from gateway.errors import GatewayError, Unprocessable, shown
from gateway.filters import Either, Expression, Where, without_key
from gateway.resolvers import actions, change, clients, listing, locked, sessions
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.readings import CALLER
from gateway.tables import (
    Action,
    Job,
    JobAction,
    JobEvent,
    JSONText,
    columns,
    new_id,
    source,
)
from gateway.transactions import Transaction

COLUMNS = columns(Job)
LINKS = columns(JobAction)
LISTING = listing(Job, "jobs:get_all", COLUMNS.description, COLUMNS.id)
OF_CLIENT = (COLUMNS.project_id, COLUMNS.client_id)
OF_SESSION = (COLUMNS.project_id, COLUMNS.session_id)

ACTIONS = listing(
    Action,
    "actions:get_all",
    LINKS.position,
    through=source(JobAction),
    on=sa.and_(
        actions.COLUMNS.project_id == LINKS.project_id, actions.COLUMNS.id == LINKS.action_id
    ),
)
"""The actions in the lists of jobs, in their order there."""
ACTIONS_OF_JOB = (LINKS.project_id, LINKS.job_id)

# A job may run an action twice, and is listed once.
_USES = sa.select(LINKS.project_id, LINKS.action_id, LINKS.job_id).distinct().subquery("uses")
USES = listing(
    Job,
    "jobs:get_all",
    COLUMNS.description,
    COLUMNS.id,
    through=_USES,
    on=sa.and_(COLUMNS.project_id == _USES.c.project_id, COLUMNS.id == _USES.c.job_id),
)
"""The jobs that use an action."""
USES_OF_ACTION = (_USES.c.project_id, _USES.c.action_id)

_BY_OTHERS = sa.and_(
    sa.exists().where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.is_central,
        clients.COLUMNS.project_id != COLUMNS.project_id,
    ),
    ~sa.exists().where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.project_id == COLUMNS.project_id,
    ),
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

CAPABILITY = {
    "action": "supported_actions",
    "mode": "supported_modes",
    "storage": "supported_storages",
    "engine": "supported_engines",
}
"""What an action asks for, and where a client says what it can."""

_TRUST = sa.select(COLUMNS.trust_id).where(
    COLUMNS.project_id == CALLER, COLUMNS.id == sa.bindparam("id")
)
_CLIENT = (
    sa.select(*(clients.COLUMNS[capability] for capability in CAPABILITY.values()))
    .where(clients.COLUMNS.id == sa.bindparam("client_id"), clients.VISIBLE)
    .order_by(clients.COLUMNS.project_id != CALLER)
    .limit(1)
)
"""What the client can that a project means by an id: its own, else a central one."""
_LISTED = (LINKS.project_id == CALLER, LINKS.job_id == sa.bindparam("job_id"))
_ACTIONS_OF_JOB = sa.select(source(Action)).select_from(ACTIONS.source).where(*_LISTED)
_UNLIST = sa.delete(source(JobAction)).where(*_LISTED)
_LIST = sa.insert(source(JobAction))


@dataclass
class JobDraft:
    """A job to create.

    Without a `client_id` the project's only client gets the job; where it has none or several,
    the job belongs to no client until one is given. `action_defaults` fills keys of a
    `freezer_action` that an action lacks.
    """

    actions: list[ActionDraft]
    description: str = ""
    client_id: str | None = None
    schedule: dict[str, Any] = field(default_factory=dict)
    action_defaults: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    session_id: str | None = None
    session_tag: int = 0
    user_credentials: dict[str, Any] | None = None


async def create(ctx: Context, draft: JobDraft) -> Job:
    """Create a job and those of its actions that don't exist yet: all of it, or nothing.

    Raises BadInput; Conflict where the id is taken; Unprocessable for a client or an action that
    isn't there, an action that exists with another definition, or one the client can't do.
    """
    ctx.authorize("jobs:create")
    row = _draw(ctx, draft)
    await _settle(ctx, row)
    taken = f"a job with the id '{row.id}' exists already"
    async with _or_distrust(ctx, row.trust_id), ctx.write(taken=taken) as transaction:
        await transaction.insert(row)
        await _assign(ctx, transaction, row, draft.actions)
    return row


async def replace(
    ctx: Context, job_id: str, draft: JobDraft, *, expected_version: int | None = None
) -> Job:
    """Put a job in the place of the one of this id, or create it under the id. As `create`."""
    ctx.authorize("jobs:create")
    draft.job_id = job_id
    new = _draw(ctx, draft)
    await _settle(ctx, new)
    async with _or_distrust(ctx, new.trust_id), ctx.write() as transaction:
        await sessions.release(ctx, transaction, job_id, keep=new.session_id)
        its = {"project_id": ctx.project_id, "id": job_id}
        trust_id = await transaction.scalar(_TRUST, its)
        row = await resolvers.put(ctx, transaction, new, expected_version)
        await _assign(ctx, transaction, row, draft.actions)
    if row.trust_id != trust_id:
        await _distrust(ctx, trust_id)
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
        projections.client_identifier("client_id", values["client_id"])
    if "client_id" in values:
        query = sa.select(COLUMNS.client_id).where(
            COLUMNS.project_id == ctx.project_id, COLUMNS.id == job_id
        )
        if values["client_id"] != await ctx.db.scalar(query):
            # Another client works by another trust, or by none.
            values |= {"user_credentials": None, "trust_id": None}
            values |= await _entrusted(ctx, values["client_id"])
    drafts = changes.get("actions")
    async with _or_distrust(ctx, values.get("trust_id")), ctx.write() as transaction:
        if "session_id" in values:
            await sessions.release(ctx, transaction, job_id, keep=values["session_id"])
        row = await locked(ctx, transaction, Job, job_id, expected_version)
        if "schedule" in changes:
            schedule = documents.merged(orjson.loads(row.job_schedule), changes["schedule"] or {})
            values |= projections.scheduled(schedule)
        moved = values.get("client_id", row.client_id) != row.client_id
        trust_id = row.trust_id
        await change(transaction, row, **values)
        if drafts is not None:
            await _assign(ctx, transaction, row, drafts)
        elif moved:
            its = {"project_id": row.project_id, "job_id": row.id}
            rows = await transaction.objects(Action, _ACTIONS_OF_JOB, its)
            await _check_client(ctx, transaction, row, rows)
    if row.trust_id != trust_id:
        await _distrust(ctx, trust_id)
    return row


async def request(ctx: Context, job_id: str, event: JobEvent) -> bool:
    """Ask a job's scheduler to start, stop or abort it; False where that is asked already.

    Only the event is touched, whatever the scheduler writes meanwhile; a start also forgets how
    the last run went. Raises NotFound.
    """
    ctx.authorize("jobs:event:create")
    async with ctx.write() as transaction:
        row = await locked(ctx, transaction, Job, job_id)
        if row.event == event:
            return False
        schedule = orjson.loads(row.job_schedule) | {"event": event.value}
        if event is JobEvent.START:
            schedule |= {"status": "", "result": ""}
        await change(transaction, row, **projections.scheduled(schedule))
        return True


async def delete(ctx: Context, job_id: str, *, expected_version: int | None = None) -> None:
    """Delete a job; its actions and its backups stay. Raises NotFound, StaleVersion."""
    ctx.authorize("jobs:delete")
    async with ctx.write() as transaction:
        await sessions.release(ctx, transaction, job_id)
        row = await locked(ctx, transaction, Job, job_id, expected_version)
        await transaction.delete(row)
    await _distrust(ctx, row.trust_id)


def search(text: str) -> Where:
    """Look for a text in descriptions, clients, and what the actions back up where."""
    by_action = (
        sa.select(sa.literal_column("1"))
        .select_from(ACTIONS.source)
        .where(
            LINKS.project_id == COLUMNS.project_id,
            LINKS.job_id == COLUMNS.id,
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
    return Either((own, Expression(by_action)))


def _draw(ctx: Context, draft: JobDraft) -> Job:
    """Make the row of a new job, checked but not stored."""
    if draft.job_id:
        projections.identifier("job_id", draft.job_id)
    if draft.client_id:
        projections.client_identifier("client_id", draft.client_id)
    if draft.session_id:
        projections.identifier("session_id", draft.session_id)
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
        **_credentials(draft.user_credentials or {} if may_bring else {}),
        **projections.scheduled(draft.schedule | unsaid),
    )
    projections.fits(row)
    for action in draft.actions:
        _fill(action, draft.action_defaults)
    return row


def _fill(action: ActionDraft, defaults: Mapping[str, Any]) -> None:
    if action.freezer_action is not None:
        for key, value in defaults.items():
            if action.freezer_action.get(key) is None:
                action.freezer_action[key] = value


async def _assign(
    ctx: Context, transaction: Transaction, job: Job, drafts: Sequence[ActionDraft]
) -> None:
    """Give a job its actions: those that exist by their ids, the others created."""
    named = {
        projections.identifier("action_id", draft.action_id) for draft in drafts if draft.action_id
    }
    known: dict[str, Action] = {}
    if named:
        keys = resolvers.named([(ctx.project_id, action_id) for action_id in named])
        query = _known(sqlite=ctx.db.is_sqlite)
        known = {row.id: row for row in await transaction.objects(Action, query, keys)}
    rows, new = [], []
    for draft in drafts:
        if not draft.action_id:
            row = actions.draw(ctx, draft)
            new.append(row)
        elif (known_row := known.get(draft.action_id)) is None:
            raise Unprocessable(
                f"no action with the id {shown(draft.action_id)}", field="action_id"
            )
        else:
            row = known_row
            _check_same(row, draft)
        rows.append(row)
    await _check_client(ctx, transaction, job, rows)
    await transaction.insert(*new)
    its = {"project_id": job.project_id, "job_id": job.id}
    if job.version:  # a new job has no list yet
        await transaction.rows(_UNLIST, its)
    links = [its | {"position": position, "action_id": row.id} for position, row in enumerate(rows)]
    await transaction.each(_LIST, links)


def _check_same(row: Action, draft: ActionDraft) -> None:
    """Refuse another definition of an action that exists; null and absent are the same."""
    if draft.freezer_action is None:
        return
    stored = orjson.loads(row.freezer_action)
    sent = projections.mapping("freezer_action", draft.freezer_action)
    keys = (stored.keys() | sent.keys()) - {"_version", "user_id"}
    if any(stored.get(key) != sent.get(key) for key in keys):
        raise Unprocessable(
            f"the action '{row.id}' exists with another definition: update the action, or leave "
            "out its id to create a new one",
            field="action_id",
        )


@cache
def _known(*, sqlite: bool) -> sa.Select[Any]:
    own, wanted = actions.COLUMNS, resolvers.parents(sqlite=sqlite)
    return sa.select(source(Action)).where(
        own.project_id == wanted.c.of_project, own.id == wanted.c.of_id
    )


async def _settle(ctx: Context, row: Job) -> None:
    """Settle on which client a new job runs, and by which trust."""
    row.client_id = row.client_id or await _only_client(ctx)
    if row.trust_id is None:
        for key, value in (await _entrusted(ctx, row.client_id)).items():
            setattr(row, key, value)


async def _entrusted(ctx: Context, client_id: str | None) -> dict[str, Any]:
    """Columns of the trust by which a central client works for the caller; none for any other.

    Each user of a project has one trust for all their jobs there.
    """
    if ctx.trusts is None or client_id is None:
        return {}
    client = await clients.LISTING.get(ctx, client_id, (clients.COLUMNS.is_central,))
    if client is None or not client[-1]:
        return {}
    # As text: PostgreSQL can't tell whether two documents are equal.
    query = sa.select(sa.cast(COLUMNS.user_credentials, sa.Text)).where(
        COLUMNS.project_id == ctx.project_id, COLUMNS.trust_id.is_not(None)
    )
    given = [orjson.loads(found[0]) for found in await ctx.db.rows(query.distinct())]
    own = [one for one in given if one.get("trustor_user_id") == ctx.identity.user_id]
    return _credentials(own[0] if own else await ctx.trusts.create(ctx.project_id))


def _credentials(credentials: Mapping[str, Any]) -> dict[str, Any]:
    trust_id = credentials.get("trust_id")
    if not credentials:
        return {}
    return {
        "user_credentials": documents.dump(dict(credentials)),
        "trust_id": None if trust_id is None else projections.string("trust_id", trust_id),
    }


async def _distrust(ctx: Context, trust_id: str | None) -> None:
    """Take a trust back when the last job that used it is gone."""
    if ctx.trusts is None or trust_id is None:
        return
    query = sa.select(COLUMNS.id).where(
        COLUMNS.project_id == ctx.project_id, COLUMNS.trust_id == trust_id
    )
    if await ctx.db.scalar(query.limit(1)) is None:
        await ctx.trusts.delete(trust_id)


@asynccontextmanager
async def _or_distrust(ctx: Context, trust_id: str | None) -> AsyncIterator[None]:
    """Take back the trust of a job that isn't stored after all."""
    try:
        yield
    except GatewayError:
        with suppress(GatewayError):  # what went wrong first is what counts
            await _distrust(ctx, trust_id)
        raise


async def _only_client(ctx: Context) -> str | None:
    query = sa.select(clients.COLUMNS.id).where(clients.COLUMNS.project_id == ctx.project_id)
    found = await ctx.db.rows(query.limit(2))
    return found[0][0] if len(found) == 1 else None


async def _check_client(
    ctx: Context, transaction: Transaction, job: Job, rows: Sequence[Action]
) -> None:
    """Refuse a client that isn't registered, and actions that it can't do."""
    if job.client_id is None:
        return
    its = {"project_id": ctx.project_id, "client_id": job.client_id}
    found = await transaction.rows(_CLIENT, its)
    if not found:
        raise Unprocessable(
            f"no client with the id {shown(job.client_id)} is registered", field="client_id"
        )
    for (key, _), words in zip(CAPABILITY.items(), found[0], strict=True):
        able = orjson.loads(words)
        for row in rows:
            if (wanted := getattr(row, key)) is not None and wanted not in able:
                raise Unprocessable(
                    f"the client '{job.client_id}' does not support the {key} {shown(wanted)}",
                    field="client_id",
                )
