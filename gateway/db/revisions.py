"""Revisions: a transaction that changes something of a project gives the project a new one.

Of two requests that found the same revision, both read the same catalogue. Central clients are
every project's, so what changes them gives a new revision to `EVERYBODY`.
"""

import secrets
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.tables import Revision, columns, source
from gateway.db.transactions import Transaction

EVERYBODY = ""
"""In place of a project: no project is called so."""

_OWN = columns(Revision)
_RENEWED = {
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

    As the last thing in it: the rows are locked until it is committed, by all in the same order,
    and whoever waits for one holds nothing that the other still needs.
    """
    if not transaction.changed:
        return
    over = {*projects, EVERYBODY} if transaction.changed_central else projects
    # Not a count, which a database restored from a backup would come to again, with other rows.
    # Of 62 bits, so that the sum of two is an integer of 64, too.
    revision = secrets.randbits(62)
    rows = [{"project_id": project_id, "revision": revision} for project_id in sorted(over)]
    await transaction.each(_RENEWED[dialect], rows)


def visible_revision(project: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Return the sum of a project's revision and everybody's: that of all that the project sees."""
    own, shared = (
        sa.func.coalesce(
            sa.select(_OWN.revision).where(_OWN.project_id == one).scalar_subquery(), 0
        )
        for one in (project, EVERYBODY)
    )
    return (own + shared).label("revision")
