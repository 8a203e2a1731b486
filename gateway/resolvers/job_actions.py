"""The lists of actions in jobs: reading, writing, and the check of the client's capabilities."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, projections
from gateway.catalogue.tables import Action, Job, JobAction, columns, source
from gateway.catalogue.vocabularies import CAPABILITY_OF
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.errors import Unprocessable, shown
from gateway.query.selects import CALLER, keys_parameter, keys_table
from gateway.resolvers import actions, clients, rules
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.collection import collection

COLUMNS = columns(JobAction)
_JOBS = columns(Job)

COLLECTION = collection(
    Action,
    rules.ACTIONS,
    COLUMNS.position,
    through=source(JobAction),
    on=sa.and_(
        actions.COLUMNS.project_id == COLUMNS.project_id, actions.COLUMNS.id == COLUMNS.action_id
    ),
)
"""The actions of jobs, in the order of their lists."""
OF_JOB = (COLUMNS.project_id, COLUMNS.job_id)

# Distinct, since a job may run an action twice.
_USES = sa.select(COLUMNS.project_id, COLUMNS.action_id, COLUMNS.job_id).distinct().subquery("uses")
USES = collection(
    Job,
    rules.JOBS,
    _JOBS.description,
    _JOBS.id,
    through=_USES,
    on=sa.and_(_JOBS.project_id == _USES.c.project_id, _JOBS.id == _USES.c.job_id),
)
"""The jobs that use an action."""
OF_ACTION = (_USES.c.project_id, _USES.c.action_id)

_CLIENT = (
    sa.select(
        clients.COLUMNS.hostname,
        *(clients.COLUMNS[capability] for capability in CAPABILITY_OF.values()),
    )
    .where(clients.COLUMNS.id == sa.bindparam("client_id"), clients.VISIBLE)
    .order_by(clients.COLUMNS.project_id != CALLER)
    .limit(1)
)
"""The host and capabilities of the client of an id: the project's own, else a central one."""
_IN_LIST = (COLUMNS.project_id == CALLER, COLUMNS.job_id == sa.bindparam("job_id"))
_SELECT_ACTIONS = sa.select(source(Action)).select_from(COLLECTION.source).where(*_IN_LIST)
_SELECT_LIST = sa.select(COLUMNS.action_id).where(*_IN_LIST).order_by(COLUMNS.position)
_DELETE_LINKS = sa.delete(source(JobAction)).where(*_IN_LIST)
_INSERT_LINKS = sa.insert(source(JobAction))


async def assign(
    ctx: Context,
    transaction: Transaction,
    job: Job,
    drafts: Sequence[ActionDraft],
    *,
    is_of_client: bool = False,
) -> None:
    """Set a job's list of actions: drafts of an action that exists refer to it, others create one.

    A draft with an id that doesn't exist creates an action of that id if it has a definition.

    A job that `is_of_client` already may keep the list that it has, whatever the client supports.
    Raises BadInput; Unprocessable for an unknown client or action, an action that exists with
    another definition, or one that the client doesn't support.
    """
    action_ids = {
        checks.identifier("action_id", draft.action_id) for draft in drafts if draft.action_id
    }
    stored: dict[str, Action] = {}
    if action_ids:
        keys = keys_parameter([(ctx.project_id, action_id) for action_id in action_ids])
        query = _select_and_lock(sqlite=ctx.db.is_sqlite)
        stored = {row.id: row for row in await transaction.objects(Action, query, keys)}
    new = []
    for draft in drafts:
        if draft.action_id and draft.freezer_action is not None and draft.action_id not in stored:
            stored[draft.action_id] = actions.build_row(ctx, draft)
            new.append(stored[draft.action_id])
    rows = []
    for draft in drafts:
        if not draft.action_id:
            row = actions.build_row(ctx, draft)
            new.append(row)
        elif (stored_row := stored.get(draft.action_id)) is None:
            raise Unprocessable(
                f"no action with the id {shown(draft.action_id)}, and no definition to create it",
                field="action_id",
            )
        else:
            row = stored_row
            _check_same(row, draft)
        rows.append(row)
    job_key = {"project_id": job.project_id, "job_id": job.id}
    try:
        await _check_client(ctx, transaction, job, rows)
    except Unprocessable:
        listed = await transaction.rows(_SELECT_LIST, job_key) if is_of_client else None
        if listed is None or [link[0] for link in listed] != [row.id for row in rows]:
            raise
    await transaction.insert(*new)
    if job.version:  # a new job has no list yet
        await transaction.rows(_DELETE_LINKS, job_key)
    links = [
        job_key | {"position": position, "action_id": row.id} for position, row in enumerate(rows)
    ]
    await transaction.execute_many(_INSERT_LINKS, links)


async def check(ctx: Context, transaction: Transaction, job: Job) -> None:
    """Check that a job's client is registered, and supports the job's actions.

    Raises Unprocessable.
    """
    job_key = {"project_id": job.project_id, "job_id": job.id}
    rows = await transaction.objects(Action, _SELECT_ACTIONS, job_key)
    await _check_client(ctx, transaction, job, rows)


async def check_drafts(ctx: Context, client_id: str, drafts: Sequence[ActionDraft]) -> str | None:
    """Check that a client is registered, and supports new actions; return the name of its host.

    Raises BadInput, Unprocessable and Unavailable.
    """
    rows = [actions.build_row(ctx, draft) for draft in drafts]
    client_key = {"project_id": ctx.project_id, "client_id": client_id}
    found = await ctx.db.rows(_CLIENT, client_key)
    _check_supported(client_id, found, rows)
    hostname: str | None = found[0].hostname
    return hostname


def _check_same(row: Action, draft: ActionDraft) -> None:
    """Check that a draft has the definition of the stored action; null equals an absent key.

    Raises BadInput and Unprocessable.
    """
    if draft.freezer_action is None:
        return
    stored = orjson.loads(row.freezer_action)
    given = checks.mapping("freezer_action", draft.freezer_action)
    keys = (stored.keys() | given.keys()) - {"_version", "user_id"}
    if any(stored.get(key) != given.get(key) for key in keys):
        projections.action(given, stored)
        raise Unprocessable(
            f"the action '{row.id}' exists with another definition: update the action, or leave "
            "out its id to create a new one",
            field="action_id",
        )


@cache
def _select_and_lock(*, sqlite: bool) -> sa.Select[Any]:
    """Return the query of the actions of these keys, locked so that none can be deleted.

    Both this and a deletion lock actions before links, so that neither can deadlock the other.
    """
    own, keys = actions.COLUMNS, keys_table(sqlite=sqlite)
    query = sa.select(source(Action)).where(
        own.project_id == keys.c.of_project, own.id == keys.c.of_id
    )
    return query.with_for_update(read=True, key_share=True, of=source(Action))


async def _check_client(
    ctx: Context, transaction: Transaction, job: Job, rows: Sequence[Action]
) -> None:
    """Check that a job's client is registered, and supports these actions.

    Raises Unprocessable.
    """
    if job.client_id is None:
        return
    client_key = {"project_id": ctx.project_id, "client_id": job.client_id}
    _check_supported(job.client_id, await transaction.rows(_CLIENT, client_key), rows)


def _check_supported(client_id: str, found: Sequence[Any], rows: Sequence[Action]) -> None:
    if not found:
        raise Unprocessable(
            f"no client with the id {shown(client_id)} is registered", field="client_id"
        )
    for key, words in zip(CAPABILITY_OF, found[0][1:], strict=True):
        supported = orjson.loads(words)
        for row in rows:
            if (word := getattr(row, key)) is not None and word not in supported:
                raise Unprocessable(
                    f"the client '{client_id}' does not support the {key} {shown(word)}",
                    field="client_id",
                )
