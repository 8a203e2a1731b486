"""Revisions: random numbers that a project gets anew by every transaction that changes it.

Two requests that read the same revision have read the same catalogue. Central clients belong to
every project, so a transaction that changes one gives a new revision to `EVERYBODY`.

A project that mirrors a source takes one from its mirror only: so other writers fail, in a
statement that they run anyway, and on a row that they lock anyway.
"""

import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.tables import columns, source
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, GatewayError, LostRace, Mirrored

EVERYBODY = ""
"""The project id, which no project has, of the revision that all projects share."""
UPKEEP = ""
"""The name, which no source has, for what is derived of rows: it may be written to mirrors too."""

_OWN = columns(Revision)
_MIRRORS = sa.select(_OWN.project_id, _OWN.mirror).where(
    _OWN.project_id == sa.bindparam("project_id"), _OWN.mirror.is_not(None)
)


def _upsert(insert: Any, allowed: sa.ColumnElement[bool]) -> Any:
    new = insert.values(
        project_id=sa.bindparam("of_project"), revision=sa.bindparam("new_revision")
    )
    # Else null, which no revision can be: the transaction fails; see `is_refusal`.
    revision = sa.case((allowed, new.excluded.revision))
    return new.on_conflict_do_update(index_elements=[_OWN.project_id], set_={"revision": revision})


_ALLOWED = {
    "writer": _OWN.mirror.is_(None),
    "upkeep": sa.true(),
    # Its central clients are everybody's.
    "mirror": sa.or_(
        _OWN.mirror == sa.bindparam("of_mirror"), _OWN.project_id == sa.literal_column("''")
    ),
}
_UPSERTS = {
    (name, who): _upsert(insert(source(Revision)), allowed)
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
    for who, allowed in _ALLOWED.items()
}


async def renew(
    transaction: Transaction, projects: Collection[str], dialect: str, mirror: str | None
) -> None:
    """Give these projects a new revision, if the transaction has changed anything.

    Must be the transaction's last statement: all transactions lock the revisions in the same order,
    and need no other lock afterwards, so that none can deadlock. `mirror` is as in
    `Database.write`. Raises the driver's errors, one that `is_refusal` knows for whoever may not.
    """
    if not transaction.changed:
        return
    changed = set(projects) - transaction.unchanged
    if transaction.changed_central:
        changed.add(EVERYBODY)
    # Not a counter: a database restored from a backup would reach the same count with other rows.
    # 62 bits, so that the sum of two revisions is a 64-bit integer.
    revision = secrets.randbits(62)
    rows: list[dict[str, Any]] = [
        {"of_project": one, "new_revision": revision} for one in sorted(changed)
    ]
    who = "writer"
    if mirror is not None:
        who = "upkeep" if mirror == UPKEEP else "mirror"
        rows = [row | {"of_mirror": mirror} for row in rows]
    await transaction.execute_many(_UPSERTS[dialect, who], rows)


async def mirrored(
    rows: Callable[..., Awaitable[Sequence[Row]]], projects: Collection[str], mirror: str | None
) -> GatewayError:
    """Return the error for a writer to these projects, of which one is a mirror.

    For the mirror itself, that they are none any more. `rows` is `Database.rows`, whose errors are
    raised.
    """
    if mirror is not None:
        return BadInput(f"the projects were freed: they mirror {mirror} no more")
    for project_id in sorted(projects):
        for row in await rows(_MIRRORS, {"project_id": project_id}):
            return Mirrored(row.project_id, row.mirror)
    # The switch has come in between.
    return LostRace()


def is_refusal(error: BaseException | None) -> bool:
    """Return True for the driver's error by which a mirror refuses to be written to."""
    if isinstance(error, asyncpg.NotNullViolationError):
        return (error.table_name, error.column_name) == ("revisions", "revision")
    return isinstance(error, sqlite3.IntegrityError) and str(error).endswith("revisions.revision")


def visible_revision(project: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Return the sum of a project's revision and everybody's: that of all that the project sees."""
    own, shared = (
        sa.func.coalesce(
            sa.select(_OWN.revision).where(_OWN.project_id == one).scalar_subquery(), 0
        )
        for one in (project, EVERYBODY)
    )
    return (own + shared).label("revision")
