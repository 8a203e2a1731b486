"""Trimming the change log: what is too old, or too much of one project, is forgotten."""

import time
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import ChangeLogEntry, Revision
from gateway.catalogue.tables import columns, source
from gateway.db.database import Database
from gateway.settings import Settings

BATCH = 5000
"""How many entries of a project are deleted in one statement."""
MAX_PROJECTS = 1000
"""How many projects are looked up at a time."""

_REVISIONS, _LOG = columns(Revision), columns(ChangeLogEntry)
_OF_PROJECT = _LOG.project_id == _REVISIONS.project_id
_BEFORE = sa.bindparam("before", None, type_=sa.BigInteger)
# Of the positions in their order, an index gives the first of each kind without the others.
_OLDEST = (
    sa.select(_LOG.position)
    .where(_OF_PROJECT)
    .order_by(_LOG.position)
    .limit(sa.literal_column("1"))
    .correlate(source(Revision))
    .scalar_subquery()
)
_FIRST_KEPT = (
    sa.select(_LOG.position)
    .where(_OF_PROJECT, _LOG.changed_at >= _BEFORE)
    .order_by(_LOG.position)
    .limit(sa.literal_column("1"))
    .correlate(source(Revision))
    .scalar_subquery()
)
_PROJECTS = (
    sa.select(
        _REVISIONS.project_id,
        _REVISIONS.position,
        sa.type_coerce(_OLDEST, sa.BigInteger()).label("oldest"),
        sa.type_coerce(_FIRST_KEPT, sa.BigInteger()).label("first_kept"),
    )
    # The empty project id is the first one.
    .where(
        sa.or_(
            _REVISIONS.project_id > sa.bindparam("after"),
            sa.bindparam("is_first", None, type_=sa.Boolean),
        )
    )
    .order_by(_REVISIONS.project_id)
    .limit(sa.literal_column(str(MAX_PROJECTS)))
)
_DELETE = (
    sa.delete(source(ChangeLogEntry))
    .where(
        _LOG.project_id == sa.bindparam("project_id"),
        _LOG.position < sa.bindparam("position", None, type_=sa.BigInteger),
    )
    .returning(_LOG.position)
)


class ChangeLogTrimming:
    """Forgets old entries of the change log, in all projects and in small steps."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._seconds = settings.change_log_seconds
        self._most = settings.change_log_transactions

    async def trim(self, *, now: float | None = None) -> int:
        """Forget what is too old or too much, and return how many entries these were.

        Raises Unavailable.
        """
        now = time.time() if now is None else now
        before = int((now - self._seconds) * 1_000_000)
        values: dict[str, Any] = {"before": before, "after": "", "is_first": True}
        count = 0
        while rows := await self._database.rows(_PROJECTS, values):
            for row in rows:
                count += await self._trim(row)
            values |= {"after": rows[-1].project_id, "is_first": False}
        return count

    async def _trim(self, row: Any) -> int:
        oldest, first_kept = row.oldest, row.first_kept
        if oldest is None:
            return 0
        # The last entry stays: it tells that nothing has happened since.
        kept = row.position if first_kept is None else first_kept
        kept = max(kept, row.position - self._most + 1)
        count = 0
        statement = self._database.statement(ChangeLogTrimming, lambda: _DELETE)
        while oldest < kept:
            oldest = min(oldest + BATCH, kept)
            values = {"project_id": row.project_id, "position": oldest}
            deleted = await self._database.rows(statement, values)
            count += len(deleted)
        return count
