"""Entering many backups at once: their series are derived when all of them are there.

The series are locked until the transaction ends, so that nobody derives one in between and misses
the backups that are about to be written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import default_of, source
from gateway.chains.derivation import SERIES
from gateway.chains.locking import PLACE
from gateway.chains.places import Place
from gateway.db.staging import Staging
from gateway.db.transactions import Transaction

_NAMES = tuple(column.key for column in source(Series).c)
_STAGING = Staging(Series, _NAMES)
_STAGED = _STAGING.table.c
_KEY = sa.and_(SERIES.project_id == _STAGED.project_id, SERIES.id == _STAGED.id)
_ALL = sa.select(*_STAGED).where(sa.true()).order_by(_STAGED.project_id, _STAGED.id)
_INSERT = {
    is_sqlite: insert(source(Series))
    .from_select(_NAMES, _ALL, include_defaults=False)
    .on_conflict_do_nothing()
    for is_sqlite, insert in ((True, sqlite.insert), (False, postgresql.insert))
}
_LOCK = (
    sa.select(SERIES.project_id, SERIES.id, SERIES.is_stale)
    .join_from(source(Series), _STAGING.table, _KEY)
    .order_by(SERIES.project_id, SERIES.id)
    .with_for_update(of=source(Series))
)
_MARK = (
    sa.update(source(Series))
    .where(SERIES.project_id == sa.bindparam("of_project"), SERIES.id == sa.bindparam("of_series"))
    .values(is_stale=True)
)

SeriesKey = tuple[str, str]
"""A project and a series."""


async def enter_many(
    transaction: Transaction,
    entered: Mapping[SeriesKey, tuple[Place, int]],
    left: Sequence[SeriesKey],
    *,
    is_sqlite: bool,
) -> None:
    """Lock series that backups are about to enter, or to leave, and have them derived later.

    Of those that are entered, there are the place and the newest time. Raises the driver's errors.
    """
    rows = [_row(key, place, newest) for key, (place, newest) in entered.items()]
    await transaction.stage(_STAGING, rows, is_sqlite=is_sqlite)
    await transaction.rows(_INSERT[is_sqlite])
    locked = await transaction.rows(_LOCK)
    fresh = [(row.project_id, row.id) for row in locked if not row.is_stale]
    marked = sorted({*fresh, *left})
    await transaction.execute_many(
        _MARK, [{"of_project": project, "of_series": series} for project, series in marked]
    )


def _row(key: SeriesKey, place: Place, newest: int) -> Sequence[Any]:
    own = {"project_id": key[0], "id": key[1], "newest_time": newest, "is_stale": True}
    own |= {name: getattr(place, name) or None for name in PLACE}
    return [own[name] if name in own else default_of(Series, name) for name in _NAMES]
