"""Actions: the tasks of agents, on their own and in the lists of jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.tables import Action, Job, JobAction, columns, new_id, now, source
from gateway.context import Context
from gateway.errors import BadInput
from gateway.query import filters
from gateway.query.filters import Where
from gateway.query.selects import CALLER
from gateway.resolvers import rules, writing
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Action)
LINKS = columns(JobAction)
COLLECTION = collection(Action, rules.ACTIONS, COLUMNS.id)

OF_JOB = (LINKS.project_id, LINKS.job_id)

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
    .values(version=_JOBS.version + 1, updated_at=sa.bindparam("updated_at"))
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
    async with ctx.write(conflict_message=conflict_message) as transaction:
        await transaction.insert(row)
    return row


async def update(
    ctx: Context,
    action_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Action:
    """Change an action in every job that runs it, and return its row.

    `freezer_action` is a merge patch, the other keys are columns. Raises NotFound, StaleVersion and
    BadInput.
    """
    ctx.authorize("actions:update")
    async with ctx.write() as transaction:
        row = await get_for_update(ctx, transaction, Action, action_id, expected_version)
        document = orjson.loads(row.freezer_action)
        values = dict(changes)
        if "freezer_action" in values:
            patch = checks.mapping("freezer_action", values.pop("freezer_action"))
            document = json_values.merge_patch(document, patch)
        text = json_values.dump(document, what="'freezer_action'")
        values |= {"freezer_action": text, **projections.action(document)}
        await update_row(transaction, row, **values)
    return row


async def replace(
    ctx: Context, action_id: str, draft: ActionDraft, *, expected_version: int | None = None
) -> Action:
    """Replace the action of this id, or create it, and return its row.

    Raises BadInput and StaleVersion.
    """
    ctx.authorize("actions:replace")
    draft.action_id = action_id
    async with ctx.write() as transaction:
        return await writing.upsert(ctx, transaction, build_row(ctx, draft), expected_version)


async def delete(ctx: Context, action_id: str, *, expected_version: int | None = None) -> None:
    """Delete an action, in the lists of jobs as well. Raises NotFound and StaleVersion.

    The jobs get new versions, since their lists change.
    """
    ctx.authorize("actions:delete")
    async with ctx.write() as transaction:
        used = {"project_id": ctx.project_id, "action_id": action_id}
        # As every change of a job's list: first the job is locked, then the action.
        await transaction.rows(_LOCK_JOBS, used)
        row = await get_for_update(ctx, transaction, Action, action_id, expected_version)
        await transaction.rows(_COUNT_CHANGE_OF_JOBS, used | {"updated_at": now()})
        await transaction.delete(row)


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a name, container or path."""
    return filters.search(
        text,
        ids=(COLUMNS.id,),
        names=(COLUMNS.backup_name, COLUMNS.container, COLUMNS.path_to_backup),
    )
