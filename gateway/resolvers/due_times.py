"""The next runs of jobs: worked out with every write of a job, and anew for another time zone."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.catalogue import due
from gateway.catalogue.bookkeeping_tables import ProjectSettings
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.due import Due
from gateway.catalogue.tables import Client, Job, Session, columns, source
from gateway.catalogue.timetables import GRACE, KEYS
from gateway.context import Context
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.query.clock import MOMENT
from gateway.query.filters import Condition
from gateway.query.json_lists import json_row
from gateway.query.selects import CALLER

MAX_AT_ONCE = 500
"""How many jobs follow the time zone of their project at once; others wait for the upkeep."""

COLUMNS = columns(Job)
_CLIENTS, _SESSIONS, _SETTINGS = columns(Client), columns(Session), columns(ProjectSettings)

INPUTS = tuple(COLUMNS[name] for name in due.INPUTS)
"""The columns to select of a job for `inputs`."""
REPORT = frozenset({"schedule", "session_id", "session_tag"})
"""All that a scheduler's reports change of a job: see its `update_job_metadata`."""

OVERDUE = Condition(
    COLUMNS.due_at,
    "isNull",
    False,  # noqa: FBT003 - the operator's value
    COLUMNS.due_at < MOMENT - sa.literal_column(str(GRACE), sa.BigInteger),
)
"""The condition that a job's next run is overdue, at the moment that the list is asked about."""

OF_NEXT_RUN = ("due_at", "due_basis", "due_zone", *KEYS)
"""The columns of a job that tell of its next run, and of those after it."""
# A sum, so that no database takes the index on this column, of all jobs of the project.
_DUE = COLUMNS.due_at + sa.literal_column("0")
NEXT_OF_SESSION = sa.type_coerce(
    sa.select(json_row(*(COLUMNS[name] for name in OF_NEXT_RUN)))
    .where(
        COLUMNS.project_id == _SESSIONS.project_id,
        COLUMNS.session_id == _SESSIONS.id,
        _DUE.is_not(None),
    )
    .order_by(_DUE, COLUMNS.id)
    .limit(sa.literal_column("1"))
    .correlate(source(Session))
    .scalar_subquery(),
    JSONText(),
)
"""These columns of the job that begins the next run of a session: the first that is due."""

PROJECT_ZONE = sa.select(_SETTINGS.time_zone).where(_SETTINGS.project_id == CALLER)
"""The time zone that the project has set."""


def _client_zone(client_id: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Return the time zone of the client of an id: the project's own, else a central one."""
    return (
        sa.select(_CLIENTS.time_zone)
        .where(
            _CLIENTS.id == client_id,
            sa.or_(_CLIENTS.project_id == CALLER, _CLIENTS.is_central),
        )
        .order_by(_CLIENTS.project_id != CALLER)
        .limit(1)
    )


_ZONE = sa.select(
    sa.func.coalesce(
        _client_zone(sa.bindparam("client_id")).scalar_subquery(), PROJECT_ZONE.scalar_subquery()
    )
)
"""The time zone of a client's host; if none is known, that of the project."""
_OF_CLIENT = (
    sa.select(COLUMNS.id, *INPUTS)
    .where(COLUMNS.project_id == CALLER, COLUMNS.client_id == sa.bindparam("client_id"))
    .order_by(COLUMNS.id)
    .with_for_update()
)
_OF_PROJECT = (
    sa.select(COLUMNS.id, *INPUTS)
    .where(
        COLUMNS.project_id == CALLER,
        _client_zone(COLUMNS.client_id).correlate(source(Job)).scalar_subquery().is_(None),
    )
    .order_by(COLUMNS.id)
    .limit(MAX_AT_ONCE)
    .with_for_update(of=source(Job))
)
_SET = (
    sa.update(source(Job))
    .where(COLUMNS.project_id == sa.bindparam("of_project"), COLUMNS.id == sa.bindparam("of_id"))
    .values({name: sa.bindparam(name) for name in (*due.COLUMNS, "due_version")})
)


def inputs(row: Row) -> dict[str, Any]:
    """Return the columns of a job that `INPUTS` were selected of."""
    return {name: getattr(row, name) for name in due.INPUTS}


async def of_new(ctx: Context, row: Job) -> dict[str, Any]:
    """Return the columns of the next run of a new job. Raises Unavailable."""
    zone = await ctx.db.scalar(_ZONE, _client_key(ctx, row.client_id))
    found = await _worked_out(Due(None, vars(row), zone or ctx.host_time_zone))
    return found | {"due_version": row.version}


async def of_replaced(
    ctx: Context, transaction: Transaction, row: Job, stored: Sequence[Row]
) -> dict[str, Any]:
    """Return the columns of the next run of a job that replaces the stored one, if there is one.

    The stored one was selected with `INPUTS`. Raises the driver's errors.
    """
    zone = await transaction.scalar(_ZONE, _client_key(ctx, row.client_id))
    before = inputs(stored[0]) if stored else None
    found = await _worked_out(Due(before, vars(row), zone or ctx.host_time_zone))
    return found | {"due_version": before["version"] + 1 if before else row.version}


async def of_changed(
    ctx: Context,
    transaction: Transaction,
    row: Job,
    values: Mapping[str, Any],
    *,
    reported: bool = False,
) -> dict[str, Any]:
    """Return the columns of the next run of a stored job that gets these values.

    `reported` is True if a scheduler reports them. Raises the driver's errors.
    """
    after = {**vars(row), **values}
    zone = row.due_zone or ctx.host_time_zone
    if after["client_id"] != row.client_id:
        zone = await transaction.scalar(_ZONE, _client_key(ctx, after["client_id"]))
        zone = zone or ctx.host_time_zone
    found = await _worked_out(Due(vars(row), after, zone), reported=reported)
    # An index isn't written for a value that stays.
    changed = {name: value for name, value in found.items() if getattr(row, name) != value}
    return changed | {"due_version": row.version + 1}


async def renew_of_client(
    ctx: Context, transaction: Transaction, client_id: str, zone: str | None
) -> None:
    """Work out anew the next runs of a client's jobs in the project, in another time zone.

    Raises the driver's errors.
    """
    if zone is None:
        zone = await transaction.scalar(PROJECT_ZONE, {"project_id": ctx.project_id})
    rows = await transaction.rows(_OF_CLIENT, _client_key(ctx, client_id))
    await _renew(ctx, transaction, rows, zone)


async def renew_of_project(ctx: Context, transaction: Transaction, zone: str | None) -> None:
    """Work out anew the next runs of jobs whose client has no time zone, in that of their project.

    Of more than `MAX_AT_ONCE`, the others follow in the course of some minutes. Raises the driver's
    errors.
    """
    rows = await transaction.rows(_OF_PROJECT, {"project_id": ctx.project_id})
    await _renew(ctx, transaction, rows, zone)


async def _renew(
    ctx: Context, transaction: Transaction, rows: Sequence[Row], zone: str | None
) -> None:
    worked_out = await asyncio.to_thread(_of_stored, rows, zone or ctx.host_time_zone)
    await transaction.execute_many(
        _SET,
        [
            {**found, "due_version": row.version, "of_project": ctx.project_id, "of_id": row.id}
            for row, found in zip(rows, worked_out, strict=True)
        ],
        is_told=True,
    )
    for row in rows:
        transaction.tell(ChangeKind.JOB, ctx.project_id, row.id, version=row.version)


def _of_stored(rows: Sequence[Row], zone: str | None) -> list[dict[str, Any]]:
    return [Due(None, inputs(row), zone).columns_of_stored() for row in rows]


async def _worked_out(found: Due, *, reported: bool = False) -> dict[str, Any]:
    """Return the columns, worked out in a thread if that can take long."""
    if found.is_slow:
        return await asyncio.to_thread(found.columns, reported=reported)
    return found.columns(reported=reported)


def _client_key(ctx: Context, client_id: str | None) -> dict[str, str | None]:
    return {"project_id": ctx.project_id, "client_id": client_id}
