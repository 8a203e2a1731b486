"""Mirrors: the projects that follow a source, and take no other writer until they are freed.

The mark is in the database, beside the revision that every writer renews: so each process obeys it
from the next commit on, and a gateway that is started later as well.
"""

import secrets
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.tables import columns, source
from gateway.db.database import Database
from gateway.db.revisions import UPKEEP
from gateway.db.rows import Row
from gateway.errors import BadInput

_OWN = columns(Revision)
_ALL = (
    sa.select(_OWN.project_id, _OWN.mirror)
    .where(_OWN.mirror.is_not(None))
    .order_by(_OWN.project_id)
)


def _mark(insert: Any) -> Any:
    new = insert(source(Revision)).values(
        project_id=sa.bindparam("of_project"),
        revision=sa.bindparam("first_revision"),
        mirror=sa.bindparam("of_source"),
        position=sa.literal_column("0"),
    )
    return new.on_conflict_do_update(
        index_elements=[_OWN.project_id],
        set_={"mirror": new.excluded.mirror},
        where=sa.or_(_OWN.mirror.is_(None), _OWN.mirror == new.excluded.mirror),
    ).returning(_OWN.project_id)


_MARK = {True: _mark(sqlite.insert), False: _mark(postgresql.insert)}
_FREE = (
    sa.update(source(Revision))
    .where(_OWN.project_id == sa.bindparam("of_project"), _OWN.mirror.is_not(None))
    .values(mirror=None)
    .returning(_OWN.project_id)
)


async def mark(database: Database, projects: Collection[str], address: str) -> None:
    """Let projects mirror a source, of this address; whoever writes to them now has written.

    Raises BadInput for a project that mirrors another source, and Unavailable.
    """
    if not projects:
        return
    async with database.write(*sorted(projects), mirror=UPKEEP) as transaction:
        for project_id in sorted(projects):
            values: dict[str, Any] = {"of_project": project_id, "of_source": address}
            values["first_revision"] = secrets.randbits(62)
            if not await transaction.note(_MARK[database.is_sqlite], values):
                raise BadInput(
                    f"the project '{project_id}' mirrors another source than {address} already: "
                    "`freezer-gateway import release` frees it"
                )


async def marked(database: Database) -> Mapping[str, str]:
    """Return the address of the source of each project that mirrors one. Raises Unavailable."""
    return {row.project_id: row.mirror for row in await database.rows(_ALL)}


async def free(database: Database, projects: Collection[str]) -> Collection[str]:
    """Let anybody write to these projects again, and return those that couldn't be written to.

    Raises Unavailable.
    """
    freed: list[Row] = []
    if projects:
        async with database.write(*sorted(projects), mirror=UPKEEP) as transaction:
            for project_id in sorted(projects):
                freed += await transaction.note(_FREE, {"of_project": project_id})
    return [row.project_id for row in freed]
