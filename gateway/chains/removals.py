"""Removals that ride on no backup: of `admin` and `restore` actions, whose job has succeeded.

Each is a moment in the history of its series, between its job's start and end. It can have removed
only what is older than its options say, counted from the start; and the next backup after it begins
a new chain, if the newest one has gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.series_tables import Removal
from gateway.catalogue.tables import NO_TIME, Backup, columns, source
from gateway.chains.policies import Policy
from gateway.chains.rules import after_removal
from gateway.chains.states import NEVER, State
from gateway.db.database import Database
from gateway.db.transactions import Transaction

_REMOVALS, _OWN = columns(Removal), columns(Backup)
_KEY = (
    _REMOVALS.project_id == sa.bindparam("project_id"),
    _REMOVALS.series == sa.bindparam("series"),
)
_TIME = sa.bindparam("time", None, type_=sa.BigInteger)
# The agent that removes runs after those that have made its job's backups.
_AFTER_OWN = (
    sa.select(sa.func.max(_OWN.calendar_time))
    .where(
        _OWN.project_id == _REMOVALS.project_id,
        _OWN.job_id == _REMOVALS.job_id,
        _OWN.calendar_time.between(_REMOVALS.began_at, _REMOVALS.ended_at),
        _OWN.series == _REMOVALS.series,
        _REMOVALS.own_came_first,
    )
    .correlate(source(Removal))
    .scalar_subquery()
)
_SINCE = (
    sa.select(
        _REMOVALS.job_id,
        _REMOVALS.began_at,
        _REMOVALS.ended_at,
        _REMOVALS.policy,
        _REMOVALS.own_came_first,
        sa.type_coerce(_AFTER_OWN, sa.BigInteger()).label("after_own"),
    )
    .where(*_KEY, _REMOVALS.ended_at >= _TIME)
    .order_by(_REMOVALS.ended_at, _REMOVALS.job_id, _REMOVALS.position)
)
_CLEAR = sa.delete(source(Removal)).where(*_KEY)
_CLEAR_BEFORE = _CLEAR.where(_REMOVALS.ended_at < _TIME)
_INSERT = {
    is_sqlite: insert(source(Removal)).on_conflict_do_nothing().returning(_REMOVALS.ended_at)
    for is_sqlite, insert in ((True, sqlite.insert), (False, postgresql.insert))
}


@dataclass(frozen=True, slots=True)
class Ran:
    """A removal that has run, at some time between two."""

    job_id: str
    began: int
    ended: int
    until: int
    """Chains whose full backup is of this time, or before, are gone after it."""
    own_came_first: bool | None
    """True if the job makes its own backups before it, False if after, None if either."""


class Ahead:
    """The removals that are still to come, while a series' backups are gone through in order."""

    def __init__(self, removals: Sequence[Ran] = ()) -> None:
        self._removals = list(removals)

    def before(self, state: State, time: int, job_id: str | None) -> tuple[State, int]:
        """Pass the removals before a backup of this time, which a job has made.

        Returns the state then, and the time up to which chains have been removed about then: before
        the backup or after it, nobody knows which.
        """
        removing, left = NEVER, []
        for one in self._removals:
            is_own = one.job_id == job_id and one.own_came_first is not None
            if one.ended < time or (one.began <= time and is_own and not one.own_came_first):
                state = after_removal(state, one.until)
                continue
            left.append(one)
            if one.began <= time and not is_own:
                removing = max(removing, one.until)
        self._removals = left
        return state, removing

    def rest(self, state: State) -> State:
        """Pass all removals that are left, and return the state then."""
        for one in self._removals:
            state = after_removal(state, one.until)
        self._removals = []
        return state

    def has_begun(self, time: int) -> bool:
        """Return True if a removal that isn't passed may have run by this time."""
        return any(one.began <= time for one in self._removals)


async def since(transaction: Transaction, key: dict[str, Any], time: int) -> Ahead:
    """Return the removals of a series that ended at this time or later.

    `key` has the values that name the series. Raises the driver's errors.
    """
    rows = await transaction.rows(_SINCE, key | {"time": time})
    return Ahead([_ran(row) for row in rows])


async def removed_until(database: Database, key: dict[str, Any], time: int, moment: int) -> int:
    """Return the time up to which chains had been removed by a moment.

    Counted are removals that ended from `time` on; `key` has the values that name the series.
    Raises Unavailable.
    """
    found = [_ran(row) for row in await database.rows(_SINCE, key | {"time": time})]
    return max((one.until for one in found if one.ended <= moment), default=NEVER)


def _ran(row: Any) -> Ran:
    policy = Policy.load(row.policy) or Policy()
    until = policy.removed_at(max(row.began_at, row.after_own or NO_TIME))
    return Ran(row.job_id, row.began_at, row.ended_at, until, row.own_came_first)


async def insert(transaction: Transaction, removal: Removal, *, is_sqlite: bool) -> bool:
    """Store a removal, and return False if it is there already. Raises the driver's errors."""
    return bool(await transaction.rows(_INSERT[is_sqlite], vars(removal)))


async def clear(transaction: Transaction, key: dict[str, Any], before: int | None = None) -> None:
    """Delete a series' removals, those that ended before a time or all.

    `key` has the values that name the series. Raises the driver's errors.
    """
    if before is None:
        await transaction.execute_many(_CLEAR, [key])
    else:
        await transaction.execute_many(_CLEAR_BEFORE, [key | {"time": before}])
