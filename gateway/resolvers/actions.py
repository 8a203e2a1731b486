"""Actions: the tasks of agents, on their own and in the lists of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import new_id, now
from gateway.catalogue.tables import Action, Job, JobAction, columns, source
from gateway.catalogue.vocabularies import CAPABILITY_OF
from gateway.context import Context
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, Unprocessable, shown
from gateway.query import filters
from gateway.query.filters import Where
from gateway.query.selects import CALLER
from gateway.resolvers import clients, rules, writing
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Action)
LINKS = columns(JobAction)
COLLECTION = collection(Action, rules.ACTIONS, COLUMNS.id)

_JOBS = columns(Job)
_USE_ACTION = (
    _JOBS.project_id == CALLER,
    _JOBS.id.in_(
        sa.select(LINKS.job_id).where(
            LINKS.project_id == CALLER, LINKS.action_id == sa.bindparam("action_id")
        )
    ),
)
_LOCK_JOBS = sa.select(_JOBS.id).where(*_USE_ACTION).order_by(_JOBS.id).with_for_update()
_COUNT_CHANGE_OF_JOBS = (
    sa.update(source(Job))
    .where(*_USE_ACTION)
    .values(
        version=_JOBS.version + 1,
        due_version=_JOBS.due_version + 1,
        updated_at=sa.bindparam("updated_at"),
    )
    .returning(_JOBS.id, _JOBS.version)
)
_SELECT_LISTS = (
    sa.select(LINKS.job_id, LINKS.position, LINKS.action_id)
    .where(
        LINKS.project_id == CALLER,
        LINKS.job_id.in_(
            sa.select(LINKS.job_id).where(
                LINKS.project_id == CALLER, LINKS.action_id == sa.bindparam("action_id")
            )
        ),
    )
    .order_by(LINKS.job_id, LINKS.position)
)
"""The lists that an action is in."""
_MOVE = (
    sa.update(source(JobAction))
    .where(
        LINKS.project_id == sa.bindparam("of_project"),
        LINKS.job_id == sa.bindparam("of_job"),
        LINKS.position == sa.bindparam("from_place"),
    )
    .values(position=sa.bindparam("to_place"))
)
_CLIENTS_OF_JOBS = (
    sa.select(
        _JOBS.id,
        _JOBS.client_id,
        *(clients.COLUMNS[capability] for capability in CAPABILITY_OF.values()),
    )
    .join_from(source(Job), clients.COLLECTION.source, clients.COLUMNS.id == _JOBS.client_id)
    .where(*_USE_ACTION, clients.VISIBLE)
    # The project's own client of an id comes after a central one.
    .order_by(_JOBS.id, clients.COLUMNS.project_id == CALLER)
)
"""The jobs that use an action, with the capabilities of the registered clients that run them."""


_SELECT = sa.select(source(Action)).where(
    COLUMNS.project_id == CALLER, COLUMNS.id == sa.bindparam("id")
)


@dataclass
class ActionDraft:
    """An action to create, or, with only its id, a reference to one that exists.

    None stands for a column's default. `max_retries` is the number of tries, `max_retries_interval`
    the pause between them in seconds; a job ends when a `mandatory` action fails.
    """

    freezer_action: dict[str, Any] | None = None
    action_id: str | None = None
    max_retries: int | None = None
    max_retries_interval: int | None = None
    mandatory: bool | None = None

    def fill_in(self, defaults: Mapping[str, Any]) -> None:
        """Give the keys that `freezer_action`, if there is one, lacks these values."""
        if self.freezer_action is not None:
            for key, value in defaults.items():
                if self.freezer_action.get(key) is None:
                    self.freezer_action[key] = value


def build_row(ctx: Context, draft: ActionDraft) -> Action:
    """Return the checked row of a new action, without storing it. Raises BadInput."""
    if draft.freezer_action is None:
        raise BadInput("'freezer_action' is a required property", field="freezer_action")
    checks.mapping("freezer_action", draft.freezer_action)
    if draft.action_id:
        checks.identifier("action_id", draft.action_id)
    given = {
        key: value
        for key in ("max_retries", "max_retries_interval", "mandatory")
        if (value := getattr(draft, key)) is not None
    }
    row = Action(
        project_id=ctx.project_id,
        id=draft.action_id or new_id(),
        user_id=ctx.identity.user_id,
        freezer_action=json_values.dump(draft.freezer_action, what="'freezer_action'"),
        **given | projections.action(draft.freezer_action),
    )
    check_lengths(row)
    return row


async def create(ctx: Context, draft: ActionDraft) -> Action:
    """Create an action and return its row. Raises BadInput, and Conflict for an id in use."""
    ctx.authorize("actions:create")
    row = build_row(ctx, draft)
    conflict_message = f"an action with the id '{row.id}' exists already"

    async def write(transaction: Transaction) -> Action:
        await transaction.insert(row)
        return row

    return await writing.transact(ctx, write, conflict_message=conflict_message)


async def update(
    ctx: Context,
    action_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Action:
    """Change an action in every job that runs it, and return its row.

    `freezer_action` is a merge patch, the other keys are columns. Raises NotFound, StaleVersion,
    BadInput, and Unprocessable for an action that the client of one of the jobs doesn't support.
    """
    ctx.authorize("actions:update")

    async def write(transaction: Transaction) -> Action:
        if "freezer_action" in changes:
            await _lock_jobs(ctx, transaction, action_id)
        row = await get_for_update(ctx, transaction, Action, action_id, expected_version)
        stored = document = orjson.loads(row.freezer_action)
        values = dict(changes)
        if "freezer_action" in values:
            patch = checks.mapping("freezer_action", values.pop("freezer_action"))
            document = json_values.merge_patch(document, patch)
        text = json_values.dump(document, what="'freezer_action'")
        values |= {"freezer_action": text, **projections.action(document, stored)}
        before = _needs(row)
        await update_row(transaction, row, **values)
        await _check_clients(ctx, transaction, row, before)
        return row

    return await writing.transact(ctx, write)


async def replace(
    ctx: Context, action_id: str, draft: ActionDraft, *, expected_version: int | None = None
) -> Action:
    """Replace the action of this id, or create it, and return its row.

    Raises BadInput, StaleVersion and Unprocessable as `update` does.
    """
    ctx.authorize("actions:replace")
    draft.action_id = action_id
    new = build_row(ctx, draft)

    async def write(transaction: Transaction) -> Action:
        await _lock_jobs(ctx, transaction, action_id)
        key = {"project_id": ctx.project_id, "id": action_id}
        before = [_needs(row) for row in await transaction.objects(Action, _SELECT, key)]
        row = await writing.upsert(ctx, transaction, new, expected_version)
        if before:
            await _check_clients(ctx, transaction, row, before[0])
        return row

    return await writing.transact(ctx, write)


async def delete(ctx: Context, action_id: str, *, expected_version: int | None = None) -> None:
    """Delete an action, in the lists of jobs as well. Raises NotFound and StaleVersion.

    The jobs get new versions, since their lists change, and close the gaps in them.
    """
    ctx.authorize("actions:delete")

    async def write(transaction: Transaction) -> None:
        used = {"project_id": ctx.project_id, "action_id": action_id}
        await _lock_jobs(ctx, transaction, action_id)
        row = await get_for_update(ctx, transaction, Action, action_id, expected_version)
        given = used | {"updated_at": now()}
        for job_id, version in await transaction.rows(_COUNT_CHANGE_OF_JOBS, given, is_told=True):
            transaction.tell(ChangeKind.JOB, ctx.project_id, job_id, version=version)
        lists = await transaction.rows(_SELECT_LISTS, used)
        await transaction.delete(row)
        await _close_gaps(ctx, transaction, lists, action_id)

    await writing.transact(ctx, write)


async def _lock_jobs(ctx: Context, transaction: Transaction, action_id: str) -> None:
    """Lock the jobs that use an action, before it, as every change of a job's list does."""
    used = {"project_id": ctx.project_id, "action_id": action_id}
    await transaction.rows(_LOCK_JOBS, used)


async def _close_gaps(
    ctx: Context, transaction: Transaction, lists: Sequence[Row], action_id: str
) -> None:
    """Number the places of lists that an action has been deleted from, from 0 without gaps."""
    places: dict[str, int] = {}
    moves = []
    for job_id, position, used_id in lists:
        if used_id == action_id:
            continue
        place = places[job_id] = places.get(job_id, -1) + 1
        if place != position:
            # In ascending order: each moves to a place that is free already.
            moves.append(
                {"of_project": ctx.project_id, "of_job": job_id}
                | {"from_place": position, "to_place": place}
            )
    await transaction.execute_many(_MOVE, moves)


def _needs(row: Action) -> Mapping[str, str | None]:
    """Return what an action needs of a client, by column."""
    return {key: getattr(row, key) for key in CAPABILITY_OF}


async def _check_clients(
    ctx: Context, transaction: Transaction, row: Action, before: Mapping[str, str | None]
) -> None:
    """Check that the clients of the jobs that use an action support what has changed in it.

    `before` is what it needed so far. Raises Unprocessable.
    """
    changed = {
        key: word for key, word in _needs(row).items() if word is not None and word != before[key]
    }
    if not changed:
        return
    used = {"project_id": ctx.project_id, "action_id": row.id}
    found = {each[0]: each for each in await transaction.rows(_CLIENTS_OF_JOBS, used)}
    for job_id, client_id, *capabilities in found.values():
        for key, words in zip(CAPABILITY_OF, capabilities, strict=True):
            if key in changed and changed[key] not in orjson.loads(words):
                raise Unprocessable(
                    f"the job '{job_id}' runs the action on the client '{client_id}', which does "
                    f"not support the {key} {shown(changed[key])}",
                    field="freezer_action",
                )


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a name, container or path."""
    return filters.search(Action, text, "id")
