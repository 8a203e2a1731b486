"""Mutes, recovery objectives, and the hosts to back up: a project says them of its own health.

None of it is in a v2 document.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue import json_values
from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import new_id
from gateway.catalogue.health_tables import ExpectedHost, HealthMute, RecoveryObjective
from gateway.catalogue.tables import Client, Job, Session, columns, source
from gateway.chains import locking
from gateway.context import Context, ItemKey
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, Conflict, LostRace, NotFound
from gateway.query.selects import keys_parameter, keys_table
from gateway.resolvers import clients, writing
from gateway.resolvers.health import seconds_of
from gateway.resolvers.writing import get_for_update

Result = TypeVar("Result")

MAX_AGE = 100 * 366 * 86_400
"""The longest objective, in seconds."""
MAX_HOSTS = 10_000
"""The number of hosts that a project may expect."""

_TABLES: dict[str, type[SQLModel]] = {"Job": Job, "Client": Client, "Session": Session}
_OF_VIEW = {
    "Job": "job_id",
    "Client": "client_id",
    "Series": "series_id",
    "Session": "session_id",
}
"""The columns that hold the ids of items, by the items' types."""


def _delete_one(table: type[SQLModel], column: str) -> sa.Delete:
    own = columns(table)
    return sa.delete(source(table)).where(
        own.project_id == sa.bindparam("of_project"), own[column] == sa.bindparam("of_id")
    )


_UNMUTE = {column: _delete_one(HealthMute, column) for column in _OF_VIEW.values()}
_MUTE = sa.insert(source(HealthMute))
_CLEAR = {column: _delete_one(RecoveryObjective, column) for column in ("client_id", "series_id")}
_OBJECTIVES = columns(RecoveryObjective)
_CLEAR_PROJECT = sa.delete(source(RecoveryObjective)).where(
    _OBJECTIVES.project_id == sa.bindparam("of_project"),
    _OBJECTIVES.client_id.is_(None),
    _OBJECTIVES.series_id.is_(None),
)
_SET_OBJECTIVE = sa.insert(source(RecoveryObjective))
_REVISIONS = columns(Revision)
_LOCK_PROJECT = (
    sa.select(_REVISIONS.revision)
    .where(_REVISIONS.project_id == sa.bindparam("project_id"))
    .with_for_update()
)
_HOSTS = columns(ExpectedHost)
_CLEAR_HOSTS = sa.delete(source(ExpectedHost)).where(
    _HOSTS.project_id == sa.bindparam("of_project")
)


def _adding(keys: sa.FromClause) -> Any:
    pairs = sa.select(keys.c.of_project, keys.c.of_id)
    return sa.insert(source(ExpectedHost)).from_select(["project_id", "hostname"], pairs)


_ADD_HOSTS = {sqlite: _adding(keys_table(sqlite=sqlite)) for sqlite in (True, False)}
"""Adds all hosts in one statement; by `is_sqlite`."""


async def mute(ctx: Context, view: str, item_id: str, reason: str, until: datetime | None) -> None:
    """Say that the health of an item is known, until a moment, in place of what was said before.

    Raises BadInput for a reason that is empty or too long, and a moment that has passed; NotFound,
    and Forbidden for another project's central client.
    """
    ctx.authorize("health:mute")
    if not reason.strip():
        raise BadInput("'reason' must say why", field="reason")
    now = int(time.time())
    if until is not None and seconds_of(until) <= now:
        raise BadInput(f"'until' must be in the future, not {until.isoformat()}", field="until")
    row = HealthMute(
        project_id=ctx.project_id,
        reason=reason,
        user_id=ctx.identity.user_id,
        user_name=ctx.identity.user_name,
        muted_at=now,
        muted_until=None if until is None else seconds_of(until),
    )
    setattr(row, _OF_VIEW[view], item_id)
    check_lengths(row)
    values = {column.key: getattr(row, column.key) for column in columns(HealthMute)}

    async def write(transaction: Transaction) -> None:
        await _lock(ctx, transaction, view, item_id)
        await transaction.rows(_UNMUTE[_OF_VIEW[view]], _of(ctx, item_id))
        await transaction.rows(_MUTE, values)

    await _transact(ctx, view, item_id, write)


async def unmute(ctx: Context, view: str, item_id: str) -> None:
    """End the mute of an item, if there is one.

    Raises NotFound, and Forbidden for another project's central client.
    """
    ctx.authorize("health:mute")

    async def write(transaction: Transaction) -> None:
        await _lock(ctx, transaction, view, item_id)
        await transaction.rows(_UNMUTE[_OF_VIEW[view]], _of(ctx, item_id))

    await _transact(ctx, view, item_id, write)


async def set_objective(ctx: Context, item: ItemKey | None, max_age: int | None) -> None:
    """Set how many seconds old the newest restore point may be; None for no objective.

    It is that of a client or a series, by the name of its type and its id, or the project's. Raises
    BadInput for an age out of bounds; NotFound, and Forbidden for another project's central client.
    """
    ctx.authorize("health:objectives:set")
    if max_age is not None and not 1 <= max_age <= MAX_AGE:
        raise BadInput(
            f"'maxAge' must be between 1 and {MAX_AGE} seconds, not {max_age}", field="maxAge"
        )
    values: dict[str, Any] = {
        "project_id": ctx.project_id,
        "id": new_id(),
        "client_id": None,
        "series_id": None,
        "max_age": max_age,
    }
    view, item_id = ("", "") if item is None else item
    if item is not None:
        values[_OF_VIEW[view]] = item_id

    async def write(transaction: Transaction) -> None:
        if item is None:
            await transaction.rows(_CLEAR_PROJECT, _of(ctx))
        else:
            await _lock(ctx, transaction, view, item_id)
            await transaction.rows(_CLEAR[_OF_VIEW[view]], _of(ctx, item_id))
        if max_age is not None:
            await transaction.rows(_SET_OBJECTIVE, values)

    if item is None:
        await _put(ctx, write)
    else:
        await _transact(ctx, view, item_id, write)


async def set_hosts(ctx: Context, hostnames: Sequence[str]) -> int:
    """Set the hosts that should be backed up, in place of those before; return their number.

    Raises BadInput for an empty name, one that is too long, or too many.
    """
    ctx.authorize("health:hosts:set")
    names = sorted(set(hostnames))
    check_hosts(names, "hostnames", MAX_HOSTS)
    keys = keys_parameter([(ctx.project_id, name) for name in names])

    async def write(transaction: Transaction) -> int:
        await transaction.rows(_CLEAR_HOSTS, _of(ctx))
        await transaction.rows(_ADD_HOSTS[ctx.db.is_sqlite], keys)
        return len(names)

    return await _put(ctx, write)


async def _put(ctx: Context, write: Callable[[Transaction], Awaitable[Result]]) -> Result:
    """Replace rows that are of no item, one request after the other; return what `write` does."""

    async def locked(transaction: Transaction) -> Result:
        # Nobody who has locked it needs another lock.
        await transaction.rows(_LOCK_PROJECT, {"project_id": ctx.project_id})
        return await write(transaction)

    async def attempt() -> Result:
        try:
            return await writing.transact(ctx, locked)
        except Conflict as error:
            # The project had nothing to lock, and another request was faster.
            raise LostRace from error

    return await writing.retry(attempt, LostRace)


def check_hosts(names: Sequence[str], field: str, limit: int) -> None:
    """Check the names of hosts. Raises BadInput, about this field."""
    if len(names) > limit:
        raise BadInput(f"'{field}' has {len(names)} names, the limit is {limit}", field=field)
    for name in names:
        if not name or "\0" in name:
            raise BadInput(f"'{field}' has a name that no host can have", field=field)
        json_values.check(name)
        check_lengths(ExpectedHost(project_id="", hostname=name))


def _of(ctx: Context, item_id: str | None = None) -> dict[str, str | None]:
    return {"of_project": ctx.project_id, "of_id": item_id}


async def _lock(ctx: Context, transaction: Transaction, view: str, item_id: str) -> None:
    """Lock an item of the project, so that nobody else writes of it. Raises NotFound."""
    if view != "Series":
        row: Any = await get_for_update(ctx, transaction, _TABLES[view], item_id)
        # Other projects see a central client, and what is said of it.
        transaction.changed_central |= view == "Client" and row.is_central
    elif await locking.lock_series(transaction, ctx.project_id, item_id) is None:
        raise NotFound(f"no series with the id '{item_id}' in this project", field="id")


async def _transact(ctx: Context, view: str, item_id: str, write: Any) -> None:
    try:
        await writing.transact(ctx, write)
    except NotFound:
        if view == "Client":
            await clients.check_own(ctx, item_id)
        raise
