"""Revisions: random numbers that a project gets anew by every transaction that changes it.

Two requests that read the same revision have read the same catalogue. Central clients belong to
every project, so a transaction that changes one gives a new revision to `EVERYBODY`.
"""

import secrets
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.tables import columns, source
from gateway.db.transactions import Transaction

EVERYBODY = ""
"""The project id, which no project has, of the revision that all projects share."""

_OWN = columns(Revision)
_UPSERTS = {
    name: new.on_conflict_do_update(
        index_elements=[_OWN.project_id], set_={"revision": new.excluded.revision}
    )
    for name, new in (
        ("sqlite", sqlite.insert(source(Revision))),
        ("postgresql", postgresql.insert(source(Revision))),
    )
}


async def renew(transaction: Transaction, projects: Collection[str], dialect: str) -> None:
    """Give these projects a new revision, if the transaction has changed anything.

    Must be the transaction's last statement: all transactions lock the revisions in the same order,
    and need no other lock afterwards, so that none can deadlock. Raises the driver's errors.
    """
    if not transaction.changed:
        return
    changed = set(projects) - transaction.unchanged
    if transaction.changed_central:
        changed.add(EVERYBODY)
    # Not a counter: a database restored from a backup would reach the same count with other rows.
    # 62 bits, so that the sum of two revisions is a 64-bit integer.
    revision = secrets.randbits(62)
    rows = [{"project_id": project_id, "revision": revision} for project_id in sorted(changed)]
    await transaction.execute_many(_UPSERTS[dialect], rows)


def visible_revision(project: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Return the sum of a project's revision and everybody's: that of all that the project sees."""
    own, shared = (
        sa.func.coalesce(
            sa.select(_OWN.revision).where(_OWN.project_id == one).scalar_subquery(), 0
        )
        for one in (project, EVERYBODY)
    )
    return (own + shared).label("revision")
