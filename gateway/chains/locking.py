"""Locking series: whoever writes a backup locks its series first, and then the backup."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import NO_TIME, UNKNOWN, source
from gateway.chains.derivation import OWN, SERIES, SeriesRow
from gateway.chains.places import Place
from gateway.db.rows import Row
from gateway.db.transactions import Transaction

PLACE = (
    "media",
    "storage",
    "target",
    "container",
    "engine",
    "hostname",
    "backup_name",
    "resource",
)
"""The columns of a series that tell its place."""
_STANDS = (
    SERIES.newest_time,
    SERIES.restorability,
    SERIES.is_told,
    SERIES.removed_time,
    SERIES.forgotten_time,
    SERIES.is_stale,
    SERIES.removals_time,
)


def _entering(insert: Any) -> Any:
    statement = insert(source(Series)).values(
        **{name: sa.bindparam(name) for name in ("project_id", "id", *PLACE, "newest_time")},
        restorability=UNKNOWN,
        is_told=False,
        removed_time=NO_TIME,
        forgotten_time=NO_TIME,
        is_stale=False,
        removals_time=NO_TIME,
    )
    new = statement.excluded.newest_time
    newest = sa.case((new > SERIES.newest_time, new), else_=SERIES.newest_time)
    return statement.on_conflict_do_update(
        index_elements=[SERIES.project_id, SERIES.id], set_={"newest_time": newest}
    ).returning(*_STANDS)


_ENTER = {True: _entering(sqlite.insert), False: _entering(postgresql.insert)}
"""Locks the series of a backup, and creates it if it is the first; by `is_sqlite`."""
LOCKED = sa.select(SERIES.id, *(SERIES[name] for name in PLACE), *_STANDS).with_for_update()
"""Reads all of a series, and locks it."""
_LOCK = LOCKED.where(
    SERIES.project_id == sa.bindparam("project_id"),
    SERIES.id
    == sa.select(OWN.series)
    .where(OWN.project_id == sa.bindparam("project_id"), OWN.id == sa.bindparam("id"))
    .scalar_subquery(),
)
_LOCK_ONE = LOCKED.where(
    SERIES.project_id == sa.bindparam("project_id"), SERIES.id == sa.bindparam("id")
)


async def lock(transaction: Transaction, project_id: str, backup_id: str) -> SeriesRow | None:
    """Return the series of a backup, locked: the backup is to be locked next. None for none.

    Raises the driver's errors.
    """
    rows = await transaction.rows(_LOCK, {"project_id": project_id, "id": backup_id})
    return _stored(project_id, rows)


async def lock_series(
    transaction: Transaction, project_id: str, series_id: str
) -> SeriesRow | None:
    """Return the series of this id, locked; None for none. Raises the driver's errors."""
    rows = await transaction.rows(_LOCK_ONE, {"project_id": project_id, "id": series_id})
    return _stored(project_id, rows)


def stored(project_id: str, row: Row) -> SeriesRow:
    """Return the series of a row of `LOCKED`."""
    place = Place(**{name: getattr(row, name) or "" for name in PLACE})
    return _standing(project_id, place, row)


def _stored(project_id: str, rows: Sequence[Row]) -> SeriesRow | None:
    return stored(project_id, rows[0]) if rows else None


async def enter(
    transaction: Transaction, project_id: str, place: Place, time: int, *, is_sqlite: bool
) -> SeriesRow:
    """Lock the series of a place, a new one if need be, and return it.

    `time` is that of a backup of it. Raises the driver's errors.
    """
    values = {name: getattr(place, name) or None for name in ("id", *PLACE)}
    key = {"project_id": project_id, "newest_time": time}
    (row,) = await transaction.rows(_ENTER[is_sqlite], values | key)
    transaction.tell(ChangeKind.SERIES, project_id, place.id)
    return _standing(project_id, place, row)


def _standing(project_id: str, place: Place, row: Row) -> SeriesRow:
    return SeriesRow(
        project_id, place, **{column.key: getattr(row, column.key) for column in _STANDS}
    )
