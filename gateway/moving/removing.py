"""Deleting what was deleted in freezer-api, as its users would have deleted it here."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.tables import Action, Backup, Client, Job, Session, columns, source
from gateway.chains import keeping, locking
from gateway.db.database import Database
from gateway.errors import LostRace, Unavailable
from gateway.moving.counts import RowResult
from gateway.moving.writing import MAX_ATTEMPTS, listed

BATCH = 500
"""The rows that are deleted in one transaction."""
_TABLES: Mapping[str, type[SQLModel]] = {
    "clients": Client,
    "sessions": Session,
    "actions": Action,
    "jobs": Job,
    "backups": Backup,
}


def _find(table: type[SQLModel], *, is_sqlite: bool) -> sa.Select[Any]:
    own = columns(table)
    return (
        sa.select(own.id, own.updated_at)
        .where(own.project_id == sa.bindparam("project_id"), own.id.in_(listed(is_sqlite)))
        .order_by(own.id)
    )


def _lock(table: type[SQLModel]) -> sa.Select[Any]:
    own = columns(table)
    key = own.project_id == sa.bindparam("project_id"), own.id == sa.bindparam("id")
    return sa.select(source(table)).where(*key).with_for_update()


_FIND = {
    (name, is_sqlite): _find(table, is_sqlite=is_sqlite)
    for name, table in _TABLES.items()
    for is_sqlite in (True, False)
}
_LOCK = {name: _lock(table) for name, table in _TABLES.items()}

Key = tuple[str, str]
"""A project and an id in it."""


async def remove(
    database: Database,
    table: str,
    keys: Mapping[Key, datetime | None],
    mirror: str,
    left: Collection[Key] | None,
) -> Mapping[Key, RowResult]:
    """Delete those of these items that are here, but for those that were changed here since.

    The items have the time at which they were deleted there, if it is known. `left` is as in
    `writing.write`. Returns what became of each that was here. Raises Unavailable, and BadInput for
    a mirror that was ended.
    """
    results: dict[Key, RowResult] = {}
    by_project: dict[str, list[str]] = {}
    for project_id, own_id in keys:
        by_project.setdefault(project_id, []).append(own_id)
    for project_id, ids in by_project.items():
        values = {"project_id": project_id, "ids": orjson.dumps(ids).decode()}
        found = await database.rows(_FIND[table, database.is_sqlite], values)
        doomed = []
        for row in found:
            key = project_id, row.id
            when = keys[key]
            is_newer = when is not None and row.updated_at > when
            stays = is_newer and (left is None or key in left)
            results[key] = RowResult.LEFT if stays else RowResult.UPDATED
            if not stays:
                doomed.append(row.id)
        for at in range(0, len(doomed), BATCH):
            await _delete(database, table, project_id, doomed[at : at + BATCH], mirror)
    return results


async def _delete(
    database: Database, table: str, project_id: str, ids: Sequence[str], mirror: str
) -> None:
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.write(project_id, mirror=mirror) as transaction:
                for own_id in ids:
                    key = {"project_id": project_id, "id": own_id}
                    series = None
                    if table == "backups":
                        series = await locking.lock(transaction, project_id, own_id)
                    rows = await transaction.objects(_TABLES[table], _LOCK[table], key)
                    for row in rows:
                        if isinstance(row, Backup):
                            await keeping.forget(
                                transaction, series, row, is_sqlite=database.is_sqlite
                            )
                        else:
                            await transaction.delete(row)
        except LostRace:
            continue
        return
    raise Unavailable("other writers leave no time for the mirror")
