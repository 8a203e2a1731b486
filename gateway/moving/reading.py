"""The gateway's rows in pages, by the columns that freezer-api's rows decide."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.tables import JobAction, columns, source
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.moving.layouts import TABLES
from gateway.moving.writing import COMPARED, KINDS

PAGE = 2000

Linked = Mapping[str, Sequence[str]]
"""The actions of each job, in the order of its list."""


def _select(table: str) -> sa.Select[Any]:
    kind = KINDS[table].table
    own = columns(kind)
    return (
        sa.select(own.project_id, own.id, *(own[name] for name in COMPARED[kind]))
        .where(own.project_id == sa.bindparam("project_id"), own.id > sa.bindparam("after"))
        .select_from(source(kind))
        .order_by(own.id)
        .limit(PAGE)
    )


def _count(table: str) -> sa.Select[Any]:
    """Return the query of the numbers of rows: it looks across projects."""
    project = columns(KINDS[table].table).project_id
    return sa.select(project, sa.func.count().label("rows")).group_by(project)


def _some(table: str, *, is_all: bool) -> sa.Select[Any]:
    """Return the query of ids from some id on; of all of them, or of the next ones."""
    own = columns(KINDS[table].table)
    query = (
        sa.select(own.id)
        .where(own.project_id == sa.bindparam("project_id"), own.id > sa.bindparam("after"))
        .order_by(own.id)
    )
    return query if is_all else query.limit(sa.bindparam("number", None, sa.Integer))


_IDS = {
    is_all: {table: _some(table, is_all=is_all) for table in TABLES} for is_all in (True, False)
}
_SELECTS = {table: _select(table) for table in TABLES}
_COUNTS = {table: _count(table) for table in TABLES}
_LINKS = columns(JobAction)
LINKED = (
    sa.select(_LINKS.job_id, _LINKS.action_id)
    .where(
        _LINKS.project_id == sa.bindparam("project_id"),
        _LINKS.job_id > sa.bindparam("after"),
        _LINKS.job_id <= sa.bindparam("until"),
    )
    .order_by(_LINKS.job_id, _LINKS.position)
)
"""The actions of the jobs between two ids."""


async def counts(
    database: Database, table: str, projects: Sequence[str] = ()
) -> Counter[str | None]:
    """Return the number of rows of each project that has any; of these, or of all for none given.

    Raises Unavailable.
    """
    rows = await database.rows(_COUNTS[table])
    found = {row.project_id: row.rows for row in rows}
    return Counter({one: found[one] for one in projects or found if one in found})


async def pages(
    database: Database, table: str, project_id: str
) -> AsyncIterator[tuple[Sequence[Row], Linked]]:
    """Yield a project's rows by their ids, and of jobs their actions. Raises Unavailable."""
    after = ""
    while rows := await database.rows(_SELECTS[table], {"project_id": project_id, "after": after}):
        linked: dict[str, list[str]] = {}
        if table == "jobs":
            key = {"project_id": project_id, "after": after, "until": rows[-1].id}
            for job_id, action_id in await database.rows(LINKED, key):
                linked.setdefault(job_id, []).append(action_id)
        yield rows, linked
        after = rows[-1].id


async def some_ids(
    database: Database, table: str, project_id: str, number: int | None
) -> Sequence[str]:
    """Return so many ids of a project's rows, from anywhere on, or all for None.

    Ids are most often random, and so are rows whose ids are next to each other. Raises Unavailable.
    """
    key: dict[str, Any] = {"project_id": project_id, "after": ""}
    if number is None:
        return [row.id for row in await database.rows(_IDS[True][table], key)]
    found: dict[str, None] = {}
    for after in (secrets.token_hex(4), ""):
        left = key | {"after": after, "number": number - len(found)}
        rows = await database.rows(_IDS[False][table], left) if left["number"] > 0 else ()
        found |= dict.fromkeys(row.id for row in rows)
    return list(found)
