"""Revisions: a transaction that changes something of a project gives the project a new one.

Of two requests that found the same revision, both read the same catalogue. Central clients are
every project's, so what changes them gives a new revision to `EVERYBODY`.
"""

import secrets
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from gateway.tables import Client, Revision, columns, source

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


class Recorder(Session):
    """A session that knows whether it has changed something, and whether of a central client."""

    changed = False
    changed_central = False


@sa.event.listens_for(Recorder, "after_flush")
def _flushed(session: Recorder, _context: UOWTransaction) -> None:
    changed = [*session.new, *session.deleted, *filter(session.is_modified, session.dirty)]
    session.changed |= bool(changed)
    session.changed_central |= any(isinstance(row, Client) and row.is_central for row in changed)


@sa.event.listens_for(Recorder, "do_orm_execute")
def _executed(state: ORMExecuteState) -> None:
    if not state.is_select:
        session: Any = state.session
        session.changed = True
        # What becomes of which rows only the database knows.
        session.changed_central |= getattr(state.statement, "table", None) == source(Client)


async def renew(session: AsyncSession, projects: Collection[str]) -> None:
    """Give these projects a new revision, if the session has changed anything.

    As the last thing in a transaction: the rows are locked until it is committed, by all in the
    same order, and whoever waits for one holds nothing that the other still needs.
    """
    await session.flush()
    recorder: Any = session.sync_session
    if not recorder.changed:
        return
    over = {*projects, EVERYBODY} if recorder.changed_central else projects
    # Not a count, which a database restored from a backup would come to again, with other rows.
    # Of 62 bits, so that the sum of two is an integer of 64, too.
    revision = secrets.randbits(62)
    rows = [{"project_id": project_id, "revision": revision} for project_id in sorted(over)]
    await session.execute(_RENEWED[session.get_bind().dialect.name], rows)


def seen_by(project: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """The revision of all that a project sees, its own and everybody's, as one number."""
    own, shared = (
        sa.func.coalesce(
            sa.select(_OWN.revision).where(_OWN.project_id == one).scalar_subquery(), 0
        )
        for one in (project, EVERYBODY)
    )
    return (own + shared).label("revision")
