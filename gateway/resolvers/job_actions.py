"""The actions of jobs: which, in which order, and whether the job's client can do them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks
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
"""The actions in the lists of jobs, in their order there."""
OF_JOB = (COLUMNS.project_id, COLUMNS.job_id)

# A job may run an action twice, and is listed once.
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
    sa.select(*(clients.COLUMNS[capability] for capability in CAPABILITY_OF.values()))
    .where(clients.COLUMNS.id == sa.bindparam("client_id"), clients.VISIBLE)
    .order_by(clients.COLUMNS.project_id != CALLER)
    .limit(1)
)
"""What the client can that a project means by an id: its own, else a central one."""
_LISTED = (COLUMNS.project_id == CALLER, COLUMNS.job_id == sa.bindparam("job_id"))
_ITS = sa.select(source(Action)).select_from(COLLECTION.source).where(*_LISTED)
_UNLIST = sa.delete(source(JobAction)).where(*_LISTED)
_LIST = sa.insert(source(JobAction))


async def assign(
    ctx: Context, transaction: Transaction, job: Job, drafts: Sequence[ActionDraft]
) -> None:
    """Give a job its actions: those that exist by their ids, the others created.

    Raises BadInput; Unprocessable for a client or an action that isn't there, an action that exists
    with another definition, or one that the client can't do.
    """
    named = {checks.identifier("action_id", draft.action_id) for draft in drafts if draft.action_id}
    known: dict[str, Action] = {}
    if named:
        keys = keys_parameter([(ctx.project_id, action_id) for action_id in named])
        query = _known(sqlite=ctx.db.is_sqlite)
        known = {row.id: row for row in await transaction.objects(Action, query, keys)}
    rows, new = [], []
    for draft in drafts:
        if not draft.action_id:
            row = actions.build_row(ctx, draft)
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
    await transaction.execute_many(_LIST, links)


async def check(ctx: Context, transaction: Transaction, job: Job) -> None:
    """Refuse a client that isn't registered, and one that can't do what the job has it do."""
    its = {"project_id": job.project_id, "job_id": job.id}
    rows = await transaction.objects(Action, _ITS, its)
    await _check_client(ctx, transaction, job, rows)


def _check_same(row: Action, draft: ActionDraft) -> None:
    """Refuse another definition of an action that exists; null and absent are the same."""
    if draft.freezer_action is None:
        return
    stored = orjson.loads(row.freezer_action)
    sent = checks.mapping("freezer_action", draft.freezer_action)
    keys = (stored.keys() | sent.keys()) - {"_version", "user_id"}
    if any(stored.get(key) != sent.get(key) for key in keys):
        raise Unprocessable(
            f"the action '{row.id}' exists with another definition: update the action, or leave "
            "out its id to create a new one",
            field="action_id",
        )


@cache
def _known(*, sqlite: bool) -> sa.Select[Any]:
    """The actions of these ids, none of which may go until the job's list is written.

    Whoever deletes one waits here, before any list's places are locked, or is waited for.
    """
    own, wanted = actions.COLUMNS, keys_table(sqlite=sqlite)
    query = sa.select(source(Action)).where(
        own.project_id == wanted.c.of_project, own.id == wanted.c.of_id
    )
    return query.with_for_update(read=True, key_share=True, of=source(Action))


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
    for (key, _), words in zip(CAPABILITY_OF.items(), found[0], strict=True):
        able = orjson.loads(words)
        for row in rows:
            if (wanted := getattr(row, key)) is not None and wanted not in able:
                raise Unprocessable(
                    f"the client '{job.client_id}' does not support the {key} {shown(wanted)}",
                    field="client_id",
                )
