"""Revisions: random numbers that a project gets anew by every transaction that changes it.

Two requests that read the same revision have read the same catalogue. Central clients belong to
every project, so a transaction that changes one gives a new revision to `EVERYBODY`.

The statement that renews a revision also writes the transaction's entry in the change log, at the
project's next position: the revision's lock puts the writers of a project in a row, so that
positions have no gaps, and none is committed after a later one. Where a gateway without a log has
written in between, a position is left out: what it has changed isn't known.

A project that mirrors a source takes one from its mirror only: so other writers fail, in that
statement, and on a row that they lock anyway.
"""

import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import ChangeLogEntry, Revision
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import columns, source
from gateway.db.rows import Row
from gateway.db.statements import SQL
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
_ALLOWED = {
    "writer": _OWN.mirror.is_(None),
    "upkeep": sa.true(),
    # Its central clients are everybody's.
    "mirror": sa.or_(
        _OWN.mirror == sa.bindparam("of_mirror"), _OWN.project_id == sa.literal_column("''")
    ),
}
"""Who may give a project a new revision."""
_ENTRY = ("project_id", "position", "revision", "changed_at", "changes")


def _renewal(insert: Any, allowed: sa.ColumnElement[bool]) -> Any:
    """Return the upsert of a project's revision, and of its position."""
    new = insert(source(Revision)).values(
        project_id=sa.bindparam("of_project", type_=_OWN.project_id.type),
        revision=sa.bindparam("new_revision", type_=sa.BigInteger),
        position=sa.literal_column("1"),
        logged_revision=sa.bindparam("new_revision", type_=sa.BigInteger),
    )
    one: Any = sa.literal_column("1")
    two: Any = sa.literal_column("2")
    # Of a revision before the log, or of an older gateway's, there is no entry.
    step = sa.case((_OWN.logged_revision == _OWN.revision, one), else_=two)
    return new.on_conflict_do_update(
        index_elements=[_OWN.project_id],
        set_={
            # Else null, which no revision can be: the transaction fails; see `is_refusal`.
            "revision": sa.case((allowed, new.excluded.revision)),
            "position": _OWN.position + step,
            "logged_revision": new.excluded.revision,
        },
    )


def _entry(renewed: Any, told: sa.ColumnElement[str]) -> sa.Select[Any]:
    """Return the entry at the position that a renewed revision has."""
    at = sa.bindparam("at", type_=sa.BigInteger)
    return sa.select(renewed.c.project_id, renewed.c.position, renewed.c.revision, at, told)


def _statements(allowed: sa.ColumnElement[bool]) -> Mapping[str, Sequence[SQL]]:
    """Return the statements of each dialect, for whoever is allowed."""
    log = source(ChangeLogEntry)
    renewed = (
        _renewal(postgresql.insert, allowed)
        .returning(_OWN.project_id, _OWN.position, _OWN.revision)
        .cte("renewed")
    )
    told = sa.bindparam("told", None, type_=sa.Text)
    in_one = sa.insert(log).from_select(_ENTRY, _entry(renewed, sa.cast(told, JSONText())))
    current = _entry(source(Revision), told).where(
        _OWN.project_id == sa.bindparam("of_project", type_=_OWN.project_id.type)
    )
    # SQLite has no CTE that writes.
    in_two: Sequence[SQL] = (
        _renewal(sqlite.insert, allowed),
        sa.insert(log).from_select(_ENTRY, current),
    )
    return {"postgresql": (in_one.add_cte(renewed),), "sqlite": in_two}


_STATEMENTS = {who: _statements(allowed) for who, allowed in _ALLOWED.items()}


async def renew(
    transaction: Transaction, projects: Collection[str], dialect: str, mirror: str | None
) -> Collection[str]:
    """Give these projects a new revision, and those of items told of, if anything was changed.

    Must be the transaction's last statement: all transactions lock the revisions in the same order,
    and need no other lock afterwards, so that none can deadlock. `mirror` is as in
    `Database.write`. Returns the projects whose revision is new. Raises the driver's errors, one
    that `is_refusal` knows for whoever may not.
    """
    if not transaction.changed:
        return ()
    changes = transaction.changes
    if transaction.changed_central and not any(one.is_shared for one in changes.items.values()):
        # What a project has set for its central client is all that was changed of it.
        transaction.share(ChangeKind.SETTINGS)
    changed = {*projects, *(item.project_id for item in changes.items)} - transaction.unchanged
    if transaction.changed_central:
        changed.add(EVERYBODY)
    # Not a counter: a database restored from a backup would reach the same count with other rows.
    # 62 bits, so that the sum of two revisions is a 64-bit integer.
    revision, at = secrets.randbits(62), time.time_ns() // 1000
    rows: list[dict[str, Any]] = [
        {
            "of_project": project_id,
            "new_revision": revision,
            "at": at,
            "told": changes.entry(project_id) if project_id else changes.shared_entry(),
        }
        for project_id in sorted(changed)
    ]
    who = "writer"
    if mirror is not None:
        who = "upkeep" if mirror == UPKEEP else "mirror"
        rows = [row | {"of_mirror": mirror} for row in rows]
    for statement in _STATEMENTS[who][dialect]:
        await transaction.note_many(statement, rows)
    return changed


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
