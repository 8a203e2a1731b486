"""Entering many backups at once: new series are derived with them, others when all are there.

The series are locked until the transaction ends, so that nobody derives one in between and misses
the backups that are about to be written.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import default_of, source
from gateway.chains.bulk import Standing
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
    .returning(SERIES.project_id, SERIES.id)
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


class Entering(NamedTuple):
    """A series that backups are about to enter."""

    place: Place
    newest_time: int
    """The newest time of one of them."""
    standing: Standing | None = None
    """How it stands if it has no others; None: it is derived later."""


async def enter_many(
    transaction: Transaction,
    entered: Mapping[SeriesKey, Entering],
    left: Sequence[SeriesKey],
    *,
    is_sqlite: bool,
) -> Collection[SeriesKey]:
    """Lock series that backups are about to enter, or to leave, and have them derived later.

    Returns those that are new: they stand as they are said to stand. Raises the driver's errors.
    """
    rows = [_row(key, entering) for key, entering in entered.items()]
    await transaction.stage(_STAGING, rows, is_sqlite=is_sqlite)
    inserted = await transaction.rows(_INSERT[is_sqlite])
    new = {(row.project_id, row.id) for row in inserted}
    fresh: list[SeriesKey] = []
    if len(new) < len(entered):
        locked = [(row.project_id, row.id, row.is_stale) for row in await transaction.rows(_LOCK)]
        fresh = [(project, series) for project, series, is_stale in locked if not is_stale]
    marked = sorted({*fresh, *left} - new)
    await transaction.execute_many(
        _MARK, [{"of_project": project, "of_series": series} for project, series in marked]
    )
    return new


def _row(key: SeriesKey, entering: Entering) -> Sequence[Any]:
    own = {"project_id": key[0], "id": key[1], "newest_time": entering.newest_time}
    own |= {name: getattr(entering.place, name) or None for name in PLACE}
    own |= {"is_stale": True} if entering.standing is None else entering.standing._asdict()
    return [own[name] if name in own else default_of(Series, name) for name in _NAMES]
