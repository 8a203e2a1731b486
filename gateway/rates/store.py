"""The buckets in the database, which all processes share: each lease is one statement."""

from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import RateBucket
from gateway.catalogue.tables import columns, source
from gateway.db.database import Database
from gateway.settings.rates import MAX_BURST

BucketKey = tuple[str, str]
"""A project's id, and a user's; the project's own bucket has an empty user id."""

Clock = Callable[[], float]
"""Returns a time in seconds."""

_OWN = columns(RateBucket)
_MICRO = 1_000_000
"""Points and seconds are whole millionths in the database, so that nothing is rounded."""
_NOW: dict[str, sa.ColumnElement[int]] = {
    # The time at which the row is locked, not the one when the statement began to wait for it.
    "postgresql": sa.literal_column(
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", sa.BigInteger
    ),
    "sqlite": sa.literal_column(
        "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)", sa.BigInteger
    ),
}


class Store(Protocol):
    """The place of the buckets that all processes share."""

    async def lease(
        self, key: BucketKey, wanted: float, capacity: int, rate: int
    ) -> tuple[float, float]:
        """Take up to `wanted` tokens; return how many were taken, and how many are left.

        `rate` tokens are restored each second, up to `capacity`. Raises what says that it doesn't
        answer.
        """

    async def close(self) -> None:
        """Close its own connections."""


class BucketStore:
    """Leases tokens from the buckets in the database.

    A bucket that isn't there yet is full. Time is the database's, so that the clocks of several
    machines needn't agree; a `clock` replaces it in tests.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock

    async def lease(
        self, key: BucketKey, wanted: float, capacity: int, rate: int
    ) -> tuple[float, float]:
        """Take up to `wanted` tokens; return how many were taken, and how many are left.

        `rate` tokens are restored each second, up to `capacity`. Raises Unavailable if the database
        doesn't answer.
        """
        statement = self._database.statement((BucketStore, self._clock is None), self._lease)
        project_id, user_id = key
        values = {
            "of_project": project_id,
            "of_user": user_id,
            "wanted": int(wanted * _MICRO),
            "capacity": capacity * _MICRO,
            "rate": rate,
            "full_after": capacity * _MICRO // rate + 1,
        }
        if self._clock is not None:
            values["now"] = int(self._clock() * _MICRO)
        (row,) = await self._database.rows(statement, values)
        return row[0] / _MICRO, row[1] / _MICRO

    async def close(self) -> None:
        """Leave the connections to the database."""

    async def forget(self) -> int:
        """Forget the buckets that are full again, and return how many these are.

        Raises Unavailable.
        """
        statement = self._database.statement(
            (BucketStore, "forget", self._clock is None), self._forget
        )
        values = {} if self._clock is None else {"now": int(self._clock() * _MICRO)}
        return len(await self._database.rows(statement, values))

    def _forget(self) -> Any:
        full = self._now() - sa.literal_column(str(MAX_BURST * _MICRO), sa.BigInteger)
        return sa.delete(source(RateBucket)).where(_OWN.refilled_at < full).returning(_OWN.user_id)

    def _now(self) -> sa.ColumnElement[int]:
        if self._clock is not None:
            return sa.bindparam("now", type_=sa.BigInteger)
        return _NOW["sqlite" if self._database.is_sqlite else "postgresql"]

    def _lease(self) -> Any:
        wanted, capacity, rate, full_after = (
            sa.bindparam(name, type_=sa.BigInteger)
            for name in ("wanted", "capacity", "rate", "full_after")
        )
        dialect = "sqlite" if self._database.is_sqlite else "postgresql"
        insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect]
        least, greatest = (
            (sa.func.min, sa.func.max)
            if self._database.is_sqlite
            else (sa.func.least, sa.func.greatest)
        )
        moment = self._now()
        # A clock that was put back restores nothing, and a long time no more than fits.
        elapsed = least(greatest(moment - _OWN.refilled_at, 0), full_after)
        stored = least(_OWN.tokens + elapsed * rate, capacity)
        new = insert(source(RateBucket)).values(
            project_id=sa.bindparam("of_project", type_=_OWN.project_id.type),
            user_id=sa.bindparam("of_user", type_=_OWN.user_id.type),
            leased=least(wanted, capacity),
            tokens=capacity - least(wanted, capacity),
            refilled_at=moment,
        )
        lease = new.on_conflict_do_update(
            index_elements=[_OWN.project_id, _OWN.user_id],
            set_={
                "leased": least(wanted, stored),
                "tokens": stored - least(wanted, stored),
                "refilled_at": moment,
            },
        )
        return lease.returning(_OWN.leased, _OWN.tokens)
